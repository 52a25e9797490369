"""The key `diff` of a job file's settings, and its types of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrunner.differences import parse_tolerance
from batchrunner.differences.rules import TOLERANCE_SAYS
from batchrunner.inputs.expectations import FieldPath
from batchrunner.inputs.field_types import INVALID, FieldType, Refused, refuse
from batchrunner.inputs.nodes import Node, Pairs, Scalar, is_null
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, ListOf, Record
from batchrunner.model.diff_settings import DiffSettings


@dataclass(frozen=True, kw_only=True)
class ToleranceAmount:
    """How far two numbers may differ."""

    expected: str = field(default=TOLERANCE_SAYS, init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return it as it is written."""
        if type(node) is Scalar:
            try:
                return str(parse_tolerance(node.text))
            except ValueError:
                pass
        return refuse(name, self.expected, node, log)


@dataclass(frozen=True, kw_only=True)
class ListKey:
    """The field that tells the elements of a list apart; null: they have none."""

    expected: str = field(default="the name of a field, or null", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> str | Refused:
        """Return the name; an empty text for null."""
        if type(node) is Scalar:
            return "" if is_null(node) else node.text.strip()
        return refuse(name, self.expected, node, log)


@dataclass(frozen=True, kw_only=True)
class ByField:
    """A mapping of fields to values of one type."""

    value: FieldType
    example: str

    @property
    def expected(self) -> str:
        """What a value must be."""
        return f"a mapping of fields to {self.value.expected}"

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the values by field."""
        if type(node) is not Pairs or not node.nodes:
            return refuse(name, self.expected, node, log, f"write for example `{self.example}`")
        found: dict[str, Any] = {}
        wrong = False
        for path, (key, value) in node.nodes.items():
            known = FieldPath().read(key, f"a key of {name}", log)
            said = self.value.read(value, f"`{path[:80]}` of {name}", log)
            wrong = wrong or known is INVALID or said is INVALID
            found[path] = said
        return INVALID if wrong else found


#: The keys of `diff`.
DIFF_FIELDS: Mapping[str, Field] = {
    "tolerance": Field(
        ByField(value=ToleranceAmount(), example="{price: 1%}"),
        "how far the numbers of a field may differ",
    ),
    "ignore": Field(ListOf(item=FieldPath()), "fields that are overlooked"),
    "keys": Field(
        ByField(value=ListKey(), example="{offers: sku}"),
        "what tells the elements of a list apart; null: their position",
    ),
}
_DIFF = Record(fields=DIFF_FIELDS)


@dataclass(frozen=True, kw_only=True)
class DiffRule:
    """What comparisons of the editions overlook."""

    expected: str = field(default="a mapping", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> DiffSettings | Refused:
        """Return the settings."""
        values = _DIFF.read(node, name, log)
        if values is INVALID:
            return INVALID
        if "ignore" in values:
            values["ignore"] = tuple(dict.fromkeys(values["ignore"]))
        return DiffSettings(**values)
