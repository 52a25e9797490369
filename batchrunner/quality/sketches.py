"""Summaries of bounded size that are the same in whatever order their entries come."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from hashlib import blake2b
from typing import Generic, TypeVar

T = TypeVar("T")


def hash_of(text: str) -> int:
    """Return a number that follows from a text, the same in every process."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Sample(Generic[T]):
    """The entries with the smallest priorities: with hashes as priorities, a random sample."""

    __slots__ = ("_entries", "_heap", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._entries: dict[int, T] = {}
        self._heap: list[int] = []  # negative priorities: the largest priority is first

    def wants(self, priority: int) -> bool:
        """Return whether an entry with this priority would be kept."""
        if priority in self._entries:
            return False
        return len(self._heap) < self.most or -self._heap[0] > priority

    def add(self, priority: int, entry: T) -> None:
        """Keep an entry, and drop the one with the largest priority if there are too many."""
        if self.wants(priority):
            self._entries[priority] = entry
            heapq.heappush(self._heap, -priority)
            if len(self._heap) > self.most:
                self.shrink(self.most)

    def shrink(self, most: int) -> None:
        """Keep at most so many entries from now on."""
        self.most = most
        while len(self._heap) > most:
            del self._entries[-heapq.heappop(self._heap)]

    def merge(self, other: Sample[T]) -> None:
        """Add the entries of another sample."""
        for priority, entry in other._entries.items():
            self.add(priority, entry)

    def __iter__(self) -> Iterator[T]:
        """Give the entries in the order of their priorities."""
        return (self._entries[priority] for priority in sorted(self._entries))

    def __len__(self) -> int:
        """Return how many entries are kept."""
        return len(self._entries)


class Repeats:
    """How often values repeat: exact up to so many different values, then by a sample of them."""

    __slots__ = ("_counts", "_limit", "_most", "total")

    def __init__(self, most: int) -> None:
        self.total = 0
        self._most = most
        self._limit = 2**64  #: values with a hash from here on are not kept
        self._counts: dict[int, int] = {}

    def add(self, hashed: int, count: int = 1) -> None:
        """Count a value by its hash."""
        self.total += count
        if hashed < self._limit:
            self._counts[hashed] = self._counts.get(hashed, 0) + count
            if len(self._counts) > self._most * 1.25:
                self._drop()

    def merge(self, other: Repeats) -> None:
        """Add the counts of another summary."""
        total = self.total + other.total
        self._limit = min(self._limit, other._limit)
        self._counts = {each: n for each, n in self._counts.items() if each < self._limit}
        for hashed, count in other._counts.items():
            self.add(hashed, count)
        self.total = total

    @property
    def distinct(self) -> int:
        """How many different values there are."""
        self._settle()
        share = self._limit / 2**64
        return round(len(self._counts) / share) if self._counts else 0

    @property
    def surplus(self) -> int:
        """How many values repeat an earlier one."""
        self._settle()
        share = self._limit / 2**64
        repeated = sum(count - 1 for count in self._counts.values())
        return min(round(repeated / share), max(self.total - 1, 0))

    def count_of(self, hashed: int) -> int | None:
        """Return how often a value occurs; None if the sample does not have it."""
        return self._counts.get(hashed)

    def _settle(self) -> None:
        if len(self._counts) > self._most:
            self._drop()

    def _drop(self) -> None:
        kept = heapq.nsmallest(self._most + 1, self._counts)
        self._limit = kept[-1]
        self._counts = {each: self._counts[each] for each in kept[:-1]}
