"""Which rule is in force for a job and a category, and what it allows; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import reduce

from batchrunner.model import FailureCategory, HostRule, Job, RetryRule, Settings, TimeLimits
from batchrunner.policy.schedule import Pace

#: Runs that must have ended before it is known what a typical one takes.
UNLIMITED_ATTEMPTS = 20
#: Least time that any run may take, however quick the others are.
MIN_TIME_LIMIT = timedelta(minutes=1)

#: Failures that are not the job's fault: they never use up an attempt.
NOT_COUNTED = frozenset(
    {
        FailureCategory.BILLING_FAILURE,
        FailureCategory.UNAUTHORIZED,
        FailureCategory.THROTTLED,
        FailureCategory.UNREACHABLE,
    }
)

#: Failures about whose answer a job file may have rules; of all others the answer is fixed.
CONFIGURABLE = tuple(
    category
    for category in FailureCategory
    if category
    not in {
        *NOT_COUNTED,
        FailureCategory.RUN_CANCELLED,
        FailureCategory.REJECTED,
        FailureCategory.UNANSWERED,
    }
)

#: What is usual; a category that is not named here gets `max_attempts`. Why a wall has a ladder,
#: though nobody asked for it: docs/adr/0010.
DEFAULT_RULES: Mapping[FailureCategory, RetryRule] = {
    FailureCategory.AGENT_FAILURE: RetryRule(attempts=1),
    FailureCategory.REJECTED: RetryRule(attempts=1),
    FailureCategory.UNANSWERED: RetryRule(attempts=1),
    FailureCategory.GOAL_FAILURE: RetryRule(attempts=2),
    FailureCategory.BLOCKED: RetryRule(
        attempts=3,
        then=(
            {"browser_profile": "stealth"},
            {"browser_profile": "stealth", "proxy_config": {"enabled": True}},
        ),
    ),
    FailureCategory.INVALID_RESULT: RetryRule(attempts=2),
}

_PLAIN = RetryRule()


def merged(narrow: RetryRule, wide: RetryRule) -> RetryRule:
    """Return what the narrower rule says, and where it says nothing, the wider one."""
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
    rules: Mapping[FailureCategory, RetryRule] = field(default_factory=dict)
    hosts: Mapping[str, HostRule] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that a batch's settings ask for."""
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
        """Return how long a run may be PENDING or RUNNING; *pace* is how long such runs take."""
        if queued:
            return own.queued or self.queued_limit
        longest = own.running or self.running_limit
        if self.stuck_after is None or pace.runs < UNLIMITED_ATTEMPTS:
            return longest
        return min(longest, max(pace.typical * self.stuck_after, MIN_TIME_LIMIT))

    def rule(self, job: Job, category: FailureCategory) -> RetryRule:
        """Return the rule in force: what the job's says, else the batch's, else the usual one."""
        levels = (job.policy.get(category), self.rules.get(category), DEFAULT_RULES.get(category))
        return reduce(merged, [rule for rule in levels if rule is not None] or [_PLAIN])

    def tries(self, rule: RetryRule) -> int:
        """Return how many failures of its category a rule allows; the last one ends the job."""
        return self.max_attempts if rule.attempts is None else rule.attempts

    def bound(self, job: Job) -> int:
        """
        Return how many counted failures of all categories together end a job.

        That is `max_attempts`, or more where somebody wrote a rule that allows more.
        """
        written = [*self.rules.values(), *job.policy.values()]
        return max([self.max_attempts, *map(self.tries, written)])

    def ladders(self, job: Job) -> dict[FailureCategory, RetryRule]:
        """Return the rules in force that have a ladder."""
        named = {**DEFAULT_RULES, **self.rules, **job.policy}
        found = {category: self.rule(job, category) for category in sorted(named)}
        return {category: rule for category, rule in found.items() if rule.ladder}
