"""The key `grounding` of a job file's settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchrunner.inputs.field_types import INVALID, Boolean, Refused, did_you_mean, refuse
from batchrunner.inputs.host_fields import share_of
from batchrunner.inputs.nodes import Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, Record
from batchrunner.model.grounding_rule import GroundingRule

_WORDS = {"all": Decimal(1), "off": Decimal(0)}


@dataclass(frozen=True, kw_only=True)
class SampleShare:
    """A share of the jobs, all of them, or none."""

    expected: str = field(default="a share like `10%`, `all` or `off`", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> Decimal | Refused:
        """Return the share, from 0 to 1."""
        text = node.text.strip().lower() if type(node) is Scalar else ""
        if text in _WORDS:
            return _WORDS[text]
        share = share_of(node)
        if share is None or (share == 1 and not text.endswith("%")):
            return refuse(name, self.expected, node, log, did_you_mean(text, tuple(_WORDS)))
        return share


GROUNDING_FIELDS: Mapping[str, Field] = {
    "sample": Field(SampleShare(), "the jobs that are checked, chosen by their ids"),
    "with_profiles": Field(
        Boolean(), "check runs with `use_vault` or `use_profile` too; without it, `false`"
    ),
}
_GROUNDING = Record(fields=GROUNDING_FIELDS, required=("sample",))


@dataclass(frozen=True, kw_only=True)
class GroundingSetting:
    """Of which jobs the values are searched for in their pages."""

    expected: str = field(
        default="a share like `10%`, `all`, `off`, or a mapping with `sample`", init=False
    )

    def read(self, node: Node, name: str, log: ProblemLog) -> GroundingRule | Refused:
        """Return the rule."""
        if type(node) is Pairs:
            values = _GROUNDING.read(node, name, log)
            return INVALID if values is INVALID else GroundingRule(**values)
        if type(node) is not Scalar:
            return refuse(name, self.expected, node, log)
        sample = SampleShare().read(node, name, log)
        return INVALID if sample is INVALID else GroundingRule(sample=sample)
