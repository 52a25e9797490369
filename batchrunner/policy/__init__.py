"""Policy, job, outcome, now → transition; pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from batchrunner.classify import UNREADABLE, classify, classify_fault, is_not_offered
from batchrunner.model import (
    ApiFault,
    Failed,
    FailureCategory,
    Finish,
    HoldOff,
    Job,
    JobState,
    OpenAttempt,
    Outcome,
    PoolEffect,
    Postpone,
    Retry,
    Ride,
    Rule,
    Run,
    RunStatus,
    Sighting,
    Stop,
    Submission,
    Succeeded,
    Transition,
    Verdict,
)
from batchrunner.policy.ladders import climbed, lessons
from batchrunner.policy.rules import UNCOUNTED, Policy

__all__ = [
    "ENOUGH_SEARCHES",
    "FIRST_WATCH",
    "GATED",
    "LONGEST_BACKOFF",
    "LONGEST_HOLD",
    "LONGEST_LOOK",
    "LONGEST_SEARCH_WAIT",
    "LONGEST_WATCH",
    "LOOKS_PER_RUN",
    "LOST_AFTER",
    "MOST_DOUBLINGS",
    "RECONCILE_GRACE",
    "SHORTEST_LOOK",
    "UNCOUNTED",
    "Policy",
    "backoff",
    "decide",
    "excused",
    "gated_options",
    "is_lost",
    "is_overdue",
    "judge",
    "look_interval",
    "next_search",
    "next_watch",
    "pool_effect",
    "settle_absent",
    "settle_refusal",
    "settle_unanswered",
    "settle_withdrawn",
]

#: The exponent is clamped, not only the product: 2 ** 5000 is no float.
MOST_DOUBLINGS = 10
LONGEST_BACKOFF = timedelta(minutes=30)
#: A pool that waits for an outage or credits tries again at least this often.
LONGEST_HOLD = timedelta(minutes=2)

#: How long an unanswered create is looked for; covers the server's delay in listing new runs.
RECONCILE_GRACE = timedelta(seconds=60)
#: When an absent submission's runs are first looked for again; after that at doubled intervals.
FIRST_WATCH = timedelta(minutes=1)
LONGEST_WATCH = timedelta(minutes=15)
#: Searches in vain before it counts as absent. The waits between them alone make up the grace:
#: a request may be on its way long after it was intended (held back, or up to its own deadline).
ENOUGH_SEARCHES = 7
LONGEST_SEARCH_WAIT = timedelta(seconds=16)
#: How long the API must not know a run before it counts as lost.
LOST_AFTER = timedelta(seconds=30)

#: Looks per typical duration of a run: what refilling a slot costs is half a look.
LOOKS_PER_RUN = 16
SHORTEST_LOOK = timedelta(milliseconds=500)
LONGEST_LOOK = timedelta(seconds=10)

#: Options that an account needs a right for; without it the API answers 403 (Agent reference).
GATED = {
    "agent_config": ("mode", "max_steps"),
    "capture_config": ("elements", "recording"),
    "output_schema": (),
}


def decide(policy: Policy, job: Job, outcome: Outcome, now: datetime) -> Transition:
    """Say what happens next to *job*, whose newest attempt ended with *outcome*."""
    match outcome:
        case Succeeded():
            return Finish(state=JobState.SUCCEEDED)
        case Failed() as failure:
            return _decide_failure(policy, job, failure, now)
        case _:
            assert_never(outcome)


def _decide_failure(policy: Policy, job: Job, failure: Failed, now: datetime) -> Transition:
    if failure.category is FailureCategory.RUN_CANCELLED:
        return Finish(state=JobState.CANCELLED, failure=failure)
    rule = policy.rule(job, failure.category)
    wait = rule.wait or backoff(policy, job, rule)
    at = now + max(wait, failure.retry_after or timedelta(0))
    if failure.category in UNCOUNTED:
        return Postpone(at=at, failure=failure)
    if failure.code != UNREADABLE and _is_worth_another(policy, rule, job, failure.category):
        return Retry(at=at, failure=failure, rungs=climbed(rule, job, failure.category))
    return Finish(state=JobState.FAILED, failure=failure)


def _is_worth_another(policy: Policy, rule: Rule, job: Job, category: FailureCategory) -> bool:
    """Whether neither this category's failures nor all together have used up what they may."""
    met = job.met.get(category, 0) + 1
    return met < policy.tries(rule) and job.failures + 1 < policy.bound(job)


