"""What a single value of a result is: an answer, nothing, a remark, or what a rule finds."""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

from batchrunner.judge.field_names import FieldKind, kinds_of
from batchrunner.judge.result_values import Leaf
from batchrunner.judge.rules import BOT_WALL, EMPTY, PLACEHOLDER, REFUSAL, REPORTED, SCHEMA_ECHO
from batchrunner.judge.text_rules import TextFinding, finding_in, is_zero, mentions_wall
from batchrunner.judge.words import Words, listed, plain

#: Characters of a text that may be about an answer and no part of it.
MAX_METADATA = 500
#: A longer text in a field for errors says something.
MAX_NO_ERROR = 80
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "float", "text"})
_WORD_FAILURES = re.compile(
    r"(?:(?:goal|task)[ _-])?(?:fail(?:ed|ure)?|errors?|unsuccessful|not[ _-]found|incomplete|"
    r"aborted|timed?[ _-]?out|partial|unable|not[ _-]achieved|no[ _-](?:data|results?))",
    re.IGNORECASE,
)
_WORD_SUCCESSES = re.compile(
    r"success(?:ful(?:ly)?)?|succeeded|ok(?:ay)?|done|complete[d]?|finished|true|achieved|yes|200",
    re.IGNORECASE,
)


class Kind(Enum):
    """What a single value contributes to an answer."""

    NOTHING = auto()  #: null, a blank text, an empty list
    ZERO = auto()  #: a zero that counts nothing
    COUNT = auto()  #: how many there are, or a place in a list: no answer beside an empty list
    ASIDE = auto()  #: about the answer, and no part of it
    REMARK = auto()  #: an agent's remark about an answer
    FOUND = auto()  #: what a rule finds
    ANSWER = auto()  #: anything else


class Value(NamedTuple):
    """A single value of a result, and what it is."""

    leaf: Leaf
    kind: Kind
    found: TextFinding | None = None  #: only of what a rule finds

    @property
    def rule(self) -> str:
        """Return the rule that finds it; empty: none."""
        return self.found.rule if self.found else ""


def is_nothing(value: Any) -> bool:
    """Say whether a value is null, no text, or an empty list or object."""
    return not value and (value is None or isinstance(value, str | list | dict))


def value_of(leaf: Leaf, left: int) -> Value:
    """Say what a single value is; its text is looked through if some is *left* to be."""
    value, kinds = leaf.value, kinds_of(leaf.key)
    if isinstance(value, str) and (text := value.strip()):
        return _sort_text(leaf, kinds, text, left)
    if is_nothing(value) or isinstance(value, str):
        aside = FieldKind.ERRORS in kinds
        return Value(leaf, Kind.ASIDE if aside else Kind.NOTHING)
    if isinstance(value, bool):
        return _sort_flag(leaf, kinds, value)
    if FieldKind.ERRORS in kinds:
        return Value(leaf, Kind.ASIDE) if value == 0 else value_found(leaf, REPORTED)
    if FieldKind.COUNT in kinds:
        return Value(leaf, Kind.ANSWER if value == 0 else Kind.COUNT)
    if FieldKind.PAGING in kinds:
        return Value(leaf, Kind.COUNT)
    is_code = leaf.key.lower() == "code" or FieldKind.OUTCOME in kinds
    is_http_failure = value in range(400, 600) and is_code
    if is_http_failure or FieldKind.METADATA in kinds:
        return Value(leaf, Kind.ASIDE)
    return Value(leaf, Kind.ZERO if value == 0 else Kind.ANSWER)


def _sort_flag(leaf: Leaf, kinds: frozenset[FieldKind], value: bool) -> Value:
    if FieldKind.ERRORS in kinds:
        return value_found(leaf, REPORTED) if value else Value(leaf, Kind.ASIDE)
    if FieldKind.OUTCOME in kinds:
        is_failure = leaf.key.lower() in ("error", "failed", "is_error", "has_error", "has_errors")
        return Value(leaf, Kind.ASIDE) if value != is_failure else value_found(leaf, REPORTED)
    if value and (rule := mentions_wall(leaf.key)):
        return value_found(leaf, rule)
    return Value(leaf, Kind.COUNT if FieldKind.PAGING in kinds else Kind.ANSWER)


def _sort_text(leaf: Leaf, kinds: frozenset[FieldKind], text: str, left: int) -> Value:
    if FieldKind.METADATA in kinds:
        found = finding_in(text) if len(text) < MAX_METADATA else None
        is_filler = found is not None and found.rule == PLACEHOLDER
        return Value(leaf, Kind.FOUND, found) if is_filler else Value(leaf, Kind.ASIDE)
    if FieldKind.OUTCOME in kinds and (value := _sort_outcome(leaf, text)):
        return value
    if FieldKind.ERRORS in kinds:
        return Value(leaf, Kind.ASIDE) if says_nothing(text) else value_found(leaf, REPORTED)
    if is_zero(text):
        return Value(leaf, Kind.ZERO)
    if _repeats_name(text, leaf.key):
        return value_found(leaf, SCHEMA_ECHO)
    is_number = text.isdigit() and FieldKind.TITLE not in kinds
    found = finding_in(text) if left > 0 and not is_number else None
    is_offer = FieldKind.OFFER in kinds
    if found is None or (is_offer and found.rule in (PLACEHOLDER, BOT_WALL, REFUSAL)):
        if FieldKind.REMARK in kinds:
            return Value(leaf, Kind.REMARK)
        return Value(leaf, Kind.COUNT if FieldKind.PAGING in kinds else Kind.ANSWER)
    return Value(leaf, Kind.FOUND, found)


def _sort_outcome(leaf: Leaf, text: str) -> Value | None:
    if _WORD_SUCCESSES.fullmatch(text):
        return Value(leaf, Kind.ASIDE)
    if _WORD_FAILURES.fullmatch(text):
        return value_found(leaf, REPORTED)
    rule = mentions_wall(text) if len(text) < 60 else None
    return value_found(leaf, rule) if rule else None


def value_found(leaf: Leaf, rule: str) -> Value:
    """Return a value that a rule finds."""
    return Value(leaf, Kind.FOUND, TextFinding(rule))


def says_nothing(text: str) -> bool:
    """Say whether a text in a field for errors says that there is none."""
    words = plain(text)
    found = finding_in(text)
    if found is not None and found.rule in (PLACEHOLDER, EMPTY) and found.is_title:
        return True
    if len(text) > MAX_NO_ERROR:
        return False
    kinds = {match.kind for match in _no_error().find(words)}
    return "but" not in kinds and ("part" in kinds or _no_error().whole(words) == "all")


@cache
def _no_error() -> Words[str]:
    """Return the words that say that there is no error, and those that take it back."""
    listed_words = listed("goal_words.toml")["no_error"]
    return Words((kind, word) for kind, words in listed_words.items() for word in words)


def _repeats_name(text: str, key: str) -> bool:
    """Say whether a value repeats its field's name or type, as in a description of a result."""
    if len(text) > 60 or not key:
        return False
    return text.lower() in _TYPES or text.replace("_", " ").casefold() == plain(key).strip()
