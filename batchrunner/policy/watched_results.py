"""What the check of a running batch remembers of a result: which fields hold something; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from batchrunner.judge.answer import read_answer

#: The most fields of an answer that are looked at, and how deep.
MAX_FIELDS, MAX_DEPTH = 200, 4
#: The most characters of a field's path that are kept.
MAX_NAME = 200
#: The most values of an answer that are looked at.
MAX_VALUES = 2000
#: A text of this length says more than a yes, a no or a name of a state.
SPECIFIC_LENGTH = 12
#: A number from here on says more than a count or a mark.
SPECIFIC_NUMBER = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerFields:
    """Which fields of an answer hold something, and which are there and hold nothing."""

    filled: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    digest: str = ""  #: of the whole answer; '': it holds nothing
    specific: bool = False  #: it says so much that two pages hardly have the same one


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedResult:
    """A result of a run, as far as the check needs it."""

    job_id: int
    attempt_id: int
    finished_at: datetime  #: by the API's clock where it says so
    closed_at: datetime  #: by the store's
    host: str
    url: str
    goal: str
    #: What may explain that a result is different: where its page is, and the cells of its row.
    kinds: Mapping[str, str]
    good: bool  #: neither suspect nor bad
    fields: AnswerFields | None  #: None: it is no object or list, or it was too long to read
    #: The fields that the same job's result held in the last good edition; None: no such result.
    held_before: frozenset[str] | None = None


def fields_of(text: str | None) -> AnswerFields | None:
    """Return which fields of a result hold something; None if it has no fields."""
    if text is None:
        return None
    answer = read_answer(text)
    if not isinstance(answer.value, dict | list):
        return None
    filled: set[str] = set()
    empty: set[str] = set()
    specific = False
    for path, value in _leaves(answer.value):
        (filled if _holds(value) else empty).add(path[:MAX_NAME])
        specific = specific or _is_specific(value)
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest() if filled else ""
    return AnswerFields(
        filled=_shared(frozenset(filled)),
        empty=_shared(frozenset(empty - filled)),
        digest=digest,
        specific=specific,
    )


@lru_cache(maxsize=256)
def _shared(names: frozenset[str]) -> frozenset[str]:
    """Return the same object for the same names: most results of a batch have the same fields."""
    return names


def _leaves(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield paths and values, all items of a list under one path; not more than the limits."""
    stack, seen, paths = [("", value, 0)], 0, set[str]()
    while stack and seen < MAX_VALUES:
        path, here, depth = stack.pop()
        seen += 1
        inner: Sequence[tuple[str, Any]] = ()
        if isinstance(here, dict) and depth < MAX_DEPTH:
            inner = [(f"{path}.{name}" if path else str(name), part) for name, part in here.items()]
        elif isinstance(here, list) and depth < MAX_DEPTH:
            inner = [(f"{path}[]", part) for part in here]
        if path and (path in paths or len(paths) < MAX_FIELDS):
            paths.add(path)
            yield path, here
        stack.extend((name, part, depth + 1) for name, part in reversed(inner[:MAX_VALUES]))


def _holds(value: Any) -> bool:
    if isinstance(value, dict):
        return any(part is not None for part in value.values())
    return not (value is None or value == [] or (isinstance(value, str) and not value.strip()))


def _is_specific(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) >= SPECIFIC_LENGTH
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) >= SPECIFIC_NUMBER


def place_of(url: str) -> str:
    """Return where a page is on its host: its path without the last part, digits left out."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    folder = path.rstrip("/").rpartition("/")[0]
    return "".join(letter for letter in folder if not letter.isdigit())
