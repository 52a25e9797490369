"""The key `quality` of a job file's settings, and its types of values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from batchrunner.inputs.expectations import FieldPath
from batchrunner.inputs.field_types import INVALID, Choice, Refused, did_you_mean, refuse
from batchrunner.inputs.host_fields import Share, share_of
from batchrunner.inputs.nodes import Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, ListOf, Record
from batchrunner.model.quality import OnBad, QualityBounds

_ROWS = re.compile(r"(?:>=)? *([1-9][0-9]{0,8}|[1-9][0-9]{0,2}(?:,[0-9]{3}){1,2})", re.ASCII)
_AT_LEAST = re.compile(r">= *")
_OFF = "off"


@dataclass(frozen=True, kw_only=True)
class LeastRows:
    """The least rows of a batch: a number, or a share of those of the baseline."""

    expected: str = field(
        default="a number of rows like `1000`, or a share of those of the last good edition "
        "like `90%`",
        init=False,
    )

    def read(self, node: Node, name: str, log: ProblemLog) -> int | Decimal | Refused:
        """Return the number as a whole number, or the share as a decimal."""
        text = node.text.strip() if type(node) is Scalar else ""
        if found := _ROWS.fullmatch(text):
            return int(found[1].replace(",", ""))
        if type(node) is Scalar and text.endswith("%"):
            share = share_of(node._replace(text=_AT_LEAST.sub("", text)))
            if share is not None:
                return share
        return refuse(name, self.expected, node, log)


@dataclass(frozen=True, kw_only=True)
class ShareOrNone:
    """A share that may be zero."""

    expected: str = field(default="a share like `2%` or `0.02`", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Decimal | Refused:
        """Return the share, from 0 to 1."""
        if type(node) is Scalar and re.fullmatch(r"0(\.0+)? ?%?", node.text.strip()):
            return Decimal(0)
        share = share_of(node)
        return refuse(name, self.expected, node, log) if share is None else share


@dataclass(frozen=True, kw_only=True)
class Drift:
    """By how much a share may move, or that drift is not looked for."""

    expected: str = field(default="a share like `10%`, or `off`", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Decimal | Refused | None:
        """Return the share; None for `off`."""
        if type(node) is Scalar and node.text.strip().lower() == _OFF:
            return None
        share = share_of(node)
        if share is None:
            tip = did_you_mean(node.text, (_OFF,)) if type(node) is Scalar else None
            return refuse(name, self.expected, node, log, tip)
        return share


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """In how many rows fields must hold something."""

    expected: str = field(default="a mapping of fields to shares", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Decimal] | Refused:
        """Return the least share of each field."""
        if type(node) is not Pairs or not node.nodes:
            return refuse(name, self.expected, node, log, "write for example `{price: 95%}`")
        found: dict[str, Any] = {}
        wrong = False
        for path, (key, value) in node.nodes.items():
            known = FieldPath().read(key, f"a key of {name}", log)
            share = Share().read(value, f"`{path[:80]}` of {name}", log)
            wrong = wrong or known is INVALID or share is INVALID
            found[path] = share
        return INVALID if wrong else found


#: The keys of `quality`.
QUALITY_FIELDS: Mapping[str, Field] = {
    "rows": Field(LeastRows(), "minimum number of delivered rows"),
    "coverage": Field(Coverage(), "minimum share of rows in which a field holds something"),
    "unique": Field(ListOf(item=FieldPath()), "fields whose values must not repeat"),
    "duplicates": Field(
        ShareOrNone(), "maximum share of rows that repeat the whole answer of another row"
    ),
    "drift": Field(
        Drift(),
        "how far shares may move from the last good edition; without it, 10%",
    ),
    "on_bad": Field(
        Choice(words=tuple(str(each) for each in OnBad)),
        "what happens while the batch runs: without it, `report` at the end",
    ),
}
_QUALITY = Record(fields=QUALITY_FIELDS)


@dataclass(frozen=True, kw_only=True)
class QualityRule:
    """What the rows of a batch must be."""

    expected: str = field(default="a mapping", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> QualityBounds | Refused:
        """Return the bounds."""
        values = _QUALITY.read(node, name, log)
        if values is INVALID:
            return INVALID
        rows = values.pop("rows", None)
        if isinstance(rows, int):
            values["rows"] = rows
        elif rows is not None:
            values["rows_share"] = rows
        if "unique" in values:
            values["unique"] = tuple(dict.fromkeys(values["unique"]))
        if "on_bad" in values:
            values["on_bad"] = OnBad(values["on_bad"])
        return QualityBounds(given=True, **values)
