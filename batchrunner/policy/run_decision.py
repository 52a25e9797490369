"""Policy, job, outcome, now → transition; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.classify import classify
from batchrunner.model import (
    AttemptDecision,
    Backpressure,
    DelayRequests,
    Failed,
    FailureCategory,
    Finish,
    JobState,
    OpenAttempt,
    Outcome,
    Run,
    RunObservation,
    RunStatus,
    Snooze,
    StopSubmitting,
)
from batchrunner.policy.escalation import escalation_results
from batchrunner.policy.host_breaker import host_result
from batchrunner.policy.retry import decide, doubled
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.schedule import Pace

#: A pool that waits for an outage or credits tries again at least this often.
MAX_REQUEST_DELAY = timedelta(minutes=2)

#: How long the API must not know a run before it counts as lost.
LOST_AFTER = timedelta(seconds=30)
#: How long a run is waited for that was asked to end, or of which the API tells nothing at all.
GIVEN_UP_AFTER = timedelta(minutes=30)

#: How long a run may go on being RUNNING when it shows its result already.
LINGERING_AFTER = timedelta(minutes=2)
#: As long as no run has ended.
NO_PACE = Pace()

#: Looks per typical duration of a run: what refilling a slot costs is half a look.
POLLS_PER_RUN = 16
MIN_POLL_SECONDS = timedelta(milliseconds=500)
MAX_POLL_SECONDS = timedelta(seconds=10)
#: Where hints say when to look, looks that no hint asks for are put off.
POLLS_PER_RUN_WITH_WEBHOOKS = 8
MAX_POLL_SECONDS_WITH_WEBHOOKS = timedelta(seconds=30)
#: A look is put off for hints that come meanwhile, and so many looks may be caught up on for them.
WEBHOOK_POLL_GAP = timedelta(seconds=1)
MAX_SAVED_POLLS = 4.0

# ---- what was seen of runs → what to write about their attempts ----


def decide_run(
    policy: Policy, attempt: OpenAttempt, sighting: RunObservation, now: datetime
) -> AttemptDecision | None:
    """Say what follows from a look at an attempt's run; None if it is to be watched further."""
    if not isinstance(sighting, Run) and not is_lost(attempt, now):
        return None
    outcome = classify(
        sighting,
        cancelling=attempt.cancel_reason,
        expectations=attempt.expectations,
        lingered=attempt.cancelled_after_result,
    )
    if outcome is None:
        return None
    transition = _called_back(attempt, outcome, now) or decide(policy, attempt.job, outcome, now)
    return AttemptDecision(
        attempt=attempt,
        transition=transition,
        run=sighting if isinstance(sighting, Run) else None,
        escalation_results=escalation_results(attempt.job, attempt.url, transition),
        host_result=host_result(policy.hosts, attempt, transition),
    )


def _called_back(attempt: OpenAttempt, outcome: Outcome, now: datetime) -> Snooze | None:
    """Return what follows where a deadline ended a run that was within its limits."""
    if not attempt.cancelled_for_deadline or not isinstance(outcome, Failed):
        return None
    if outcome.category is not FailureCategory.TIMED_OUT:
        return None  # it ended by itself, before it could be cancelled
    failure = replace(outcome, message="Cancelled for the deadline, before it had ended")
    return Snooze(at=now, failure=failure)


def lingers(sighting: RunObservation) -> bool:
    """Whether a run shows its result and is not at its end all the same."""
    return (
        isinstance(sighting, Run)
        and not sighting.status.is_final
        and sighting.result not in (None, "null")
    )


def give_up(attempt: OpenAttempt, why: str) -> AttemptDecision:
    """Close an attempt whose run may go on: another run would perhaps be paid beside it."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"Run {attempt.run_id} may go on and cost money: {why}",
    )
    return AttemptDecision(
        attempt=attempt, transition=Finish(state=JobState.FAILED, failure=failure)
    )


def is_lost(attempt: OpenAttempt, now: datetime) -> bool:
    """Whether the API has not shown the attempt's run for long enough to believe it."""
    return attempt.missing_since is not None and now - attempt.missing_since >= LOST_AFTER


