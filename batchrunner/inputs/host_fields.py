"""The keys `hosts`, `canary` and `stop_loss` of a job file, and their types of values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from batchrunner.inputs.field_types import (
    INVALID,
    BudgetAmount,
    Duration,
    Refused,
    WholeNumber,
    did_you_mean,
    refuse,
)
from batchrunner.inputs.nodes import Node, Pairs, Scalar, decimal
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, Record
from batchrunner.model import AUTO, Canary, HostRule, StopLoss
from batchrunner.model.hosts import MAX_HOST_LENGTH
from batchrunner.model.job_file import MAX_CONCURRENCY
from batchrunner.policy.budget import budget_of

_HOST = re.compile(r"\*|[a-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9a-f:.]+\](?::[0-9]{1,5})?", re.ASCII)
_TIMES = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?) ?x", re.ASCII)
_PART = re.compile(r"0?\.[0-9]{1,9}|1(?:\.0{1,9})?", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class WholeNumberOr:
    """A whole number, or a word for a special number."""

    number: WholeNumber
    word: str
    value: int

    @property
    def expected(self) -> str:
        """What a value must be."""
        return f"{self.number.expected}, or `{self.word}`"

    def read(self, node: Node, name: str, log: ProblemLog) -> int | Refused:
        """Return the number."""
        if type(node) is Scalar and node.text == self.word:
            return self.value
        value = self.number.number_of(node)
        return refuse(name, self.expected, node, log, self._tip(node)) if value is None else value

    def _tip(self, node: Node) -> str | None:
        meant = did_you_mean(node.text, (self.word,)) if type(node) is Scalar else None
        return meant or self.number.tip(node)


@dataclass(frozen=True, kw_only=True)
class Share:
    """A part of all: a percentage, or a number from 0 to 1."""

    expected: str = field(default="a share like `80%` or `0.8`", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Decimal | Refused:
        """Return the share, from 0 to 1."""
        share = share_of(node)
        return refuse(name, self.expected, node, log) if share is None else share


def share_of(node: Node) -> Decimal | None:
    """Return the share that a value names, above 0 and up to 1; None if it names none."""
    percent = _PERCENT.fullmatch(node.text.strip()) if type(node) is Scalar else None
    share = Decimal(percent[1]) / 100 if percent else decimal(node)
    return None if share is None or not 0 < share <= 1 else Decimal(str(share))


def share_of_text(text: str) -> Decimal | None:
    """Return the share that a text like `95%` or `0.95` names; None if it names none."""
    percent, part = _PERCENT.fullmatch(text.strip()), _PART.fullmatch(text.strip())
    share = Decimal(percent[1]) / 100 if percent else Decimal(part[0]) if part else Decimal(0)
    return share if 0 < share <= 1 else None


@dataclass(frozen=True, kw_only=True)
class CostFactor:
    """A factor above 1."""

    expected: str = field(default="a number of times like `4x`, above 1", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> float | Refused:
        """Return the number."""
        found = _TIMES.fullmatch(node.text.strip()) if type(node) is Scalar else None
        if found is None or float(found[1]) <= 1:
            return refuse(name, self.expected, node, log, "write `4x`")
        return float(found[1])


_RUNS_IN_FLIGHT = WholeNumber(minimum=1, maximum=MAX_CONCURRENCY)
CONCURRENCY = WholeNumberOr(number=_RUNS_IN_FLIGHT, word="auto", value=AUTO)

HOST_FIELDS: Mapping[str, Field] = {
    "concurrency": Field(_RUNS_IN_FLIGHT, "maximum runs in flight on it"),
    "spacing": Field(Duration(maximum=timedelta(days=1)), "minimum time between two runs on it"),
    "park_after": Field(
        WholeNumberOr(number=WholeNumber(minimum=1, maximum=1000), word="never", value=0),
        "failures in a row, after which it is parked and probed; without it, 10",
    ),
}
CANARY_FIELDS: Mapping[str, Field] = {
    "jobs": Field(
        WholeNumber(minimum=1, maximum=1000), "how many run first, spread over hosts and goals"
    ),
    "success_rate": Field(Share(), "minimum share of them that must succeed"),
    "row_cost": Field(BudgetAmount(), "maximum cost of one success, including all failures"),
}
STOP_LOSS_FIELDS: Mapping[str, Field] = {
    "share": Field(Share(), "of all runs of the batch; without it, 1%"),
    "cost": Field(BudgetAmount(), "of these runs together"),
}
_HOST_RULE = Record(fields=HOST_FIELDS)
_CANARY = Record(fields=CANARY_FIELDS, required=("jobs",))
_STOP_LOSS = Record(fields=STOP_LOSS_FIELDS)
#: The value of `stop_loss` that switches it off.
_NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class HostRules:
    """Rules for hosts, by name; `*` applies to all."""

    expected: str = field(default="a mapping of hosts to rules", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, HostRule] | Refused:
        """Return the rules."""
        tip = "write `shop.example: {concurrency: 2}`, or `'*': {spacing: 1s}` for all"
        if type(node) is not Pairs:
            return refuse(name, self.expected, node, log, tip)
        rules: dict[str, HostRule] = {}
        wrong = False
        for key, (key_node, value) in node.nodes.items():
            host = key.lower()
            if not _HOST.fullmatch(host) or len(host) > MAX_HOST_LENGTH:
                log.add(f"`{key[:80]}` of {name} is no host", key_node, tip)
                wrong = True
                continue
            read = _HOST_RULE.read(value, f"`{key}` of {name}", log)
            if read is INVALID:
                wrong = True
            else:
                rules[host] = HostRule(**read)
        return INVALID if wrong else rules


@dataclass(frozen=True, kw_only=True)
class CanaryRule:
    """The jobs that run first, and what they must achieve."""

    expected: str = field(default="a mapping", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Canary | Refused:
        """Return the canary."""
        values = _CANARY.read(node, name, log)
        if values is INVALID:
            return INVALID
        if "success_rate" not in values and "row_cost" not in values:
            tip = "add `success_rate: 80%`, or `row_cost: 20 steps`"
            log.add(f"{name} does not say what its jobs must achieve", node, tip)
            return INVALID
        return Canary(**values)


@dataclass(frozen=True, kw_only=True)
class StopLossRule:
    """How much may be lost before a batch stops: a share of its runs, a sum, both, or anything."""

    expected: str = field(
        default="a sum like `$5` or `500 steps`, a share like `2%`, a mapping of both, or `never`",
        init=False,
    )

    def read(self, node: Node, name: str, log: ProblemLog) -> StopLoss | Refused:
        """Return the rule; the share is 1% where only a sum is given."""
        if type(node) is Pairs:
            values = _STOP_LOSS.read(node, name, log)
            return INVALID if values is INVALID else StopLoss(**values)
        text = node.text.strip() if type(node) is Scalar else ""
        if text == _NEVER:
            return StopLoss(share=None)
        if cost := budget_of(text):
            return StopLoss(cost=cost)
        share = share_of(node)
        if share is None or (share == 1 and not text.endswith("%")):
            return refuse(name, self.expected, node, log)  # a bare 1 may mean a dollar or a step
        return StopLoss(share=share)
