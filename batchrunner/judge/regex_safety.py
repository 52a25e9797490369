"""Regular expressions in job files: which are safe to match, and on how long a text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from batchrunner.judge.regex_syntax import (
    Atom,
    Branch,
    Group,
    Part,
    Repeat,
    Special,
    parse_regex,
)

#: Longest pattern, in characters.
MAX_PATTERN_LENGTH = 200
#: Most steps of one match: some tens of milliseconds.
MAX_MATCH_STEPS = 1_000_000
#: A longer text is not matched. A pattern that is not safe for MIN_MATCHED_LENGTH is a mistake.
MAX_MATCHED_LENGTH = 1000
MIN_MATCHED_LENGTH = 100
#: Most repeats of a part that can match in different ways.
MAX_REPEATS = 20


class _Cost(NamedTuple):
    """In how many ways a part can match: *ways*, times the text's length to some *power*."""

    ways: int = 1
    power: int = 0

    def then(self, other: _Cost) -> _Cost:
        return _Cost(self.ways * other.ways, self.power + other.power)

    @property
    def is_one(self) -> bool:
        return self == (1, 0)


class _Unsafe(Exception):
    """The pattern has a part that may take forever; the message says which."""


def unsafe_reason(pattern: str) -> str | None:
    """Say what is wrong with a pattern, as the end of a sentence; None if it may be used."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"has {len(pattern)} characters; {MAX_PATTERN_LENGTH} are allowed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # syntax whose meaning is going to change
            re.compile(pattern)
        longest = _longest_text(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        return f"is no regular expression: {error}"
    except _Unsafe as unsafe:
        return str(unsafe)
    return (
        None
        if longest >= MIN_MATCHED_LENGTH
        else "has too many parts of any length, and could take very long"
    )


@lru_cache(maxsize=256)
def max_text_length(pattern: str) -> int:
    """Return how long a text may be to be matched by this pattern, which is a safe one."""
    return _longest_text(pattern)


def match_steps(pattern: str, length: int) -> int:
    """Return how many steps a match of this pattern, which is a safe one, takes at most."""
    cost = _cost_of(pattern)
    most: int = cost.ways * length**cost.power // _orders(cost.power)
    return max(length, most)


@lru_cache(maxsize=256)
def _cost_of(pattern: str) -> _Cost:
    return _of_all(parse_regex(pattern))


def _longest_text(pattern: str) -> int:
    longest = MAX_MATCHED_LENGTH
    while longest and match_steps(pattern, longest) > MAX_MATCH_STEPS:
        longest -= 10
    return longest


def _orders(power: int) -> int:
    # Parts of any length share one text, so their ends are in order and not independent.
    return 1 if power < 2 else power * _orders(power - 1)


def _of_all(parts: Iterable[Part]) -> _Cost:
    cost = _Cost()
    for part in parts:
        cost = cost.then(_of(part))
    return cost


def _of(part: Part) -> _Cost:
    match part:
        case Atom():
            return _Cost()
        case Group():
            return _of_all(part.parts)
        case Branch():
            costs = [_of_all(branch) for branch in part.branches]
            return _Cost(sum(cost.ways for cost in costs), max(cost.power for cost in costs))
        case Repeat():
            return _of_repeat(part)
        case Special():
            raise _Unsafe(f"has a part that is not allowed here ({part.name})")


def _of_repeat(repeat: Repeat) -> _Cost:
    inner, most = _of_all(repeat.parts), repeat.most
    if most == 1:
        return _Cost(inner.ways + 1, inner.power)
    if most is not None and most <= MAX_REPEATS and inner.ways**most <= MAX_MATCH_STEPS:
        return _Cost(inner.ways**most * (most - repeat.least + 1), inner.power * most)
    if not inner.is_one:
        raise _Unsafe("repeats a part that can itself match in many ways, and could take for ever")
    if most is None or most > MAX_MATCHED_LENGTH:
        return _Cost(1, 1)
    return _Cost(most - repeat.least + 1, 0)
