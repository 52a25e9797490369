"""What looks wrong about a result as a whole, given the goal of its job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from batchrunner.judge.field_names import FieldKind, is_named
from batchrunner.judge.goal import Goal, holds_quoted_text
from batchrunner.judge.result_values import Leaf
from batchrunner.judge.rules import (
    BANNER,
    EMPTY,
    ERROR_PAGE,
    GENERAL_RULES,
    GOAL_COPY,
    LOGIN_WALL,
    NOT_READY,
    PLACEHOLDER,
    REFUSAL,
    REPORTED,
    SCHEMA_ECHO,
    WALLS,
)
from batchrunner.judge.sorted_values import SortedValues, sorted_values
from batchrunner.judge.stand_ins import is_template_of
from batchrunner.judge.text_rules import is_said_by_agent
from batchrunner.judge.value_kinds import Kind, Value, is_nothing, value_found

#: Characters before the words of a wall, such as `Please`, where a goal asks for titles.
MAX_PLEASE = 8
#: Fields of a result beside what the agent did.
MAX_BESIDE_STEPS = 6
#: A longer text that begins with a login may be about logins.
MAX_PLAIN_WALL = 120
#: Characters of an answer that the goal itself may name.
MAX_CHOICE_LENGTH = 60
#: Characters before a refusal in an agent's own words.
MAX_AGENT_START = 60
_NOT_SEEN = (REFUSAL, *WALLS)
_SPEECH = (*WALLS, REFUSAL, ERROR_PAGE, NOT_READY, BANNER)
_MAY_BE_VALID = (PLACEHOLDER, REFUSAL, REPORTED, EMPTY, *WALLS)
_ORDER = tuple(GENERAL_RULES)


@dataclass(slots=True)
class Suspicion:
    """What looks wrong about a result."""

    values: list[Value]  #: the worst one first
    is_wall: bool = False  #: all that it holds is the words of a wall


def suspicion_about(value: Any, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    """
    Say what looks wrong about a value; None if nothing does.

    The rules in *off* are not applied.

    Raises:
        TooLarge: The value is nested too deep or has too many values.
    """
    seen = sorted_values(_without_steps(value, goal))
    if GOAL_COPY not in off and (copy := _copy_of_goal(seen, goal)):
        return Suspicion([copy])
    if SCHEMA_ECHO not in off and _is_template(value, seen, goal):
        return Suspicion([value_found(Leaf(None, "", value), SCHEMA_ECHO)])
    if seen.has_answer and not seen.odd:
        return None
    if seen.has_answer:
        return _beside_answers(seen, goal, off)
    return _without_answers(seen, goal, off)


def _without_steps(value: Any, goal: Goal) -> Any:
    """Return a result without the list of what an agent did, unless the goal asks for it."""
    if not isinstance(value, dict) or not 1 < len(value) <= MAX_BESIDE_STEPS:
        return value
    rest = {
        name: part
        for name, part in value.items()
        if not (isinstance(part, list) and is_named(name, FieldKind.STEPS)) or goal.requests(name)
    }
    return next(iter(rest.values())) if len(rest) == 1 < len(value) else rest or value


def _is_template(value: Any, seen: SortedValues, goal: Goal) -> bool:
    """Say whether a result is the example of its goal, and no answer that the goal names."""
    if goal.asks_for(SCHEMA_ECHO) or goal.asks_for(PLACEHOLDER):
        return False
    says_nothing = any(each.found and each.found.absence for each in seen.values)
    return not says_nothing and is_template_of(value, goal.text)


def _copy_of_goal(seen: SortedValues, goal: Goal) -> Value | None:
    """Return the only value of a result if it is a text that repeats the goal."""
    if len(seen.values) != 1 or not isinstance(seen.values[0].leaf.value, str):
        return None
    leaf = seen.values[0].leaf
    return value_found(leaf, GOAL_COPY) if goal.is_copied_in(leaf.value) else None


def _beside_answers(seen: SortedValues, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    odd = [
        each
        for each in seen.odd
        if each.rule not in off
        and not _is_asked_for(each, goal)
        and not _is_quoted_text(each, goal)
    ]
    return Suspicion(_worst_first(odd)) if odd else None


def _without_answers(seen: SortedValues, goal: Goal, off: frozenset[str]) -> Suspicion | None:
    found = seen.of(Kind.FOUND)
    asked = [each for each in found if _is_asked_for(each, goal)]
    # What stands beside a status that the goal asks for may say that it was not seen.
    if asked and not any(each.rule in _NOT_SEEN and each not in asked for each in found):
        return None
    found = [each for each in found if each not in asked]
    nothing, remarks, zeros = seen.of(Kind.NOTHING), seen.of(Kind.REMARK), seen.of(Kind.ZERO)
    missed = [each for each in seen.of(Kind.ASIDE) if _counts_what_is_missing(each, seen)]
    if not found and _is_what_was_requested(seen, missed, goal):
        return None
    if _are_quoted_text(found, nothing, goal):
        return None
    if len(found) == 1 and not nothing and _may_stand_alone(found[0]):
        return None
    found = [each for each in found if each.rule not in off and not _is_valid(each, nothing, goal)]
    if not found and remarks and all(each.leaf.value is not None for each in nothing):
        return None
    if not found and zeros and not nothing:
        return None
    found += _without_words(seen, missed, goal, off) if not found else []
    if not found:
        return None
    return Suspicion(_worst_first(found), is_wall=_is_wall(seen, found, goal))


def _is_what_was_requested(seen: SortedValues, missed: list[Value], goal: Goal) -> bool:
    """Say whether what is not an answer elsewhere is what the goal asks for by name."""
    beside = [each for each in seen.of(Kind.ASIDE, Kind.REMARK) if each not in missed]
    requested = sum(_is_requested(each, goal) for each in beside)
    return requested > 0 and len(seen.of(Kind.NOTHING)) <= requested


def _counts_what_is_missing(value: Value, seen: SortedValues) -> bool:
    """Say whether a value says how many there are, and all lists are empty."""
    number = value.leaf.value
    is_count = type(number) is int and number > 0 and is_named(value.leaf.key, FieldKind.HITS)
    return is_count and seen.only_empty_lists


def _may_stand_alone(value: Value) -> bool:
    """Say whether words may be the answer if they are the only value."""
    if value.found is None or not value.found.weak:
        return False
    is_remark = not value.leaf.key or is_named(value.leaf.key, FieldKind.REMARK)
    return value.rule == PLACEHOLDER or not is_remark


def _without_words(
    seen: SortedValues, missed: list[Value], goal: Goal, off: frozenset[str]
) -> Iterator[Value]:
    """Give what is wrong where no rule finds words; *missed* are counts of empty lists."""
    if missed and EMPTY not in off and not goal.says_what_if_nothing:
        yield value_found(missed[0].leaf, EMPTY)
        return
    nothing, remarks, zeros = seen.of(Kind.NOTHING), seen.of(Kind.REMARK), seen.of(Kind.ZERO)
    excused = bool(nothing) and (
        goal.allows_nothing_in(each.leaf.key for each in nothing)
        or (goal.may_be_none and all(isinstance(each.leaf.value, list) for each in nothing))
    )
    if excused or (seen.of(Kind.FOUND) and not nothing):
        return
    if remarks and REFUSAL not in off:
        yield value_found(remarks[0].leaf, REFUSAL)
    elif zeros and not all(isinstance(each.leaf.value, list) for each in nothing):
        if PLACEHOLDER not in off:
            yield value_found(zeros[0].leaf, PLACEHOLDER)
    elif EMPTY not in off and not remarks and not zeros:
        aside = seen.of(Kind.ASIDE)
        if nothing or not all(_is_link(each) for each in aside):
            yield value_found((nothing or aside)[0].leaf, EMPTY)


def _is_link(value: Value) -> bool:
    return isinstance(value.leaf.value, str) and "://" in value.leaf.value


def _worst_first(values: Iterable[Value]) -> list[Value]:
    return sorted(values, key=lambda each: _ORDER.index(each.rule))


def _is_wall(seen: SortedValues, found: list[Value], goal: Goal) -> bool:
    """Say whether all that a result holds is the words of a wall, as the page shows them."""
    if goal.asks_for_words:
        return False
    if seen.of(Kind.REMARK, Kind.ZERO) or any(each.rule not in WALLS for each in found):
        return False
    if not seen.of(Kind.NOTHING) and not all(_is_page_text(each.leaf) for each in found):
        return False
    alone = goal.asks_for_quoted_text and not seen.of(Kind.NOTHING)
    return all(
        wall.certain and not (alone and (wall.is_title or wall.start > MAX_PLEASE))
        for wall in (each.found for each in found)
        if wall is not None
    )


def _is_page_text(leaf: Leaf) -> bool:
    """Say whether a text is the whole answer, or in a field for a page's title or text."""
    if not leaf.key or is_named(leaf.key, FieldKind.TITLE):
        return True
    return is_named(leaf.key, FieldKind.REMARK) and " " in str(leaf.value).strip()


