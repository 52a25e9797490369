"""Policy, job, outcome, now → transition; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.classify import classify
from batchrunner.model import (
    Failed,
    FailureCategory,
    Finish,
    HoldOff,
    JobState,
    OpenAttempt,
    Outcome,
    PoolEffect,
    Postpone,
    Run,
    RunStatus,
    Sighting,
    Stop,
    Verdict,
)
from batchrunner.policy.decisions import (
    LONGEST_BACKOFF,
    MOST_DOUBLINGS,
    backoff,
    decide,
    doubled,
)
from batchrunner.policy.ladders import lessons
from batchrunner.policy.parking import telling
from batchrunner.policy.rules import UNCOUNTED, Policy
from batchrunner.policy.submissions import (
    ENOUGH_SEARCHES,
    FIRST_WATCH,
    GATED,
    LONGEST_DOUBT,
    LONGEST_SEARCH_WAIT,
    LONGEST_WATCH,
    MOST_REMATCHES,
    RECONCILE_GRACE,
    gated_options,
    next_search,
    next_trial,
    next_watch,
    settle_absent,
    settle_changeable,
    settle_refusal,
    settle_unanswered,
    settle_unhooked,
    settle_unproved,
    settle_withdrawn,
    trial_ages,
)
from batchrunner.policy.windows import Pace

__all__ = [
    "ENOUGH_SEARCHES",
    "FIRST_WATCH",
    "GATED",
    "GIVEN_UP_AFTER",
    "HINT_GAP",
    "LINGERING",
    "LONGEST_BACKOFF",
    "LONGEST_DOUBT",
    "LONGEST_HOLD",
    "LONGEST_LOOK",
    "LONGEST_SEARCH_WAIT",
    "LONGEST_UNHINTED_LOOK",
    "LONGEST_WATCH",
    "LOOKS_PER_RUN",
    "LOST_AFTER",
    "MOST_DOUBLINGS",
    "MOST_REMATCHES",
    "MOST_SAVED",
    "RECONCILE_GRACE",
    "SHORTEST_LOOK",
    "UNCOUNTED",
    "Policy",
    "backoff",
    "decide",
    "excused",
    "gated_options",
    "give_up",
    "is_lost",
    "is_overdue",
    "judge",
    "lingers",
    "look_interval",
    "next_search",
    "next_trial",
    "next_watch",
    "pool_effect",
    "settle_absent",
    "settle_changeable",
    "settle_refusal",
    "settle_unanswered",
    "settle_unhooked",
    "settle_unproved",
    "settle_withdrawn",
    "trial_ages",
]

#: A pool that waits for an outage or credits tries again at least this often.
LONGEST_HOLD = timedelta(minutes=2)

#: How long the API must not know a run before it counts as lost.
LOST_AFTER = timedelta(seconds=30)
#: How long a run is waited for that was asked to end, or of which the API tells nothing at all.
GIVEN_UP_AFTER = timedelta(minutes=30)

#: How long a run may go on being RUNNING when it shows its result already.
LINGERING = timedelta(minutes=2)
#: As long as no run has ended.
NO_PACE = Pace()

#: Looks per typical duration of a run: what refilling a slot costs is half a look.
LOOKS_PER_RUN = 16
SHORTEST_LOOK = timedelta(milliseconds=500)
LONGEST_LOOK = timedelta(seconds=10)
#: Where hints say when to look, looks that no hint asks for are put off.
UNHINTED_LOOKS_PER_RUN = 8
LONGEST_UNHINTED_LOOK = timedelta(seconds=30)
#: A look is put off for hints that come meanwhile, and so many looks may be caught up on for them.
HINT_GAP = timedelta(seconds=1)
MOST_SAVED = 4.0

# ---- what was seen of runs → what to write about their attempts ----


def judge(
    policy: Policy, attempt: OpenAttempt, sighting: Sighting, now: datetime
) -> Verdict | None:
    """Say what follows from a look at an attempt's run; None if it is to be watched further."""
    if not isinstance(sighting, Run) and not is_lost(attempt, now):
        return None
    outcome = classify(
        sighting,
        cancelling=attempt.cancelling,
        expectations=attempt.expectations,
        lingered=attempt.lingered,
    )
    if outcome is None:
        return None
    transition = _called_back(attempt, outcome, now) or decide(policy, attempt.job, outcome, now)
    return Verdict(
        attempt=attempt,
        transition=transition,
        run=sighting if isinstance(sighting, Run) else None,
        lessons=lessons(attempt.job, attempt.url, transition),
        telling=telling(policy.hosts, attempt, transition),
    )


