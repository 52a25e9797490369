"""The key `expect` of a job file: required fields, ranges, patterns and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchrunner.inputs.field_types import INVALID, Choice, Refused, WholeNumber, refuse
from batchrunner.inputs.nodes import Node, Pairs, Scalar, decimal, is_null
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, ListOf, Record
from batchrunner.judge import GENERAL_RULES
from batchrunner.judge.expectation_check import MAX_COMPARED_LENGTH
from batchrunner.judge.field_paths import is_path
from batchrunner.judge.regex_safety import unsafe_reason

_PATH_TIP = "write `price`, `offer.price`, `items[].name`, or `.` for the whole result"


@dataclass(frozen=True, kw_only=True)
class FieldPath:
    """The path of a field in a result."""

    expected: str = "the path of a field"

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the path."""
        if type(node) is Scalar and not is_null(node) and is_path(node.text):
            return node.text
        return refuse(name, self.expected, node, log, _PATH_TIP)


@dataclass(frozen=True, kw_only=True)
class AnyNumber:
    """A number, whole or not."""

    expected: str = "a number"

    def read(self, node: Node, name: str, log: ProblemLog) -> int | float | Refused:
        """Return the number."""
        value = decimal(node)
        return refuse(name, self.expected, node, log) if value is None else value


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A regular expression that is fast on every text."""

    expected: str = "a regular expression"

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the pattern."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.expected, node, log, "quote it")
        if wrong := unsafe_reason(node.text):
            tip = "the whole text has to match; say less, for example `[0-9]+ EUR`"
            log.add(f"{name} {wrong}", node, tip)
            return INVALID
        return node.text


@dataclass(frozen=True, kw_only=True)
class PlainValue:
    """A text, a number, `true` or `false`, as text."""

    expected: str = "a text or a number"

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the text."""
        if type(node) is not Scalar or is_null(node):
            tip = "that a field must hold something is `required`"
            return refuse(name, self.expected, node, log, tip)
        if len(node.text) > MAX_COMPARED_LENGTH:
            log.add(f"{name} is longer than {MAX_COMPARED_LENGTH} characters", node)
            return INVALID
        return node.text


_BOUNDS = Record(
    fields={
        "minimum": Field(AnyNumber(), "the smallest allowed number"),
        "maximum": Field(AnyNumber(), "the largest allowed number"),
        "pattern": Field(Pattern(), "what the whole text must match"),
        "at_least": Field(
            WholeNumber(minimum=0), "minimum entries of a list; a missing list has none"
        ),
        "at_most": Field(WholeNumber(minimum=0), "maximum entries of a list"),
        "not": Field(ListOf(item=PlainValue()), "values that it must not be, in capitals or not"),
    }
)
_ORDERED = (("minimum", "maximum"), ("at_least", "at_most"))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What single fields must be, by path."""

    expected: str = "a mapping of paths to what stands there"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the bounds by path."""
        if type(node) is not Pairs:
            tip = "write for example `price: {minimum: 1}`"
            return refuse(name, self.expected, node, log, tip)
        paths = [FieldPath().read(key, f"a key of {name}", log) for key, _ in node.nodes.values()]
        bounds = {path: self._read(pair, path, name, log) for path, pair in node.nodes.items()}
        return INVALID if INVALID in paths or INVALID in bounds.values() else bounds

    def _read(self, pair: tuple[Scalar, Node], path: str, name: str, log: ProblemLog) -> Any:
        called = f"`{path}` in {name}"
        values = _BOUNDS.read(pair[1], called, log)
        if values is INVALID:
            return INVALID
        if not values:
            return refuse(called, "a mapping that asks for something", pair[1], log)
        for low, high in _ORDERED:
            if values.get(low, 0) > values.get(high, float("inf")):
                message = f"{called} has a `{low}` that is more than its `{high}`"
                log.add(message, pair[0], "swap them")
                return INVALID
        return values


#: The value of `expect`.
EXPECT = Record(
    fields={
        "required": Field(
            ListOf(item=FieldPath()), "paths of fields that must exist and have a value"
        ),
        "fields": Field(Bounds(), "what single fields must be if they have a value"),
        "allow": Field(
            ListOf(item=Choice(words=tuple(GENERAL_RULES))),
            "general rules that are not applied: such results are good here",
        ),
    }
)
#: The keys of an entry in `fields`.
BOUNDS_FIELDS = _BOUNDS.fields
