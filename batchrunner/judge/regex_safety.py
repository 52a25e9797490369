"""Regular expressions in job files: which are safe to match, and on how long a text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from re import _constants as ops  # type: ignore[attr-defined]  # re's own parser, and its only one
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

#: Longest pattern, in characters.
MAX_PATTERN_LENGTH = 200
#: Most steps of one match: some tens of milliseconds.
MAX_MATCH_STEPS = 1_000_000
#: A longer text is not matched. A pattern that is not safe for MIN_MATCHED_LENGTH is a mistake.
MAX_MATCHED_LENGTH = 1000
MIN_MATCHED_LENGTH = 100
#: Most repeats of a part that can match in different ways.
MAX_REPEATS = 20

_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT)
_ONES = (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN, ops.CATEGORY, ops.AT)


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


def _longest_text(pattern: str) -> int:
    cost = _of_all(parser.parse(pattern))
    longest = MAX_MATCHED_LENGTH
    while longest and cost.ways * longest**cost.power // _orders(cost.power) > MAX_MATCH_STEPS:
        longest -= 10
    return longest


def _orders(power: int) -> int:
    # Parts of any length share one text, so their ends are in order and not independent.
    return 1 if power < 2 else power * _orders(power - 1)


def _of_all(parts: Iterable[tuple[Any, Any]]) -> _Cost:
    cost = _Cost()
    for op, value in parts:
        cost = cost.then(_of(op, value))
    return cost


def _of(op: Any, value: Any) -> _Cost:
    if op in _ONES:
        return _Cost()
    if op is ops.SUBPATTERN:
        return _of_all(value[-1])
    if op is ops.BRANCH:
        costs = [_of_all(branch) for branch in value[1]]
        return _Cost(sum(cost.ways for cost in costs), max(cost.power for cost in costs))
    if op in _REPEATS:
        return _of_repeat(*value)
    raise _Unsafe(f"has a part that is not allowed here ({str(op).lower()})")


def _of_repeat(least: int, most: int, parts: Any) -> _Cost:
    inner = _of_all(parts)
    if most == 1:
        return _Cost(inner.ways + 1, inner.power)
    if most <= MAX_REPEATS and inner.ways**most <= MAX_MATCH_STEPS:
        return _Cost(inner.ways**most * (most - least + 1), inner.power * most)
    if not inner.is_one:
        raise _Unsafe("repeats a part that can itself match in many ways, and could take for ever")
    if most > MAX_MATCHED_LENGTH:
        return _Cost(1, 1)
    return _Cost(most - least + 1, 0)
