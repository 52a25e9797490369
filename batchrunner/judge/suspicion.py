"""What looks wrong about a result as a whole: its values are sorted into answers and the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple

from batchrunner.judge.field_names import FieldKind, is_named
from batchrunner.judge.goal import Goal
from batchrunner.judge.result_values import Leaf, TooLarge, groups
from batchrunner.judge.rules import (
    BANNER,
    BOT_WALL,
    EMPTY,
    ERROR_PAGE,
    GENERAL_RULES,
    GOAL_COPY,
    NOT_READY,
    PLACEHOLDER,
    REFUSAL,
    REPORTED,
    SCHEMA_ECHO,
    WALLS,
)
from batchrunner.judge.text_rules import TextFinding, finding_in, is_zero, mentions_wall
from batchrunner.judge.words import Words, listed, plain

#: Characters of a text that may be about an answer and no part of it.
MAX_METADATA = 500
#: Characters before the words of a wall, such as `Please`, where a goal asks for titles.
MAX_PLEASE = 8
#: Characters of texts that are looked through in one result: it bounds the time.
MAX_JUDGED_TEXT = 6000
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "float", "text"})
_SCHEMA_KEYS = ({"type", "properties"}, {"$schema"}, {"type", "items"})
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


@dataclass(slots=True)
class Suspicion:
    """What looks wrong about a result."""

    values: list[Value]  #: the worst one first
    is_wall: bool = False  #: all that it holds is the words of a wall


@dataclass(slots=True)
class _Sorted:
    """The values of a result, and whether some of them are an answer."""

    values: list[Value] = field(default_factory=list)
    odd: list[Value] = field(default_factory=list)  #: found in objects that hold little else
    has_answer: bool = False

    def of(self, *kinds: Kind) -> list[Value]:
        return [each for each in self.values if each.kind in kinds]


_ORDER = tuple(GENERAL_RULES)


def suspicion_about(value: Any, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    """
    Say what looks wrong about a value; None if nothing does.

    The rules in *off* are not applied.

    Raises:
        TooLarge: The value is nested too deep or has too many values.
    """
    seen = _sorted_values(value)
    if GOAL_COPY not in off and (copy := _copy_of_goal(seen, goal)):
        return Suspicion([copy])
    if seen.has_answer and not seen.odd:
        return None
    if seen.has_answer:
        return _of_odd_values(seen, goal, off)
    return _of_all_values(seen, goal, off)


def answers_in(value: Any) -> bool:
    """Say whether a value holds an answer, whatever else is in it."""
    try:
        return _sorted_values(value).has_answer
    except TooLarge:
        return True


def _copy_of_goal(seen: _Sorted, goal: Goal) -> Value | None:
    """Return the only value of a result if it is a text that repeats the goal."""
    if len(seen.values) != 1 or not isinstance(seen.values[0].leaf.value, str):
        return None
    leaf = seen.values[0].leaf
    return _found(leaf, GOAL_COPY) if goal.is_copied_in(leaf.value) else None


# ---- sorting ----


def _sorted_values(value: Any) -> _Sorted:
    seen = _Sorted()
    if isinstance(value, dict) and any(keys <= value.keys() for keys in _SCHEMA_KEYS):
        schema = Leaf(None, "", value)
        seen.values.append(Value(schema, Kind.FOUND, TextFinding(SCHEMA_ECHO)))
        return seen
    left = MAX_JUDGED_TEXT
    for group in groups(value):
        if seen.has_answer and not any(_is_nothing(leaf.value) for leaf in group):
            continue
        left = _sort_group(group, seen, left)
    return seen


def _sort_group(group: list[Leaf], seen: _Sorted, left: int) -> int:
    """Sort the values of one object or list; return how much text may still be looked through."""
    answers, sorted_here = 0, list[Value]()
    for leaf in group:
        each = _sort_leaf(leaf, left)
        left -= min(len(leaf.value), 800) if isinstance(leaf.value, str) else 0
        sorted_here.append(each)
        answers += each.kind is Kind.ANSWER
        if answers > len(group) // 2 + 1 and seen.has_answer:
            break
    nothing = sum(_is_nothing(each.leaf.value) for each in sorted_here)
    rules = (*WALLS, ERROR_PAGE, BANNER, NOT_READY)
    seen.odd += [
        each
        for each in sorted_here
        if each.found and each.rule in rules and nothing and nothing > answers - each.found.is_title
    ]
    seen.odd += [
        each
        for each in sorted_here
        if each.found and each.found.rule == REPORTED and (answers == 0 or each.leaf.is_top_field)
    ]
    seen.has_answer = seen.has_answer or answers > 0
    seen.values += sorted_here
    return left


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or value in ([], {})


def _sort_leaf(leaf: Leaf, left: int) -> Value:
    value = leaf.value
    if isinstance(value, str) and value.strip():
        return _sort_text(leaf, value.strip(), left)
    if _is_nothing(value) or isinstance(value, str):
        aside = is_named(leaf.key, FieldKind.ERRORS)
        return Value(leaf, Kind.ASIDE if aside else Kind.NOTHING)
    if isinstance(value, bool):
        return _sort_flag(leaf, value)
    if is_named(leaf.key, FieldKind.ERRORS):
        return Value(leaf, Kind.ASIDE) if value == 0 else _found(leaf, REPORTED)
    if is_named(leaf.key, FieldKind.COUNT):
        return Value(leaf, Kind.ANSWER if value == 0 else Kind.ASIDE)
    is_http_failure = value in range(400, 600) and is_named(leaf.key, FieldKind.OUTCOME)
    if is_http_failure or is_named(leaf.key, FieldKind.METADATA):
        return Value(leaf, Kind.ASIDE)
    return Value(leaf, Kind.ZERO if value == 0 else Kind.ANSWER)


def _sort_flag(leaf: Leaf, value: bool) -> Value:
    if is_named(leaf.key, FieldKind.ERRORS):
        return _found(leaf, REPORTED) if value else Value(leaf, Kind.ASIDE)
    if is_named(leaf.key, FieldKind.OUTCOME):
        is_failure = leaf.key.lower() in ("error", "failed", "is_error", "has_error", "has_errors")
        return Value(leaf, Kind.ASIDE) if value != is_failure else _found(leaf, REPORTED)
    if value and (rule := mentions_wall(leaf.key)):
        return _found(leaf, rule)
    return Value(leaf, Kind.ANSWER)


def _sort_text(leaf: Leaf, text: str, left: int) -> Value:
    if is_named(leaf.key, FieldKind.METADATA):
        found = finding_in(text) if len(text) < MAX_METADATA else None
        is_filler = found is not None and found.rule == PLACEHOLDER
        return Value(leaf, Kind.FOUND if is_filler else Kind.ASIDE, found if is_filler else None)
    if is_named(leaf.key, FieldKind.OUTCOME) and (value := _sort_outcome(leaf, text)):
        return value
    if is_named(leaf.key, FieldKind.ERRORS):
        return Value(leaf, Kind.ASIDE) if says_nothing(text) else _found(leaf, REPORTED)
    if is_zero(text):
        return Value(leaf, Kind.ZERO)
    if _repeats_name(text, leaf.key):
        return _found(leaf, SCHEMA_ECHO)
    found = finding_in(text) if left > 0 else None
    is_offer = is_named(leaf.key, FieldKind.OFFER)
    if found is None or (is_offer and found.rule in (PLACEHOLDER, BOT_WALL, REFUSAL)):
        remark = is_named(leaf.key, FieldKind.REMARK)
        return Value(leaf, Kind.REMARK if remark else Kind.ANSWER)
    return Value(leaf, Kind.FOUND, found)


def _sort_outcome(leaf: Leaf, text: str) -> Value | None:
    if _WORD_SUCCESSES.fullmatch(text):
        return Value(leaf, Kind.ASIDE)
    if _WORD_FAILURES.fullmatch(text):
        return _found(leaf, REPORTED)
    rule = mentions_wall(text) if len(text) < 60 else None
    return _found(leaf, rule) if rule else None


def _found(leaf: Leaf, rule: str) -> Value:
    return Value(leaf, Kind.FOUND, TextFinding(rule))


def says_nothing(text: str) -> bool:
    """Say whether a text in a field for errors says that there is none."""
    words = plain(text)
    found = finding_in(text)
    placeholder = found is not None and found.rule in (PLACEHOLDER, EMPTY) and found.is_title
    return placeholder or (len(text) < 60 and _no_error().whole(words) is not None)


@cache
def _no_error() -> Words[str]:
    return Words(("", word) for word in listed("goal_words.toml")["no_error"]["all"])


def _repeats_name(text: str, key: str) -> bool:
    """Say whether a value repeats its field's name or type, as in a description of a result."""
    if len(text) > 60 or not key:
        return False
    name, words = plain(key), plain(text)
    return text.lower() in _TYPES or words == name