def _called_back(attempt: OpenAttempt, outcome: Outcome, now: datetime) -> Postpone | None:
    """Return what follows where a deadline ended a run that was within its limits."""
    if not attempt.recalled or not isinstance(outcome, Failed):
        return None
    if outcome.category is not FailureCategory.TIMED_OUT:
        return None  # it ended by itself, before it could be cancelled
    failure = replace(outcome, message="Cancelled for the deadline, before it had ended")
    return Postpone(at=now, failure=failure)


def lingers(sighting: Sighting) -> bool:
    """Whether a run shows its result and is not at its end all the same."""
    return (
        isinstance(sighting, Run)
        and not sighting.status.is_final
        and sighting.result not in (None, "null")
    )


def give_up(attempt: OpenAttempt, why: str) -> Verdict:
    """Close an attempt whose run may go on: another run would perhaps be paid beside it."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"Run {attempt.run_id} may go on and cost money: {why}",
    )
    return Verdict(attempt=attempt, transition=Finish(state=JobState.FAILED, failure=failure))


def is_lost(attempt: OpenAttempt, now: datetime) -> bool:
    """Whether the API has not shown the attempt's run for long enough to believe it."""
    return attempt.missing_since is not None and now - attempt.missing_since >= LOST_AFTER


def is_overdue(
    policy: Policy,
    attempt: OpenAttempt,
    sighting: Sighting,
    now: datetime,
    pace: Pace = NO_PACE,
) -> bool:
    """
    Whether the attempt's run has been queued or running for longer than its limit.

    By our clock, and by the API's where it tells the time: either of them may have been set.
    *pace* is how long such runs are RUNNING.
    """
    if attempt.cancelling is not None:
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


def excused(attempt: OpenAttempt, leapt_at: datetime | None) -> OpenAttempt:
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


def look_interval(
    typical: timedelta | None, oldest: timedelta, *, hinted: bool = False
) -> timedelta:
    """
    Return how long to wait until the next look at all runs.

    *typical* is how long such runs take, None while none has ended; *oldest* is the age of the
    oldest run in flight, from which to guess as long as nothing is known. *hinted* says that a
    hint is to be expected before.
    """
    looks, longest = LOOKS_PER_RUN, LONGEST_LOOK
    if hinted:
        looks, longest = UNHINTED_LOOKS_PER_RUN, LONGEST_UNHINTED_LOOK
    interval = typical / looks if typical is not None else oldest / (looks / 2)
    return min(max(interval, SHORTEST_LOOK), longest)


# ---- what a failure means for the whole pool ----


def pool_effect(
    policy: Policy, failures: Sequence[Failed], in_row: int, now: datetime, *, looking: bool
) -> PoolEffect | None:
    """
    Say what the failures of one request mean for all others.

    *in_row* counts the requests before it that met the like, without one that went well between;
    *looking* says that it created nothing. A create that got lost holds back creates only: looks
    are what finds its runs.
    """
    for failure in failures:
        match failure.category:
            case FailureCategory.UNAUTHORIZED:
                return Stop(failure=failure)
            case FailureCategory.THROTTLED:
                return HoldOff(until=now + _hold(policy, failure, in_row), failure=failure)
            case FailureCategory.UNREACHABLE:
                until = now + _hold(policy, failure, in_row)
                return HoldOff(until=until, failure=failure, creates_only=not looking)
            case FailureCategory.BILLING_FAILURE:
                until = now + _hold(policy, failure, in_row)
                return HoldOff(until=until, failure=failure, creates_only=True)
            case _:
                continue
    return None


def _hold(policy: Policy, failure: Failed, in_row: int) -> timedelta:
    wait = min(doubled(policy.backoff / 4, in_row), LONGEST_HOLD)
    return max(wait, failure.retry_after or timedelta(0))
