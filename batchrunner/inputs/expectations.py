"""What a job file expects of results: fields that are there, ranges, patterns, counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchrunner.inputs.field_types import INVALID, Choice, Refused, WholeNumber, refuse
from batchrunner.inputs.nodes import Node, Pairs, Scalar, decimal, is_null
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, ListOf, Record
from batchrunner.judge import GENERAL_RULES
from batchrunner.judge.field_paths import is_path
from batchrunner.judge.regex_safety import unsafe_reason

_HOW_PATHS_LOOK = "write `price`, `offer.price`, `items[].name`, or `.` for the whole result"


@dataclass(frozen=True, kw_only=True)
class FieldPath:
    """Where something stands in a result."""

    says: str = "the path of a field"

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the path."""
        if type(node) is Scalar and not is_null(node) and is_path(node.text):
            return node.text
        return refuse(name, self.says, node, log, _HOW_PATHS_LOOK)


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number, whole or not."""

    says: str = "a number"

    def read(self, node: Node, name: str, log: ProblemLog) -> int | float | Refused:
        """Return the number."""
        value = decimal(node)
        return refuse(name, self.says, node, log) if value is None else value


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A regular expression that is quick on every text."""

    says: str = "a regular expression"

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the pattern."""
        if type(node) is not Scalar or is_null(node):
            return refuse(name, self.says, node, log, "quote it")
        if wrong := unsafe_reason(node.text):
            tip = "the whole text has to match; say less, for example `[0-9]+ EUR`"
            log.add(f"{name} {wrong}", node, tip)
            return INVALID
        return node.text


_BOUNDS = Record(
    fields={
        "minimum": Field(Number(), "the smallest allowed number"),
        "maximum": Field(Number(), "the largest allowed number"),
        "pattern": Field(Pattern(), "what the whole text must match"),
        "at_least": Field(
            WholeNumber(least=0), "minimum entries of a list; a missing list has none"
        ),
        "at_most": Field(WholeNumber(least=0), "maximum entries of a list"),
    }
)
_ORDERED = (("minimum", "maximum"), ("at_least", "at_most"))


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What single fields must be, by their paths."""

    says: str = "a mapping of paths to what stands there"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the bounds by path."""
        if type(node) is not Pairs:
            tip = "write for example `price: {minimum: 1}`"
            return refuse(name, self.says, node, log, tip)
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
        for least, most in _ORDERED:
            if values.get(least, 0) > values.get(most, float("inf")):
                message = f"{called} has a `{least}` that is more than its `{most}`"
                log.add(message, pair[0], "swap them")
                return INVALID
        return values


#: What a job may expect of its result.
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
#: The keys of what a single field must be.
BOUNDS_FIELDS = _BOUNDS.fields
