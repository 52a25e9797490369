"""What the check of a running batch remembers of a result: which fields hold something; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from batchrunner.judge.answer import read_answer
from batchrunner.quality import fields as quality_fields

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
    delivered: bool = True  #: good or suspect
    fields: AnswerFields | None  #: None: it is not an object or list, or it was too long to read
    #: The fields that the same job's result held in the last good edition; None: no such result.
    held_before: frozenset[str] | None = None


def fields_of(text: str | None) -> AnswerFields | None:
    """Return which fields of a result hold something; None if it has no fields."""
    if text is None:
        return None
    answer = read_answer(text)
    if not isinstance(answer.value, dict | list):
        return None
    filled, empty = quality_fields.fields_of(answer.value)
    specific = any(_is_specific(cell.value) for cell in quality_fields.cells_of(answer.value)[0])
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest() if filled else ""
    return AnswerFields(
        filled=_shared(frozenset(filled)),
        empty=_shared(frozenset(empty)),
        digest=digest,
        specific=specific,
    )


@lru_cache(maxsize=256)
def _shared(names: frozenset[str]) -> frozenset[str]:
    """Return the same object for the same names: most results of a batch have the same fields."""
    return names


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
