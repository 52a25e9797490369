"""Which retry rule applies to a job and a category, and what it allows; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce

from batchrunner.model import (
    FailureCategory,
    HostRule,
    Job,
    RetryRule,
    Settings,
    TimeLimits,
    Verdict,
)
from batchrunner.model.categories import CATEGORIES, SUSPECT_RULE, RuleKey
from batchrunner.policy.schedule import Pace

#: Runs that must have ended before `stuck_after` can compare others with a typical run.
MIN_RUNS_FOR_TYPICAL = 20
#: Least time that any run may take, however quick the others are.
MIN_TIME_LIMIT = timedelta(minutes=1)

_ESCALATED_BY_DEFAULT = tuple(each for each, row in CATEGORIES.items() if row.rule.escalation)


def usual_rule(key: RuleKey) -> RetryRule:
    """Return the rule in force where no job file has another."""
    return SUSPECT_RULE if isinstance(key, Verdict) else CATEGORIES[key].rule


def merged(narrow: RetryRule, wide: RetryRule) -> RetryRule:
    """Return the narrower rule, completed by the wider one where it says nothing."""
    waits = wide if narrow.wait is None and narrow.backoff is None else narrow
    return RetryRule(
        attempts=wide.attempts if narrow.attempts is None else narrow.attempts,
        wait=waits.wait,
        backoff=waits.backoff,
        then=wide.then if narrow.then is None else narrow.then,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How failures are answered."""

    max_attempts: int = 3
    backoff: timedelta = timedelta(seconds=15)
    queued_limit: timedelta = timedelta(hours=1)
    running_limit: timedelta = timedelta(minutes=30)
    stuck_after: float | None = None
    rules: Mapping[RuleKey, RetryRule] = field(default_factory=dict)
    hosts: Mapping[str, HostRule] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy in a batch's settings."""
        return cls(
            max_attempts=settings.max_attempts,
            backoff=settings.backoff,
            queued_limit=settings.queued_limit,
            running_limit=settings.running_limit,
            stuck_after=settings.stuck_after,
            rules=settings.policy,
            hosts=settings.hosts,
        )

    def limit(self, own: TimeLimits, pace: Pace, *, queued: bool) -> timedelta:
        """
        Return how long a run may be PENDING or RUNNING.

        *own* are the limits of its job; *pace* is how long such runs are RUNNING.
        """
        if queued:
            return own.queued or self.queued_limit
        longest = own.running or self.running_limit
        if self.stuck_after is None or pace.runs < MIN_RUNS_FOR_TYPICAL:
            return longest
        return min(longest, max(pace.typical * self.stuck_after, MIN_TIME_LIMIT))

    def rule(self, job: Job, key: RuleKey) -> RetryRule:
        """Return the rule in force: the job's own, then the batch's, then the default."""
        levels = (job.policy.get(key), self.rules.get(key), usual_rule(key))
        return reduce(merged, [rule for rule in levels if rule is not None])

    def allowed_failures(self, rule: RetryRule) -> int:
        """Return how many failures of its category a rule allows; the last one ends the job."""
        return self.max_attempts if rule.attempts is None else rule.attempts

    def max_failures(self, job: Job) -> int:
        """
        Return how many counted failures of all categories together end a job.

        That is `max_attempts`, or more if a rule in a job file allows more.
        """
        written = [*self.rules.items(), *job.policy.items()]
        rules = [rule for key, rule in written if isinstance(key, FailureCategory)]
        return max([self.max_attempts, *map(self.allowed_failures, rules)])

    def max_runs(self, job: Job) -> int:
        """Return how many runs of a job its failures and suspect results may lead to."""
        return self.max_failures(job) * (self.rule(job, Verdict.SUSPECT).attempts or 1)

    def escalations(self, job: Job) -> dict[FailureCategory, RetryRule]:
        """Return the rules in force that escalate."""
        written = {key for key in (*self.rules, *job.policy) if isinstance(key, FailureCategory)}
        named = sorted({*_ESCALATED_BY_DEFAULT, *written})
        found = {category: self.rule(job, category) for category in named}
        return {category: rule for category, rule in found.items() if rule.escalation}