def backoff(policy: Policy, job: Job, rule: Rule | None = None) -> timedelta:
    """
    Return how long to wait after *job*'s newest attempt failed.

    Exponential in its counted failures with full jitter, which comes from the job and its attempt:
    a thousand jobs come back apart, and a replay of the same night comes back the same.
    """
    base = (rule and rule.backoff) or policy.backoff
    longest = min(_doubled(base, job.failures), LONGEST_BACKOFF)
    return longest * (zlib.crc32(f"{job.key}:{job.attempt}".encode()) / 2**32)


def _doubled(base: timedelta, times: int) -> timedelta:
    return min(base, LONGEST_BACKOFF) * float(2 ** min(times, MOST_DOUBLINGS))


# ---- what was seen of runs → what to write about their attempts ----


def judge(
    policy: Policy, attempt: OpenAttempt, sighting: Sighting, now: datetime
) -> Verdict | None:
    """Say what follows from a look at an attempt's run; None if it is to be watched further."""
    if not isinstance(sighting, Run) and not is_lost(attempt, now):
        return None
    outcome = classify(sighting, cancelling=attempt.cancelling, expectations=attempt.expectations)
    if outcome is None:
        return None
    transition = _called_back(attempt, outcome, now) or decide(policy, attempt.job, outcome, now)
    return Verdict(
        attempt=attempt,
        transition=transition,
        run=sighting if isinstance(sighting, Run) else None,
        lessons=lessons(attempt.job, attempt.url, transition),
    )


def _called_back(attempt: OpenAttempt, outcome: Outcome, now: datetime) -> Postpone | None:
    """Return what follows where a deadline ended a run that was within its limits."""
    if not attempt.recalled or not isinstance(outcome, Failed):
        return None
    if outcome.category is not FailureCategory.TIMED_OUT:
        return None  # it ended by itself, before it could be cancelled
    failure = replace(outcome, message="Cancelled for the deadline, before it had ended")
    return Postpone(at=now, failure=failure)


def is_lost(attempt: OpenAttempt, now: datetime) -> bool:
    """Whether the API has not shown the attempt's run for long enough to believe it."""
    return attempt.missing_since is not None and now - attempt.missing_since >= LOST_AFTER


def is_overdue(policy: Policy, attempt: OpenAttempt, sighting: Sighting, now: datetime) -> bool:
    """
    Whether the attempt's run has been queued or running for longer than its limit.

    By our clock, and by the API's where it tells the time: either of them may have been set.
    """
    if attempt.cancelling is not None:
        return False
    queued = attempt.status is RunStatus.PENDING
    limit = policy.queued_limit if queued else policy.running_limit
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


def look_interval(typical: timedelta | None, oldest: timedelta) -> timedelta:
    """
    Return how long to wait until the next look at all runs.

    *typical* is how long such runs take, None while none has ended; *oldest* is the age of the
    oldest run in flight, from which to guess as long as nothing is known.
    """
    interval = typical / LOOKS_PER_RUN if typical is not None else oldest / (LOOKS_PER_RUN / 2)
    return min(max(interval, SHORTEST_LOOK), LONGEST_LOOK)


# ---- what became of a submission → what to write about its attempts ----