# ---- judging ----


def _of_odd_values(seen: _Sorted, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    odd = [
        each
        for each in seen.odd
        if each.rule not in off and not _is_asked_for(each, goal) and not _is_works(each, goal)
    ]
    return Suspicion(_worst_first(odd)) if odd else None


def _of_all_values(seen: _Sorted, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    found = seen.of(Kind.FOUND)
    if any(_is_asked_for(each, goal) for each in found):
        return None
    nothing, remarks, zeros = seen.of(Kind.NOTHING), seen.of(Kind.REMARK), seen.of(Kind.ZERO)
    if any(_is_requested(each, goal) for each in (*seen.of(Kind.ASIDE), *remarks)):
        return None
    if _are_works(found, nothing, goal):
        return None
    if len(found) == 1 and found[0].found and found[0].found.weak and not nothing:
        return None
    found = [each for each in found if each.rule not in off and not _is_valid(each, nothing, goal)]
    if not found and remarks and all(each.leaf.value is not None for each in nothing):
        return None
    if not found and zeros and not nothing:
        return None
    found += _without_words(seen, goal, off) if not found else []
    if not found:
        return None
    return Suspicion(_worst_first(found), is_wall=_is_wall(seen, found, goal))


def _without_words(seen: _Sorted, goal: Goal, off: frozenset[str]) -> Iterator[Value]:
    """Give what is wrong where no rule finds words."""
    nothing, remarks, zeros = seen.of(Kind.NOTHING), seen.of(Kind.REMARK), seen.of(Kind.ZERO)
    excused = bool(nothing) and (
        goal.allows_nothing_in(each.leaf.key for each in nothing)
        or (goal.may_be_none and all(isinstance(each.leaf.value, list) for each in nothing))
    )
    if excused or (seen.of(Kind.FOUND) and not nothing):
        return
    if remarks and REFUSAL not in off:
        yield _found(remarks[0].leaf, REFUSAL)
    elif zeros and PLACEHOLDER not in off:
        yield _found(zeros[0].leaf, PLACEHOLDER)
    elif EMPTY not in off and not remarks and not zeros:
        aside = seen.of(Kind.ASIDE)
        outcome = [each for each in aside if not is_named(each.leaf.key, FieldKind.METADATA)]
        if nothing or outcome or not aside:
            yield _found((nothing or outcome or seen.values)[0].leaf, EMPTY)


def _worst_first(values: Iterable[Value]) -> list[Value]:
    return sorted(values, key=lambda each: _ORDER.index(each.rule))


def _is_wall(seen: _Sorted, found: list[Value], goal: Goal) -> bool:
    """Say whether all that a result holds is the words of a wall, as the page shows them."""
    if seen.of(Kind.REMARK, Kind.ZERO) or any(each.rule not in WALLS for each in found):
        return False
    if not seen.of(Kind.NOTHING) and not all(_is_page_text(each.leaf) for each in found):
        return False
    alone = goal.is_about_texts_of_others and not seen.of(Kind.NOTHING)
    return all(
        wall.certain and not (alone and (wall.is_title or wall.start > MAX_PLEASE))
        for wall in (each.found for each in found)
        if wall is not None
    )


def _is_page_text(leaf: Leaf) -> bool:
    """Say whether a text is the whole answer, or in a field for a page's title or text."""
    kinds = (FieldKind.TITLE, FieldKind.REMARK, FieldKind.ERRORS)
    return not leaf.key or any(is_named(leaf.key, kind) for kind in kinds)


def _is_asked_for(value: Value, goal: Goal) -> bool:
    """Say whether the goal asks for what a rule finds, or names the very words."""
    rule, text = value.rule, value.leaf.value
    if goal.asks_for(rule):
        return True
    if not isinstance(text, str) and goal.requests(value.leaf.key):
        return True
    if rule == REPORTED and goal.requests(value.leaf.key):
        return True
    words = isinstance(text, str) and rule in (PLACEHOLDER, REFUSAL, ERROR_PAGE, NOT_READY, EMPTY)
    return words and len(text) < 60 and goal.contains(text)


def _is_requested(value: Value, goal: Goal) -> bool:
    return goal.requests(value.leaf.key) and not _is_nothing(value.leaf.value)


def _are_works(found: list[Value], nothing: list[Value], goal: Goal) -> bool:
    """Say whether all that rules find may be the words of others that the goal asks for."""
    return bool(found) and not nothing and all(_is_works(each, goal) for each in found)


def _is_works(value: Value, goal: Goal) -> bool:
    found = value.found
    if found is None or found.is_title or not isinstance(value.leaf.value, str):
        return False
    return (
        goal.is_about_texts_of_others
        and found.rule in (*WALLS, REFUSAL, ERROR_PAGE, NOT_READY, BANNER)
        and not (found.rule == REFUSAL and found.start < 60 and value.leaf.key == "")
        and not (found.certain and found.start <= MAX_PLEASE)
    )


def _is_valid(value: Value, nothing: list[Value], goal: Goal) -> bool:
    """Say whether words for nothing are an answer to this goal."""
    found = value.found
    if found is None or found.rule not in (PLACEHOLDER, REFUSAL, REPORTED, EMPTY):
        return False
    if found.rule == REFUSAL and not found.absence and goal.is_about_access(value.leaf.value):
        return False
    if goal.says_what_if_nothing:
        return goal.allows_nothing_in([value.leaf.key])
    return goal.may_be_none and found.absence and not nothing
