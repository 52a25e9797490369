"""The values of a whole result: whether some are an answer, and what rules find in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from batchrunner.judge.field_names import FieldKind, is_named
from batchrunner.judge.result_values import (
    Leaf,
    containers,
    direct_leaves,
    parts_of,
)
from batchrunner.judge.rules import (
    BANNER,
    ERROR_PAGE,
    NOT_READY,
    PLACEHOLDER,
    REPORTED,
    SCHEMA_ECHO,
    WALLS,
)
from batchrunner.judge.stand_ins import is_sample, stand_ins
from batchrunner.judge.text_rules import TextFinding
from batchrunner.judge.value_kinds import Kind, Value, is_nothing, value_found, value_of

#: Characters of texts that are looked through in one result: it bounds the time.
MAX_JUDGED_TEXT = 6000
#: Characters that a text counts for at least.
MIN_COUNTED_TEXT = 50
#: Values that are looked at in one result; others are an answer if they are not empty.
MAX_SORTED = 300
#: Objects and lists that are looked at in a result with an answer.
MAX_CONTAINERS = 3000
#: Fields of a step of an agent, and of a JSON Schema: a result with all of a set is one.
_PLAN_KEYS = ({"thought", "action"}, {"thinking", "action"}, {"action", "selector"})
_SCHEMA_KEYS = ({"type", "properties"}, {"$schema"}, {"type", "items"})


@dataclass(slots=True)
class SortedValues:
    """The values of a result, and whether some of them are an answer."""

    values: list[Value] = field(default_factory=list)
    odd: list[Value] = field(default_factory=list)  #: found in objects that hold little else
    has_answer: bool = False
    only_empty_lists: bool = False  #: the result has lists, and all of them are empty

    def of(self, *kinds: Kind) -> list[Value]:
        """Return those of some kinds."""
        return [each for each in self.values if each.kind in kinds]


def sorted_values(value: Any) -> SortedValues:
    """
    Sort the values of a result; those beside an answer are skipped where nothing is missing.

    Raises:
        TooLarge: The result is nested too deep or has too many values.
    """
    seen = SortedValues(only_empty_lists=_has_only_empty_lists(value))
    for rule, all_keys in ((SCHEMA_ECHO, _SCHEMA_KEYS), (NOT_READY, _PLAN_KEYS)):
        if isinstance(value, dict) and any(keys <= value.keys() for keys in all_keys):
            seen.values.append(Value(Leaf(None, "", value), Kind.FOUND, TextFinding(rule)))
            return seen
    if value and isinstance(value, dict | list):
        seen.odd += stand_ins(value)
        _sort_containers(value, seen)
    else:
        _sort_group([Leaf(None, "", value)], seen, MAX_JUDGED_TEXT)
    return seen


def _sort_containers(value: dict[str, Any] | list[Any], seen: SortedValues) -> None:
    left = MAX_JUDGED_TEXT
    for count, container in enumerate(containers(value)):
        parts = parts_of(container.value)
        if count > MAX_CONTAINERS or len(seen.values) > MAX_SORTED:
            if seen.has_answer:
                break
            seen.has_answer = any(_is_something(part) for part in parts)
        elif not seen.has_answer or any(map(is_nothing, parts)):
            left = _sort_group(list(direct_leaves(container)), seen, left)


def _has_only_empty_lists(value: Any) -> bool:
    """Say whether an object has lists, perhaps one object further in, and all are empty."""
    if not isinstance(value, dict) or len(value) > MAX_SORTED:
        return False
    parts = list(value.values())
    parts += [
        one
        for part in parts
        if isinstance(part, dict) and len(part) <= MAX_SORTED
        for one in part.values()
    ]
    lists = [part for part in parts if isinstance(part, list)]
    return bool(lists) and not any(lists)


def _uncounted(each: Value) -> Value:
    """Return the only answer beside empty lists: a number may count what is not in them."""
    number = each.leaf.value
    is_count = type(number) is int and number > 0 and not is_named(each.leaf.key, FieldKind.MEASURE)
    return each._replace(kind=Kind.ASIDE) if is_count and each.kind is Kind.ANSWER else each


def _is_odd(value: Value, answers: int, nothing: int) -> bool:
    """Say whether what is found is odd in an object with so many answers and empty fields."""
    if value.found is None or value.found.weak:
        return False
    if value.rule == REPORTED:
        return answers == 0 or value.leaf.is_top_field
    is_page = value.rule in (*WALLS, ERROR_PAGE, BANNER, NOT_READY)
    return is_page and nothing > max(answers - value.found.is_title, 0)


def _is_something(part: Any) -> bool:
    return not is_nothing(part) and not isinstance(part, dict | list)


def _sort_group(group: list[Leaf], seen: SortedValues, left: int) -> int:
    """Sort the values of one object or list; return how much text may still be looked through."""
    answers, sorted_here = 0, list[Value]()
    for leaf in group[:MAX_SORTED]:
        each = value_of(leaf, left)
        if each.kind is Kind.COUNT:
            is_of_nothing = any(other.value == [] for other in group) or seen.only_empty_lists
            each = each._replace(kind=Kind.ASIDE if is_of_nothing else Kind.ANSWER)
        left -= max(len(leaf.value), MIN_COUNTED_TEXT) if isinstance(leaf.value, str) else 0
        sorted_here.append(each)
        answers += each.kind is Kind.ANSWER
        if answers > len(group) // 2 + 1 and seen.has_answer:
            break
    answers += any(not is_nothing(leaf.value) for leaf in group[MAX_SORTED:])
    nothing = sum(is_nothing(each.leaf.value) for each in sorted_here)
    if seen.only_empty_lists and answers == 1:
        sorted_here = [_uncounted(each) for each in sorted_here]
        answers = sum(each.kind is Kind.ANSWER for each in sorted_here)
    if any(each.found for each in sorted_here):
        seen.odd += _odd_in_group(sorted_here, answers, nothing)
    seen.has_answer = seen.has_answer or answers > 0
    seen.values += sorted_here
    return left


def _odd_in_group(group: list[Value], answers: int, nothing: int) -> Iterator[Value]:
    """Give what rules find in an object or list with so many answers and empty fields."""
    if any(each.rule == PLACEHOLDER for each in group):
        samples = [
            value_found(each.leaf, PLACEHOLDER) for each in group if is_sample(each.leaf.value)
        ]
        yield from samples if len(samples) > 1 else ()
    echoes = [each for each in group if each.rule == SCHEMA_ECHO]
    yield from echoes if len(echoes) >= max(answers, 1) else ()
    yield from (each for each in group if _is_odd(each, answers, nothing))
