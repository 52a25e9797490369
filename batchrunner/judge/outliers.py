"""Results that are odd beside those of their neighbours: copied ones, and half-empty ones."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from batchrunner.judge.result_values import (
    UNREADABLE,
    Leaf,
    TooLarge,
    leaves,
    named,
    parse_result,
    shown,
)
from batchrunner.model import Finding

COPIED = "copied"
SPARSE = "sparse"

#: Urls with one and the same answer from which on it is odd.
MIN_COPIES = 4
#: Characters of an answer below which many urls may well share it: a rate, a yes, a country.
MIN_TEXT_LENGTH = 10
#: A copy is odd only where other jobs with this goal got other answers.
MAX_COPY_SHARE = 0.8
#: Neighbours from which on their usual filling counts, and that filling.
MIN_PEERS = 8
USUALLY_FILLED = 0.8
#: A result with less than this share of what is usual is odd.
SPARSE_SHARE = 0.4

K = TypeVar("K")


class PeerResult(NamedTuple):
    """A job's result, as much of it as a comparison needs."""

    url: str
    goal: str
    result: str


class _Read(NamedTuple):
    """What a comparison needs of a result, which is little: a batch has many."""

    url: str
    answer: bytes  #: a digest of what it says
    said: int  #: characters of text in it
    filled: float  #: share of its fields in which something is
    longest: Finding  #: the text that shows best what it is


def outliers(results: Iterable[tuple[K, PeerResult]]) -> dict[K, Finding]:
    """
    Return what is odd about results beside those that the same goal brought from the same site.

    A suspicion is no proof: many urls may well have one answer.
    """
    found: dict[K, Finding] = {}
    for group in _by_goal(results).values():
        found |= dict(_sparse(group))
        found |= dict(_copied(group))
    return found


def _by_goal(results: Iterable[tuple[K, PeerResult]]) -> Mapping[object, dict[K, _Read]]:
    groups: dict[object, dict[K, _Read]] = defaultdict(dict)
    for key, result in results:
        value = parse_result(result.result)
        try:
            inside = [] if value is UNREADABLE else list(leaves(value))
        except TooLarge:
            continue
        if inside:
            groups[result.goal, _host(result.url)][key] = _read(result.url, inside)
    return groups


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return url


def _read(url: str, inside: list[Leaf]) -> _Read:
    # An answer that repeats its url is another one for each.
    said = [(leaf.path, str(leaf.value)) for leaf in inside if leaf.value != url]
    longest = max(inside, key=lambda leaf: len(str(leaf.value)))
    filled = [leaf for leaf in inside if leaf.value not in (None, "", [], {})]
    return _Read(
        url=url,
        answer=hashlib.sha256(json.dumps(said).encode()).digest(),
        said=sum(len(leaf.value) for leaf in inside if isinstance(leaf.value, str)),
        filled=len(filled) / len(inside),
        longest=Finding(rule=COPIED, path=named(longest.path), seen=shown(longest.value)),
    )


def _copied(group: Mapping[K, _Read]) -> Iterator[tuple[K, Finding]]:
    by_answer: dict[bytes, list[K]] = defaultdict(list)
    for key, read in group.items():
        by_answer[read.answer].append(key)
    for keys in by_answer.values():
        urls, first = {group[key].url for key in keys}, group[keys[0]]
        if (
            len(urls) < MIN_COPIES
            or len(keys) > MAX_COPY_SHARE * len(group)
            or first.said < MIN_TEXT_LENGTH
        ):
            continue
        finding = replace(first.longest, seen=f"{first.longest.seen} from {len(urls)} urls")
        for key in keys:
            yield key, finding


def _sparse(group: Mapping[K, _Read]) -> Iterator[tuple[K, Finding]]:
    usual = median(read.filled for read in group.values())
    if len(group) <= MIN_PEERS or usual < USUALLY_FILLED:
        return
    for key, read in group.items():
        if read.filled < SPARSE_SHARE * usual:
            seen = f"{read.filled:.0%} of its fields filled, where {usual:.0%} are usual"
            yield key, Finding(rule=SPARSE, path=".", seen=seen)
