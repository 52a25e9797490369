"""Policy, job, outcome, time → what happens next to the job, with the backoff; pure."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from typing import assert_never

from batchrunner.classify import UNREADABLE
from batchrunner.model import (
    Failed,
    FailureCategory,
    Finish,
    Job,
    JobState,
    Outcome,
    Retry,
    RetryRule,
    Snooze,
    Succeeded,
    Transition,
    Verdict,
)
from batchrunner.model.categories import CATEGORIES, NOT_COUNTED
from batchrunner.policy.escalation import next_steps
from batchrunner.policy.retry_rules import Policy

#: Limit of the exponent, not only of the product: 2 ** 5000 does not fit in a float.
MAX_DOUBLINGS = 10
MAX_BACKOFF = timedelta(minutes=30)


def decide(policy: Policy, job: Job, outcome: Outcome, now: datetime) -> Transition:
    """Say what happens next to *job*, whose newest attempt ended with *outcome*."""
    match outcome:
        case Succeeded(remark=remark, verdict=verdict, findings=findings):
            return Finish(
                state=JobState.SUCCEEDED,
                remark=remark,
                verdict=verdict,
                findings=findings,
                again_at=_again_at(policy, job, now) if verdict is Verdict.SUSPECT else None,
            )
        case Failed() as failure:
            return _decide_failure(policy, job, failure, now)
        case _:
            assert_never(outcome)


def _again_at(policy: Policy, job: Job, now: datetime) -> datetime | None:
    """Return when a suspect result is bought again; None unless a rule of a job file says so."""
    rule = policy.rule(job, Verdict.SUSPECT)
    if rule.attempts is None or job.earlier_suspects + 1 >= rule.attempts:
        return None
    return now + (rule.wait or backoff(policy, job, rule))


def _decide_failure(policy: Policy, job: Job, failure: Failed, now: datetime) -> Transition:
    ends_in = CATEGORIES[failure.category].ends_in
    if ends_in is JobState.CANCELLED:
        return Finish(state=ends_in, failure=failure)
    rule = policy.rule(job, failure.category)
    wait = rule.wait or backoff(policy, job, rule)
    at = now + max(wait, failure.retry_after or timedelta(0))
    if failure.category in NOT_COUNTED:
        return Snooze(at=at, failure=failure)
    if failure.code != UNREADABLE and _has_attempts_left(policy, rule, job, failure.category):
        return Retry(
            at=at, failure=failure, escalation_steps=next_steps(rule, job, failure.category)
        )
    return Finish(state=ends_in, failure=failure)


def _has_attempts_left(
    policy: Policy, rule: RetryRule, job: Job, category: FailureCategory
) -> bool:
    """Whether both this category and all categories together allow another attempt."""
    failures = job.failures_by_category.get(category, 0) + 1
    return failures < policy.allowed_failures(rule) and job.failures + 1 < policy.max_failures(job)


def backoff(policy: Policy, job: Job, rule: RetryRule | None = None) -> timedelta:
    """
    Return how long to wait after *job*'s newest attempt failed.

    The wait is exponential in the job's counted failures, with full jitter. The jitter is derived
    from the job and its attempt: a thousand jobs come back at different times, and a replay of the
    same batch run repeats them exactly.
    """
    base = (rule and rule.backoff) or policy.backoff
    longest = min(doubled(base, job.failures), MAX_BACKOFF)
    return longest * (zlib.crc32(f"{job.key}:{job.attempt}".encode()) / 2**32)


def doubled(base: timedelta, times: int) -> timedelta:
    """Return *base*, doubled *times* times, up to a limit that any wait stays below."""
    return min(base, MAX_BACKOFF) * float(2 ** min(times, MAX_DOUBLINGS))
