"""Collects the specs of all files of a batch, and finds those that repeat each other."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from batchrunner.inputs.page_urls import page_of
from batchrunner.inputs.spec_spool import SpecSpool
from batchrunner.model import JobSpec

#: Bits of a hash that choose its bucket, and bits that are kept there.
_BUCKET_BITS, _KEPT_BITS = 12, 32
_BUCKETS = 1 << _BUCKET_BITS
_HASH = (1 << _BUCKET_BITS + _KEPT_BITS) - 1
#: Repeated hashes whose specs are compared in one pass, so that memory is bounded.
_COMPARED_AT_ONCE = 20_000
#: Pairs of rows that are named; the others are counted.
MAX_NAMED = 5


class Pair(NamedTuple):
    """A row, and an earlier one that it repeats."""

    file: str
    line: int
    first_file: str
    first_line: int

    def __str__(self) -> str:
        """Return both places."""
        file = "" if self.first_file == self.file else f"{self.first_file} "
        return f"line {self.line:,} repeats {file}line {self.first_line:,}"


class Clash(NamedTuple):
    """A row that is refused because of an earlier one."""

    source: str
    line: int
    message: str
    tip: str


@dataclass(kw_only=True)
class Repeats:
    """What repeats what."""

    duplicates: int = 0
    named: list[Pair] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    clash_count: int = 0
    same_pages: int = 0
    same_page: Pair | None = None
    max_clashes: int | None = None  #: that are kept; the others are counted

    def add_clash(self, clash: Clash) -> None:
        """Count a clash, and keep it if there are few."""
        self.clash_count += 1
        if self.max_clashes is None or len(self.clashes) < self.max_clashes:
            self.clashes.append(clash)


class SpecCollector:
    """The specs of a batch; of each it keeps 8 bytes in memory."""

    def __init__(self) -> None:
        self.specs = SpecSpool()
        self._keys = _Hashes()
        self._pages = _Hashes()

    def add(self, spec: JobSpec) -> None:
        """Add a spec."""
        self._keys.add(hash(spec.key))
        self._pages.add(hash((page_of(spec.url), spec.goal)))
        self.specs.append(spec)

    def finish(self, file: str, *, max_clashes: int | None = None) -> Repeats:
        """
        Leave out specs that repeat an earlier one, and return what repeats what.

        *file* is that of specs without a source. A spec with the id of another one is a clash, and
        is left out; at most *max_clashes* are given.
        """
        found = Repeats(max_clashes=max_clashes)
        for repeated in self._keys.repeated():
            self._leave_out_repeated(repeated, found, file)
        for repeated in self._pages.repeated():
            self._count_pages(repeated, found, file)
        return found

    def _leave_out_repeated(self, repeated: set[int], found: Repeats, file: str) -> None:
        firsts: dict[str, JobSpec] = {}
        for number, spec in self.specs.numbered():
            if hash(spec.key) & _HASH not in repeated:
                continue
            first = firsts.setdefault(spec.key, spec)
            if first is spec:
                continue
            self.specs.leave_out(number)
            if (clash := _clash(first, spec, file)) is not None:
                found.add_clash(clash)
            else:
                found.duplicates += 1
                if len(found.named) < MAX_NAMED:
                    found.named.append(_pair(first, spec, file))

    def _count_pages(self, repeated: set[int], found: Repeats, file: str) -> None:
        firsts: dict[Hashable, JobSpec] = {}
        for _, spec in self.specs.numbered():
            page = (page_of(spec.url), spec.goal)
            if hash(page) & _HASH not in repeated:
                continue
            first = firsts.setdefault(page, spec)
            if first is not spec and first.options == spec.options:
                found.same_pages += 1
                found.same_page = found.same_page or _pair(first, spec, file)


def _clash(first: JobSpec, spec: JobSpec, file: str) -> Clash | None:
    """Return why two specs of one key cannot be one job; None if they can."""
    same = (first.url, first.goal, first.options) == (spec.url, spec.goal, spec.options)
    if same and first.expect == spec.expect:
        return None
    where = f"line {first.line:,}"
    if first.source != spec.source:
        where += f" of {first.source or file}"
    if same:
        message = f"the same job on {where} expects something else"
        tip = "keep one of them, or give each an `id`"
    else:
        message = f"id `{spec.key}` is already the job on {where}, which is another one"
        tip = "give each job an id of its own"
    return Clash(spec.source or file, spec.line, message, tip)


def _pair(first: JobSpec, spec: JobSpec, file: str) -> Pair:
    return Pair(spec.source or file, spec.line, first.source or file, first.line)


class _Hashes:
    """Many hashes, in 4 bytes each; what two specs share by chance is compared in full."""

    def __init__(self) -> None:
        self._buckets = [array("I") for _ in range(_BUCKETS)]

    def add(self, value: int) -> None:
        """Add a hash."""
        value &= _HASH
        self._buckets[value & (_BUCKETS - 1)].append(value >> _BUCKET_BITS)

    def repeated(self) -> Iterator[set[int]]:
        """Give the hashes that were added more than once, in sets of a bounded size."""
        part: set[int] = set()
        for number, bucket in enumerate(self._buckets):
            part |= {value << _BUCKET_BITS | number for value in _repeated(sorted(bucket))}
            if len(part) > _COMPARED_AT_ONCE:
                yield part
                part = set()
        if part:
            yield part


def _repeated(ordered: Iterable[int]) -> Iterator[int]:
    before: int | None = None
    for value in ordered:
        if value == before:
            yield value
        before = value