def _is_asked_for(value: Value, goal: Goal) -> bool:
    """Say whether the goal asks for what a rule finds, or names the very words."""
    rule, text = value.rule, value.leaf.value
    if goal.asks_for(rule):
        return True
    if not isinstance(text, str) and goal.requests(value.leaf.key):
        return True
    if rule == REPORTED and goal.requests(value.leaf.key):
        return True
    if not isinstance(text, str) or len(text) > MAX_CHOICE_LENGTH or value.found is None:
        return False
    is_choice = value.found.absence or rule in (REFUSAL, ERROR_PAGE, NOT_READY, EMPTY)
    return is_choice and goal.contains(text)


def _is_requested(value: Value, goal: Goal) -> bool:
    return goal.requests(value.leaf.key) and not is_nothing(value.leaf.value)


def _are_quoted_text(found: list[Value], nothing: list[Value], goal: Goal) -> bool:
    """Say whether everything that rules find may be text of others that the goal asks for."""
    is_alone = not nothing or goal.allows_nothing_in(each.leaf.key for each in nothing)
    return bool(found) and is_alone and all(_is_quoted_text(each, goal) for each in found)


def _is_quoted_text(value: Value, goal: Goal) -> bool:
    """Say whether what a rule finds may be text that others wrote: a review or a headline."""
    found, key, text = value.found, value.leaf.key, value.leaf.value
    if found is None or not isinstance(text, str) or value.rule not in _SPEECH:
        return False
    if goal.asks_for_words and not found.is_title and value.rule in WALLS:
        return True
    is_quote_field = holds_quoted_text(key)
    if found.is_title:
        return goal.asks_for_quoted_text and bool(key) and not _is_page_text(value.leaf)
    if found.start <= MAX_PLEASE and (
        found.certain or (not key and value.rule == LOGIN_WALL and len(text) <= MAX_PLAIN_WALL)
    ):
        return False
    is_remark = not key or is_named(key, FieldKind.REMARK)
    if is_remark and value.rule == REFUSAL and (is_said_by_agent(text) or not key):
        return found.start >= MAX_AGENT_START and not is_said_by_agent(text)
    if value.rule in (BANNER, NOT_READY) and found.start <= MAX_PLEASE and not is_quote_field:
        return False
    return is_quote_field or goal.asks_for_quoted_text


def _is_valid(value: Value, nothing: list[Value], goal: Goal) -> bool:
    """Say whether words for nothing are an answer to this goal."""
    found, text = value.found, value.leaf.value
    if found is None or found.certain or found.rule not in _MAY_BE_VALID:
        return False
    if found.rule == REFUSAL and not found.absence and goal.is_about_access(text):
        return False
    if goal.says_what_if_nothing and found.rule not in WALLS:
        return goal.allows_nothing_in([value.leaf.key])
    is_answer = found.absence or not (found.is_title or is_said_by_agent(text))
    return goal.may_be_none and is_answer and not nothing
