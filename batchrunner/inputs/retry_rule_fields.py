"""The `policy` of a job file: rules for failures, by category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from batchrunner.inputs.field_types import INVALID, Duration, Refused, WholeNumber, refuse
from batchrunner.inputs.nodes import Items, Node, Pairs, Scalar
from batchrunner.inputs.problem_log import ProblemLog
from batchrunner.inputs.record_types import Field, KeyRule, add_unknown, read_fields
from batchrunner.model import FailureCategory, RetryRule, Verdict
from batchrunner.model.categories import CONFIGURABLE, NOT_COUNTED, RuleKey

_CATEGORIES: Mapping[str, RuleKey] = {
    **{category.value: category for category in CONFIGURABLE},
    Verdict.SUSPECT.value: Verdict.SUSPECT,
}
_FIXED = {category.value: category for category in FailureCategory if category not in CONFIGURABLE}
#: Maximum attempts of a rule; a rule has fewer escalation steps than attempts.
MAX_ATTEMPTS = 20


@dataclass(frozen=True, kw_only=True)
class EscalationStep:
    """The options that one escalation step changes."""

    options: Mapping[str, Field]  #: options that a step may change
    others: tuple[str, ...]  #: keys of a job that a step may not change
    rules: tuple[KeyRule, ...]
    expected: str = field(default="a mapping of options to their new values", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[str, Any] | Refused:
        """Return the changed options."""
        known = ", ".join(f"`{key}`" for key in self.options)
        if type(node) is not Pairs:
            return refuse(name, self.expected, node, log, f"it can change {known}")
        if not node.nodes:
            log.add(f"{name} changes nothing", node, f"it can change {known}")
            return INVALID
        kept = {key: pair for key, pair in node.nodes.items() if key not in self.others}
        for key, (key_node, _) in node.nodes.items():
            if key in self.others:
                tip = f"it can change {known}"
                log.add(f"{name} cannot change `{key}`", key_node, tip)
        values = read_fields(node._replace(nodes=kept), self.options, name, log)
        broken = [rule for rule in self.rules if rule.is_broken(values)]
        for rule in broken:
            rule.report(node.nodes[rule.key][0], name, log)
        wrong = broken or len(kept) < len(node.nodes) or INVALID in values.values()
        return INVALID if wrong else values


@dataclass(frozen=True, kw_only=True)
class EscalationSteps:
    """The escalation steps of a rule; an empty list removes those of a wider rule."""

    step: EscalationStep
    expected: str = field(
        default="a list of mappings of options, in the order of the steps", init=False
    )

    def read(self, node: Node, name: str, log: ProblemLog) -> tuple[dict[str, Any], ...] | Refused:
        """Return the steps."""
        if type(node) is not Items:
            return refuse(name, self.expected, node, log, "write `[{browser_profile: stealth}]`")
        if len(node.nodes) >= MAX_ATTEMPTS:
            message = f"{name} has {len(node.nodes)} steps; {MAX_ATTEMPTS - 1} are allowed"
            log.add(message, node)
            return INVALID
        steps = [
            self.step.read(item, f"step {number} of {name}", log)
            for number, item in enumerate(node.nodes, start=1)
        ]
        return INVALID if INVALID in steps else tuple(steps)  # type: ignore[arg-type]


def retry_rule_fields(step: EscalationStep) -> Mapping[str, Field]:
    """Return the keys of a retry rule."""
    day = Duration(maximum=timedelta(days=1))
    return {
        "attempts": Field(
            WholeNumber(minimum=1, maximum=MAX_ATTEMPTS),
            "this many failures of the category end the job",
        ),
        "wait": Field(day, "fixed wait before each retry"),
        "backoff": Field(day, "upper end of the first wait; doubles with each failure"),
        "then": Field(
            EscalationSteps(step=step), "options that each next attempt changes, step by step"
        ),
    }


@dataclass(frozen=True, kw_only=True)
class RetryRules:
    """Rules for failures, by category."""

    fields: Mapping[str, Field]
    expected: str = field(default="a mapping of failure categories to rules", init=False)

    def read(self, node: Node, name: str, log: ProblemLog) -> dict[RuleKey, RetryRule] | Refused:
        """Return the rules."""
        if type(node) is not Pairs:
            return refuse(name, self.expected, node, log, "write `blocked: {attempts: 2}`")
        found = {
            key: self._rule(key, key_node, rule, name, log)
            for key, (key_node, rule) in node.nodes.items()
        }
        rules = {_CATEGORIES[key]: rule for key, rule in found.items() if rule is not INVALID}
        return rules if len(rules) == len(found) else INVALID

    def _rule(
        self, key: str, key_node: Scalar, node: Node, name: str, log: ProblemLog
    ) -> RetryRule | Refused:
        if key in _FIXED:
            why = "it uses up no attempt" if _FIXED[key] in NOT_COUNTED else "its answer is fixed"
            tip = f"there can be rules for {', '.join(f'`{category}`' for category in _CATEGORIES)}"
            log.add(f"{name} can have no rule for `{key}`: {why}", key_node, tip)
            return INVALID
        if key not in _CATEGORIES:
            add_unknown(key_node, _CATEGORIES, name, log)
            return INVALID
        called = f"`{key}` of {name}"
        known = ", ".join(f"`{key}`" for key in self.fields)
        if type(node) is not Pairs:
            return refuse(called, "a rule", node, log, f"its keys are {known}")
        if not node.nodes:
            log.add(f"{called} says nothing", node, f"its keys are {known}")
            return INVALID
        values = read_fields(node, self.fields, called, log)
        if INVALID in values.values() or _contradicts_itself(values, node, called, log):
            return INVALID
        if key == Verdict.SUSPECT and (_has_steps(values, node, called, log)):
            return INVALID
        if values.get("then"):
            values.setdefault("attempts", len(values["then"]) + 1)
        return RetryRule(**values, line=key_node.start.line + 1)


def _has_steps(values: Mapping[str, Any], node: Pairs, name: str, log: ProblemLog) -> bool:
    """Report steps, which a suspect result cannot have; return whether there are any."""
    if "then" not in values:
        return False
    tip = "leave it out: a suspect result is bought again with the same options"
    log.add(f"{name} cannot have `then`", node.nodes["then"][0], tip)
    return True


def _contradicts_itself(values: Mapping[str, Any], node: Pairs, name: str, log: ProblemLog) -> bool:
    """Report two kinds of wait, and steps that no attempt reaches; return whether there are any."""
    both = "wait" in values and "backoff" in values
    if both:
        tip = "keep one of them"
        log.add(f"{name} has both `wait` and `backoff`", node.nodes["backoff"][0], tip)
    steps, attempts = len(values.get("then", ())), values.get("attempts", MAX_ATTEMPTS)
    if steps >= attempts:
        message = f"{name} has {steps} steps, and `attempts: {attempts}` reaches {attempts - 1}"
        tip = f"write `attempts: {steps + 1}`, or leave it out"
        log.add(message, node.nodes["attempts"][1], tip)
    return both or steps >= attempts
