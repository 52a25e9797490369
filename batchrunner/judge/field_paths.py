"""Paths to the fields of a result: `price`, `items[].name`, `.` for the whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

WHOLE = "."
#: Longest path, in characters.
MAX_PATH_LENGTH = 200

_PATH = re.compile(r"(?:[^.\[\]\s][^.\[\]]*|(?=\[\]))(?:\[\])*(?:\.[^.\[\]\s][^.\[\]]*(?:\[\])*)*")
_STEP = re.compile(r"\[\]|[^.\[\]]+")
#: Stands for the value at a path that does not exist.
MISSING: Final = object()


class PathMatch(NamedTuple):
    """A value at a path, with the list indexes that lead to it."""

    path: str
    value: Any  #: MISSING if there is none


def is_path(text: str) -> bool:
    """Say whether a text is a path."""
    return text == WHOLE or (len(text) <= MAX_PATH_LENGTH and _PATH.fullmatch(text) is not None)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    return () if path == WHOLE else tuple(_STEP.findall(path))


def first_field(path: str) -> str:
    """Return the field of a result that a path begins with; empty: it begins with none."""
    return path.partition(".")[0].partition("[")[0]


def find(value: Any, path: str) -> Iterator[PathMatch]:
    """Give every match of a path; where the path breaks off, a match with MISSING."""
    for each in _find(PathMatch("", value), _steps(path)):
        yield PathMatch(each.path or WHOLE, each.value)


def _find(found: PathMatch, steps: tuple[str, ...]) -> Iterator[PathMatch]:
    # One match at a time: a list may have millions of items.
    if not steps:
        yield found
        return
    for after in _inside(found, steps[0]):
        yield from _find(after, steps[1:])


def _inside(found: PathMatch, step: str) -> Iterator[PathMatch]:
    path, value = found
    if step == "[]":
        if isinstance(value, list):
            yield from (PathMatch(f"{path}[{place}]", one) for place, one in enumerate(value))
        else:
            yield PathMatch(f"{path}[]", MISSING)
    else:
        part = value.get(step, MISSING) if isinstance(value, dict) else MISSING
        yield PathMatch(f"{path}.{step}" if path else step, part)
