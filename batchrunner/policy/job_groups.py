"""Jobs that are to run, in groups that a forecast need not tell apart; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from batchrunner.model import FailureCategory, Job, JobState, RetryRule, Settings
from batchrunner.model.categories import CATEGORIES, RuleKey
from batchrunner.model.forecast import JobGroup
from batchrunner.policy.budget import max_steps
from batchrunner.policy.host_breaker import rule_for
from batchrunner.policy.retry_rules import Policy

Rules = Mapping[RuleKey, RetryRule]
#: Jobs that are alike: their host, their options, their own rules, and how many there are.
Work = tuple[str, Mapping[str, Any], Rules, int]


def job_groups(work: Iterable[Work], settings: Settings) -> list[JobGroup]:
    """Group jobs that run alike."""
    policy, counts = Policy.of(settings), Counter[tuple[str, int, int]]()
    for host, options, rules, count in work:
        attempts = policy.max_runs(_any_job(rules)) if rules else 0
        counts[host, max_steps(options), attempts] += count
    usual = policy.max_runs(_any_job({}))
    return [
        _group(settings, host, count, once, attempts or usual)
        for (host, once, attempts), count in counts.items()
    ]


def _group(settings: Settings, host: str, count: int, once: int, attempts: int) -> JobGroup:
    if not settings.hosts:
        return JobGroup(host=host, count=count, once=once, attempts=attempts)
    rule = rule_for(settings.hosts, host)
    return JobGroup(
        host=host,
        count=count,
        once=once,
        attempts=attempts,
        spacing=rule.spacing.total_seconds() if rule.spacing else 0.0,
        host_slots=rule.concurrency,
    )


def allowed_failures(settings: Settings) -> dict[FailureCategory, int]:
    """Return how many failures of each category a job without own rules may have."""
    policy = Policy.of(settings)
    return {
        category: 1
        if CATEGORIES[category].ends_in is JobState.CANCELLED
        else policy.allowed_failures(policy.rule(_any_job({}), category))
        for category in FailureCategory
    }


def _any_job(rules: Rules) -> Job:
    return Job(id=0, key="", attempt=0, failures=0, policy=rules)
