"""Which jobs a sample of a batch has: spread over its hosts, the same each time; pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from heapq import heappush, heappushpop


def rank(text: str) -> int:
    """Return a number by which texts are in an order that looks random and is always the same."""
    return zlib.crc32(f"sample:{text}".encode("utf-8", "surrogatepass"))


def choose_sample(jobs: Iterable[tuple[int, str, str]], count: int) -> list[int]:
    """
    Return the ids of *count* of these jobs (id, host, key), spread over their hosts.

    Each round takes one job of each host. If there are more hosts than jobs to choose, some hosts
    are chosen. At most *count* hosts, with *count* jobs each, are in memory.
    """
    hosts: dict[str, list[tuple[int, int]]] = {}  # of each chosen host, its jobs by -rank
    chosen: list[tuple[int, str]] = []  # these hosts by -rank
    for id, host, key in jobs:
        if host not in hosts and not _admit(host, hosts, chosen, count):
            continue
        _push(hosts[host], (-rank(key), id), count)
    queues = [sorted(hosts[host], reverse=True) for _, host in sorted(chosen, reverse=True)]
    rounds = max(map(len, queues), default=0)
    spread = [queue[turn][1] for turn in range(rounds) for queue in queues if turn < len(queue)]
    return spread[:count]


def _admit(
    host: str, hosts: dict[str, list[tuple[int, int]]], chosen: list[tuple[int, str]], count: int
) -> bool:
    """Add a host if it is one of the first *count* by rank; another one may have to leave."""
    entry = (-rank(host), host)
    if len(chosen) < count:
        heappush(chosen, entry)
    else:
        left = heappushpop(chosen, entry)
        if left == entry:
            return False
        del hosts[left[1]]
    hosts[host] = []
    return True


def _push(queue: list[tuple[int, int]], entry: tuple[int, int], most: int) -> None:
    if len(queue) < most:
        heappush(queue, entry)
    else:
        heappushpop(queue, entry)
