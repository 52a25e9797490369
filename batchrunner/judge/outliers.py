"""Results that differ from similar jobs' results: copied ones and half-empty ones."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple, TypeVar

from batchrunner.judge.answer import read_answer
from batchrunner.judge.result_values import Leaf, TooLarge, leaves, named, shown
from batchrunner.model import Finding
from batchrunner.model.hosts import host_of

COPIED = "copied"
SPARSE = "sparse"

#: Urls with the same answer that make it suspicious.
MIN_COPIES = 4
#: Shorter answers may be equal by chance: a rate, a yes, a country.
MIN_COPIED_TEXT_LENGTH = 10
#: Where nearly all jobs with this goal got one answer, a short one may be right.
MAX_COPY_SHARE = 0.8
MIN_SHARED_TEXT_LENGTH = 16
#: Peers that are needed for a comparison, and the least share of fields they usually fill.
MIN_PEERS = 8
USUALLY_FILLED = 0.8
#: A result that fills less than this share of the usual is suspicious.
SPARSE_SHARE = 0.4

K = TypeVar("K")


class PeerResult(NamedTuple):
    """What a comparison needs to know of a job and its result."""

    url: str
    goal: str
    result: str


class _ResultSummary(NamedTuple):
    """What a comparison keeps of a result: little, because a batch has many."""

    url: str
    answer: bytes  #: digest of its values
    text_length: int  #: characters of text in it
    filled: float  #: share of its fields that have a value
    longest: Finding  #: its longest text


def outliers(results: Iterable[tuple[K, PeerResult]]) -> dict[K, Finding]:
    """
    Return what is suspicious about results, compared with the same goal's on the same site.

    A suspicion is no proof: many urls may have the same answer.
    """
    found: dict[K, Finding] = {}
    for group in _by_goal(results).values():
        found |= dict(_sparse(group))
        found |= dict(_copied(group))
    return found


def _by_goal(results: Iterable[tuple[K, PeerResult]]) -> Mapping[object, dict[K, _ResultSummary]]:
    groups: dict[object, dict[K, _ResultSummary]] = defaultdict(dict)
    for key, result in results:
        answer = read_answer(result.result)
        try:
            inside = list(leaves(answer.value)) if answer.is_json and not answer.set_aside else []
        except TooLarge:
            continue
        if inside:
            groups[result.goal, host_of(result.url)][key] = _summary(result.url, inside)
    return groups


def _summary(url: str, inside: list[Leaf]) -> _ResultSummary:
    # The url itself is left out: it makes each answer different.
    answer = hashlib.sha256()
    inside = [leaf for leaf in inside if leaf.value != url]
    for leaf in inside:
        for text in (leaf.path, _text(leaf.value)):
            answer.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
    longest = max(inside, key=lambda leaf: len(_text(leaf.value)), default=Leaf(None, "", ""))
    filled = [leaf for leaf in inside if leaf.value not in (None, "", [], {})]
    return _ResultSummary(
        url=url,
        answer=answer.digest(),
        text_length=sum(len(leaf.value) for leaf in inside if isinstance(leaf.value, str)),
        filled=len(filled) / max(len(inside), 1),
        longest=Finding(rule=COPIED, path=named(longest.path), seen=shown(longest.value)),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _copied(group: Mapping[K, _ResultSummary]) -> Iterator[tuple[K, Finding]]:
    by_answer: dict[bytes, list[K]] = defaultdict(list)
    for key, read in group.items():
        by_answer[read.answer].append(key)
    for keys in by_answer.values():
        urls, length = {group[key].url for key in keys}, group[keys[0]].text_length
        is_shared = len(keys) > MAX_COPY_SHARE * len(group)
        least = MIN_SHARED_TEXT_LENGTH if is_shared else MIN_COPIED_TEXT_LENGTH
        if len(urls) < MIN_COPIES or length < least:
            continue
        for key in keys:
            longest = group[key].longest
            yield key, replace(longest, seen=f"{longest.seen} from {len(urls)} urls")


def _sparse(group: Mapping[K, _ResultSummary]) -> Iterator[tuple[K, Finding]]:
    usual = median(read.filled for read in group.values())
    if len(group) <= MIN_PEERS or usual < USUALLY_FILLED:
        return
    for key, read in group.items():
        if read.filled < SPARSE_SHARE * usual:
            seen = f"{read.filled:.0%} of its fields filled, where {usual:.0%} are usual"
            yield key, Finding(rule=SPARSE, path=".", seen=seen)
