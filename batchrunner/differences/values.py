"""Compares two values of JSON field by field, in bounded time."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any
from unicodedata import normalize

from batchrunner.differences.changes import MISSING, Change, ChangeKind
from batchrunner.differences.elements import Pair, aligned, keyed
from batchrunner.differences.numbers import amount_of, is_within
from batchrunner.differences.paths import WHOLE, KeyedElement, Step, below
from batchrunner.differences.rules import DiffRules, Tolerance

#: Values that are looked at in two results; larger ones are compared as a whole.
MAX_VALUES = 200_000
#: Changes that are listed of two results; with more, they changed as a whole.
MAX_CHANGES = 500
#: Levels of nesting that are compared field by field; what is below is compared as a whole.
MAX_DEPTH = 50
#: Longest texts whose spelling is compared.
_MAX_SPELLED = 10_000
_BLANKS = re.compile(r"\s+")
_CONTAINERS = (dict, list)

_Steps = tuple[Step, ...]


class _TooMuch(Exception):
    """The results are too large to be compared field by field."""


class Comparison:
    """The changes from one value to another, and how many of them were tolerated."""

    def __init__(self, rules: DiffRules) -> None:
        self._rules = rules
        self._seen = 0
        self.changes: list[Change] = []
        self.tolerated = 0

    def compare(self, before: Any, after: Any) -> None:
        """Find the changes; too large a value, or too many changes, is one change as a whole."""
        try:
            self._value(before, after, (), "", None)
        except (_TooMuch, RecursionError):
            self.tolerated = 0
            self.changes = [Change((), WHOLE, ChangeKind.CHANGED, before, after, whole=True)]

    def _value(
        self, before: Any, after: Any, steps: _Steps, field: str, tolerance: Tolerance | None
    ) -> None:
        kind = type(before)
        if kind is type(after) and kind in _CONTAINERS and before and after:
            if len(steps) >= MAX_DEPTH:
                if not _is_equal(before, after):
                    self._add(steps, field, ChangeKind.CHANGED, before, after)
            elif kind is dict:
                self._object(before, after, steps, field)
            elif not _is_equal(before, after):
                self._list(before, after, steps, field)
        elif kind is not type(after) or before != after:
            self._differ(before, after, steps, field, tolerance)

    def _object(
        self, before: dict[str, Any], after: dict[str, Any], steps: _Steps, field: str
    ) -> None:
        self._count(len(before))
        for name, old in before.items():
            new = after.get(name, MISSING)
            if type(old) is not type(new) or type(old) in _CONTAINERS or old != new:
                self._field(name, old, new, steps, field)
        for name, new in after.items():
            if name not in before:
                self._field(name, MISSING, new, steps, field)

    def _field(self, name: str, before: Any, after: Any, steps: _Steps, field: str) -> None:
        path = below(field, name)
        rules = self._rules.of(path, name)
        if rules.ignored:
            return
        if before is MISSING:
            self._only(ChangeKind.ADDED, after, (*steps, name), path)
        elif after is MISSING:
            self._only(ChangeKind.GONE, before, (*steps, name), path)
        else:
            self._value(before, after, (*steps, name), path, rules.tolerance)

    def _only(self, kind: ChangeKind, value: Any, steps: _Steps, field: str) -> None:
        """Report a value that is on one side only."""
        if self._rules.untyped and _is_empty(value):
            return
        pair = (value, MISSING) if kind is ChangeKind.GONE else (MISSING, value)
        self._add(steps, field, kind, *pair)

    def _list(self, before: list[Any], after: list[Any], steps: _Steps, field: str) -> None:
        self._count(len(before) + len(after))
        inside = f"{field}[]"
        rules = self._rules.of_list(field)
        if rules.ignored:
            return
        found = keyed(before, after, rules.key)
        if found is None:
            self._by_place(before, after, steps, inside, rules.tolerance)
            return
        for key, old in found.before.items():
            step = (*steps, KeyedElement(found.name, key))
            if key in found.after:
                self._value(old, found.after[key], step, inside, None)
            else:
                self._only(ChangeKind.GONE, old, step, inside)
        for key, new in found.after.items():
            if key not in found.before:
                self._only(ChangeKind.ADDED, new, (*steps, KeyedElement(found.name, key)), inside)

    def _by_place(
        self,
        before: list[Any],
        after: list[Any],
        steps: _Steps,
        field: str,
        tolerance: Tolerance | None,
    ) -> None:
        pairs = self._pairs(before, after, field, len(steps))
        # The order in which they can be applied: see `Change.steps`.
        for pair in pairs:
            if pair.after is None and pair.before is not None:
                self._only(ChangeKind.GONE, before[pair.before], (*steps, pair.before), field)
        for pair in pairs:
            if pair.before is None and pair.after is not None:
                self._only(ChangeKind.ADDED, after[pair.after], (*steps, pair.after), field)
        for pair in pairs:
            if pair.before is not None and pair.after is not None:
                old, new = before[pair.before], after[pair.after]
                self._value(old, new, (*steps, pair.after), field, tolerance)

    def _pairs(self, before: list[Any], after: list[Any], field: str, depth: int) -> list[Pair]:
        """Return which elements belong together, without those that are equal at both ends."""
        most, start, end = min(len(before), len(after)), 0, 0
        while start < most and _is_equal(before[start], after[start]):
            start += 1
        while end < most - start and _is_equal(before[-1 - end], after[-1 - end]):
            end += 1
        sides = before[start : len(before) - end], after[start : len(after) - end]
        if len(sides[0]) == len(sides[1]) == 1:
            return [Pair(start, start)]
        if all(sides):
            prints = [[self._fingerprint(each, field, depth) for each in side] for side in sides]
        else:
            prints = [[None] * len(side) for side in sides]
        return [
            Pair(
                None if pair.before is None else pair.before + start,
                None if pair.after is None else pair.after + start,
            )
            for pair in aligned(*prints)
        ]

    def _fingerprint(self, value: Any, field: str, depth: int) -> Hashable:
        """Return what two values share if no rule sees a difference between them."""
        self._count(1)
        kind = type(value)
        if kind is dict:
            if depth >= MAX_DEPTH:
                return object()
            return frozenset(
                (name, self._fingerprint(item, path, depth + 1))
                for name, item, path in (
                    (name, item, below(field, name)) for name, item in value.items()
                )
                if not self._rules.of(path, name).ignored
            )
        if kind is list:
            if depth >= MAX_DEPTH:
                return object()
            return tuple([self._fingerprint(item, f"{field}[]", depth + 1) for item in value])
        return (kind is bool, value)

    # ---- scalars ----

    def _differ(
        self, before: Any, after: Any, steps: _Steps, field: str, tolerance: Tolerance | None
    ) -> None:
        """Report two values that are not equal, unless they are the same number or tolerated."""
        if _is_same_number(before, after):
            return
        kind = _kind(before, after)
        if kind is ChangeKind.RESPELLED and self._rules.untyped:
            return
        if tolerance is not None and _is_tolerated(before, after, tolerance):
            self.tolerated += 1
            return
        self._add(steps, field, kind, before, after)

    def _add(self, steps: _Steps, field: str, kind: ChangeKind, before: Any, after: Any) -> None:
        self.changes.append(Change(steps, field or WHOLE, kind, before, after))
        if len(self.changes) > MAX_CHANGES:
            raise _TooMuch

    def _count(self, values: int) -> None:
        self._seen += values
        if self._seen > MAX_VALUES:
            raise _TooMuch


def _is_equal(before: Any, after: Any) -> bool:
    """Whether two values are surely the same; quick, and without a look at rules."""
    # True == 1 in Python, also inside of lists and objects, but their texts differ.
    return bool(before == after) and (
        type(before) is str is type(after) or repr(before) == repr(after)
    )


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or value == {} or (type(value) is str and not value.strip())


def _is_same_number(before: Any, after: Any) -> bool:
    if type(before) not in (int, float) or type(after) not in (int, float):
        return False
    return bool(before == after) or (before != before and after != after)  # NaN


def _kind(before: Any, after: Any) -> ChangeKind:
    was_empty, is_empty = _is_empty(before), _is_empty(after)
    if was_empty or is_empty:
        if was_empty and is_empty:
            return ChangeKind.RESPELLED
        return ChangeKind.FILLED if was_empty else ChangeKind.EMPTIED
    return ChangeKind.RESPELLED if _is_respelled(before, after) else ChangeKind.CHANGED


def _is_respelled(before: Any, after: Any) -> bool:
    """Whether two values are one, written in two ways: a number, a truth value or a text."""
    if type(before) in _CONTAINERS or type(after) in _CONTAINERS:
        return False
    is_text = type(before) is str, type(after) is str
    if not any(is_text):
        return False
    if all(is_text) and max(len(before), len(after)) <= _MAX_SPELLED:
        old_text, new_text = _spelling(before), _spelling(after)
        if old_text == new_text:
            return True
    for value, text in ((before, after), (after, before)):
        if type(value) is bool:
            return bool(text.strip().lower() == str(value).lower())
    old, new = amount_of(before), amount_of(after)
    return old is not None and new is not None and not old.unit and old == new


def _spelling(text: str) -> str:
    if text.isascii() and not text.isspace() and " " not in text and text.isprintable():
        return text
    return _BLANKS.sub(" ", normalize("NFKC", text)).strip()


def _is_tolerated(before: Any, after: Any, tolerance: Tolerance) -> bool:
    old, new = amount_of(before), amount_of(after)
    if old is None or new is None or old.unit != new.unit:
        return False
    if type(before) is not type(after) and str in (type(before), type(after)):
        return False  # another type is another type
    return is_within(old.value, new.value, share=tolerance.share, span=tolerance.span)


def number_move(change: Change) -> tuple[float, float] | None:
    """Return the two numbers of a change of a number in the same unit."""
    if change.kind is not ChangeKind.CHANGED or change.whole:
        return None
    if type(change.before) is float is type(change.after):
        return change.before, change.after
    old, new = amount_of(change.before), amount_of(change.after)
    if old is None or new is None or old.unit != new.unit:
        return None
    return old.value, new.value