def settle_refusal(
    policy: Policy, submission: Submission, fault: ApiFault, now: datetime, *, singly: bool = False
) -> list[Verdict]:
    """
    Say what follows for each ride of a submission of which nothing was created.

    One bad job never fails its neighbours: those whom the API named fail, the others ride again;
    where it named nobody, they ride again in halves until the bad one sits alone, or until the
    credits suffice. *singly* says
    that it was sent to run-async, where batch creation is not offered: a 404 there is about
    something that the job names.
    """
    failure = classify_fault(fault)
    not_offered = is_not_offered(fault)
    if not_offered and singly:
        failure, not_offered = replace(failure, category=FailureCategory.REJECTED), False
    rides = submission.rides
    named = _named(failure, fault, submission)
    if named:
        transitions = [_settle_named(policy, r, named.get(r.place), failure, now) for r in rides]
    elif not_offered:
        at = now + (failure.retry_after or timedelta(0))
        transitions = [Postpone(at=at, failure=failure) for _ in rides]
    elif _may_go_in_part(failure, fault, submission):
        together = max(len(rides) // 2, 1)
        transitions = [Postpone(at=now, failure=failure, together=together) for _ in rides]
    else:
        transitions = [_settle_unnamed(policy, ride, failure, fault, now) for ride in rides]
    return [
        Verdict(attempt=ride, transition=transition)
        for ride, transition in zip(rides, transitions, strict=True)
    ]


def _named(failure: Failed, fault: ApiFault, submission: Submission) -> dict[int, str]:
    """Return what the API said about single rides, by place; about others it is no help."""
    if failure.category is not FailureCategory.REJECTED:
        return {}
    places = [ride.place for ride in submission.rides]
    return {place: fault.issues[place - 1] for place in places if place - 1 in fault.issues}


def _settle_named(
    policy: Policy, ride: Ride, message: str | None, failure: Failed, now: datetime
) -> Transition:
    if message is None:
        return Postpone(at=now, failure=failure)
    return decide(policy, ride.job, replace(failure, message=message), now)


def _settle_unnamed(
    policy: Policy, ride: Ride, failure: Failed, fault: ApiFault, now: datetime
) -> Transition:
    if _lacks_a_right(failure, fault, ride):
        return Finish(state=JobState.FAILED, failure=failure)
    return decide(policy, ride.job, failure, now)


def _may_go_in_part(failure: Failed, fault: ApiFault, submission: Submission) -> bool:
    if len(submission.rides) == 1:
        return False
    if failure.category is FailureCategory.BILLING_FAILURE:
        return failure.retry_after is None  # what does not suffice for all may suffice for some
    if failure.category is FailureCategory.REJECTED:
        return True
    return any(_lacks_a_right(failure, fault, ride) for ride in submission.rides)


def _lacks_a_right(failure: Failed, fault: ApiFault, ride: Ride) -> bool:
    """Whether a 403 may be about this ride's options; a 401 is about the key, and so about all."""
    unauthorized = failure.category is FailureCategory.UNAUTHORIZED
    # What a ladder asked for, and the user perhaps did not, must not stop a whole batch.
    special = bool(gated_options(ride) or ride.changes)
    return unauthorized and fault.status == 403 and special


def gated_options(ride: Ride) -> list[str]:
    """Return the options of a ride that an account may lack the right for."""
    found = []
    for option, parts in GATED.items():
        value = ride.options.get(option)
        if value and not parts:
            found.append(option)
        elif isinstance(value, dict):
            found += [f"{option}.{part}" for part in parts if value.get(part) not in (None, False)]
    return found


def settle_withdrawn(submission: Submission, now: datetime) -> list[Verdict]:
    """Free the rides of a submission that was never sent: things changed before its turn came."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run was held back and not sent",
    )
    return _all_back(submission, failure, now)


def settle_absent(submission: Submission, now: datetime) -> list[Verdict]:
    """Free the rides of a submission whose runs were looked for and do not exist."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run got no answer, and no run was created",
    )
    return _all_back(submission, failure, now)


def _all_back(submission: Submission, failure: Failed, now: datetime) -> list[Verdict]:
    return [
        Verdict(attempt=ride, transition=Postpone(at=now, failure=failure))
        for ride in submission.rides
    ]


def settle_unanswered(submission: Submission, why: str) -> list[Verdict]:
    """Fail the rides of a submission of which nothing can tell whether it created runs."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"The request to create the run got no answer ({why}); a run may exist",
    )
    return [
        Verdict(attempt=ride, transition=Finish(state=JobState.FAILED, failure=failure))
        for ride in submission.rides
    ]


def next_search(
    submission: Submission, now: datetime, leapt_at: datetime | None = None
) -> datetime | None:
    """
    Return when to look for an unanswered submission's runs again; None once it is absent.

    Time over which the clock leapt is none in which the runs could have turned up.
    """
    searched = min(submission.searched, ENOUGH_SEARCHES)
    since = max(submission.intended_at, leapt_at or submission.intended_at)
    if now - since >= RECONCILE_GRACE and searched == ENOUGH_SEARCHES:
        return None
    return now + min(timedelta(seconds=2**searched), LONGEST_SEARCH_WAIT)


def next_watch(submission: Submission, now: datetime) -> datetime:
    """Return when to look again whether runs of an absent submission turn up after all."""
    since = now - submission.intended_at
    return now + min(max(since, FIRST_WATCH), LONGEST_WATCH)


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
    wait = min(_doubled(policy.backoff / 4, in_row), LONGEST_HOLD)
    return max(wait, failure.retry_after or timedelta(0))