def is_overdue(
    policy: Policy,
    attempt: OpenAttempt,
    sighting: RunObservation,
    now: datetime,
    pace: Pace = NO_PACE,
) -> bool:
    """
    Whether the attempt's run has been queued or running for longer than its limit.

    By our clock, and by the API's where it tells the time: either of them may have been set.
    *pace* is how long such runs are RUNNING.
    """
    if attempt.cancel_reason is not None:
        return False
    queued = attempt.status is RunStatus.PENDING
    limit = policy.limit(attempt.limits, pace, queued=queued)
    ours = now - (attempt.opened_at if queued else attempt.started_at or attempt.opened_at)
    theirs = _lasted(sighting, queued=queued) if isinstance(sighting, Run) else None
    return min(ours, ours if theirs is None else theirs) > limit


def _lasted(run: Run, *, queued: bool) -> timedelta | None:
    since = run.created_at if queued else run.started_at
    lasted = run.shown_at - since if run.shown_at and since else None
    return None if lasted is None or lasted < timedelta(0) else lasted  # its clock was set back


def reset_after_clock_jump(attempt: OpenAttempt, leapt_at: datetime | None) -> OpenAttempt:
    """
    Return the attempt as if its times had begun when the clock leapt, if it did since.

    Whether the machine slept or was set forward cannot be told; in either case nobody looked.
    """
    if leapt_at is None:
        return attempt
    return replace(
        attempt,
        opened_at=max(attempt.opened_at, leapt_at),
        started_at=attempt.started_at and max(attempt.started_at, leapt_at),
        missing_since=attempt.missing_since and max(attempt.missing_since, leapt_at),
    )


def poll_interval(
    typical: timedelta | None, oldest: timedelta, *, hinted: bool = False
) -> timedelta:
    """
    Return how long to wait until the next look at all runs.

    *typical* is how long such runs take, None while none has ended; *oldest* is the age of the
    oldest run in flight, from which to guess as long as nothing is known. *hinted* says that a
    hint is to be expected before.
    """
    looks, longest = POLLS_PER_RUN, MAX_POLL_SECONDS
    if hinted:
        looks, longest = POLLS_PER_RUN_WITH_WEBHOOKS, MAX_POLL_SECONDS_WITH_WEBHOOKS
    interval = typical / looks if typical is not None else oldest / (looks / 2)
    return min(max(interval, MIN_POLL_SECONDS), longest)


# ---- what a failure means for the whole pool ----


def pool_effect(
    policy: Policy, failures: Sequence[Failed], in_row: int, now: datetime, *, looking: bool
) -> Backpressure | None:
    """
    Say what the failures of one request mean for all others.

    *in_row* counts the requests before it that met the like, without one that went well between;
    *looking* says that it created nothing. A create that got lost holds back creates only: looks
    are what finds its runs.
    """
    for failure in failures:
        match failure.category:
            case FailureCategory.UNAUTHORIZED:
                return StopSubmitting(failure=failure)
            case FailureCategory.THROTTLED:
                return DelayRequests(until=now + _hold(policy, failure, in_row), failure=failure)
            case FailureCategory.UNREACHABLE:
                until = now + _hold(policy, failure, in_row)
                return DelayRequests(until=until, failure=failure, creates_only=not looking)
            case FailureCategory.BILLING_FAILURE:
                until = now + _hold(policy, failure, in_row)
                return DelayRequests(until=until, failure=failure, creates_only=True)
            case _:
                continue
    return None


def _hold(policy: Policy, failure: Failed, in_row: int) -> timedelta:
    wait = min(doubled(policy.backoff / 4, in_row), MAX_REQUEST_DELAY)
    return max(wait, failure.retry_after or timedelta(0))
