"""Explains which rules answer the failures of a job, and where each rule was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchrunner.errors import UsageError
from batchrunner.model import FailureCategory, Job, JobFile, JobSpec, RetryRule, Verdict
from batchrunner.model.categories import CATEGORIES, CONFIGURABLE, RuleKey
from batchrunner.policy.escalation import showable_overrides
from batchrunner.policy.retry_rules import Policy, usual_rule


@dataclass(frozen=True, kw_only=True)
class RuleValue:
    """A value that is in force, and where it was written."""

    value: Any
    origin: str  #: `job`, `settings` (with a line), `usual`, or the setting that applies instead


@dataclass(frozen=True, kw_only=True)
class RulesInForce:
    """How the failures of a job are answered."""

    job: str | None  #: its key; None: any job without rules of its own
    url: str | None
    failures_in_all: int  #: counted failures after which the job fails, whatever they are
    #: Of configurable categories, and of suspect results.
    rules: Mapping[RuleKey, Mapping[str, RuleValue]]
    fixed: Mapping[RuleKey, str]  #: what happens with the other categories


def explain_rules(job_file: JobFile, key: str | None = None) -> RulesInForce:
    """
    Return the rules in force for the job *key*, or for jobs without rules of their own.

    Raises:
        UsageError: There is no such job.
    """
    spec = None if key is None else _spec(job_file, key)
    policy = Policy.of(job_file.settings)
    job = Job(id=0, key="", attempt=0, failures=0, policy=spec.policy if spec else {})
    configurable = [category for category in FailureCategory if category in CONFIGURABLE]
    return RulesInForce(
        job=spec.key if spec else None,
        url=spec.url if spec else None,
        failures_in_all=policy.max_failures(job),
        rules={
            **{category: _rule(policy, job, category) for category in configurable},
            Verdict.SUSPECT: _rule(policy, job, Verdict.SUSPECT),
        },
        fixed={
            category: row.fixed_answer
            for category, row in CATEGORIES.items()
            if row.fixed_answer is not None
        },
    )


def _spec(job_file: JobFile, key: str) -> JobSpec:
    for spec in job_file.specs:
        if spec.key == key:
            return spec
    raise UsageError(
        f"there is no job {key!r} in this file",
        next="name its `id`, or the digest in the column `id` of an export",
    )


def _rule(policy: Policy, job: Job, key: RuleKey) -> Mapping[str, RuleValue]:
    rule = policy.rule(job, key)
    written = [
        ("job", job.policy.get(key)),
        ("settings", policy.rules.get(key)),
        ("usual", usual_rule(key)),
    ]
    wait_name = "backoff" if rule.wait is None else "wait"
    wait = rule.wait or rule.backoff or policy.backoff
    return {
        "attempts": RuleValue(
            value=policy.allowed_failures(rule), origin=_origin(written, "attempts", "max_attempts")
        ),
        wait_name: RuleValue(
            value=wait.total_seconds(), origin=_origin(written, wait_name, "backoff")
        ),
        "then": RuleValue(
            value=list(map(showable_overrides, rule.escalation)),
            origin=_origin(written, "then", "usual"),
        ),
    }


def _origin(written: list[tuple[str, RetryRule | None]], name: str, otherwise: str) -> str:
    """Return where a value was written; *otherwise* if it was written nowhere."""
    for place, rule in written:
        if rule is not None and getattr(rule, name) is not None:
            return f"{place}, line {rule.line}" if rule.line else place
    return otherwise
