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
#: What stands at a path at which nothing is.
MISSING: Final = object()


class PathMatch(NamedTuple):
    """What stands at a path, with the places in lists that led there."""

    path: str
    value: Any  #: MISSING where nothing is


def is_path(text: str) -> bool:
    """Say whether a text is a path."""
    return text == WHOLE or (len(text) <= MAX_PATH_LENGTH and _PATH.fullmatch(text) is not None)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str, ...]:
    return () if path == WHOLE else tuple(_STEP.findall(path))


def find(value: Any, path: str) -> Iterator[PathMatch]:
    """Give everything at a path; a way that ends early gives what is missing there."""
    found = [PathMatch("", value)]
    for step in _steps(path):
        found = [after for before in found for after in _inside(before, step)]
    for each in found:
        yield PathMatch(each.path or WHOLE, each.value)


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
