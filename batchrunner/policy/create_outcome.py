"""What became of a submission → what to write about its attempts; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.api_facts.run_options import OPTIONS_BEHIND_A_RIGHT, OPTIONS_NAMING_PROPERTY
from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    ApiFault,
    AttemptDecision,
    Failed,
    FailureCategory,
    Finish,
    JobState,
    OpenAttempt,
    Snooze,
    Submission,
    SubmittedAttempt,
    Transition,
)
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy

#: How long an unanswered create is looked for; covers the server's delay in listing new runs.
RECONCILE_GRACE = timedelta(seconds=60)
#: When an absent submission's runs are first looked for again; after that at doubled intervals.
FIRST_LATE_CHECK = timedelta(minutes=1)
MAX_LATE_CHECK_WAIT = timedelta(minutes=15)
#: Searches in vain before it counts as absent. The waits between them alone make up the grace:
#: a request may be on its way long after it was intended (held back, or up to its own deadline).
SEARCHES_BEFORE_ABSENT = 7
MAX_SEARCH_WAIT = timedelta(seconds=16)
#: How long searches that cannot be relied on are repeated before nothing can tell any more.
MAX_DOUBT = timedelta(minutes=15)
MIN_DOUBT_WAIT = timedelta(seconds=5)
MAX_DOUBT_WAIT = timedelta(minutes=2)
#: An answer that changes its mind about whose a run is more often than this is not believed.
MAX_REMATCHES = 5


def settle_refusal(
    policy: Policy, submission: Submission, fault: ApiFault, now: datetime, *, singly: bool = False
) -> list[AttemptDecision]:
    """
    Say what follows for each ride of a submission of which nothing was created.

    One bad job never fails its neighbours: those whom the API named fail, the others ride again;
    where it named nobody, they ride again in halves until the bad one sits alone, or until the
    credits suffice. *singly* says
    that it was sent to run-async, where batch creation is not offered: a 404 there may be about
    something that the job names.
    """
    failure = classify_fault(fault)
    not_offered = is_not_offered(fault)
    if not_offered and singly and _may_be_missed(submission, fault):
        failure, not_offered = replace(failure, category=FailureCategory.REJECTED), False
    rides = submission.attempts
    named = _named(failure, fault, submission)
    if named:
        transitions = [
            _settle_named(policy, r, named.get(r.batch_index), failure, now) for r in rides
        ]
    elif not_offered:
        at = now + (failure.retry_after or timedelta(0))
        transitions = [Snooze(at=at, failure=failure) for _ in rides]
    elif _may_go_in_part(failure, fault, submission):
        together = max(len(rides) // 2, 1)
        transitions = [Snooze(at=now, failure=failure, max_batch_size=together) for _ in rides]
    else:
        transitions = [_settle_unnamed(policy, ride, failure, fault, now) for ride in rides]
    return [
        AttemptDecision(attempt=ride, transition=transition)
        for ride, transition in zip(rides, transitions, strict=True)
    ]


def _may_be_missed(submission: Submission, fault: ApiFault) -> bool:
    """Whether a 404 can be about what a ride names, and not about the endpoint."""
    named = any(
        ride.options.get(option)
        for ride in submission.attempts
        for option in OPTIONS_NAMING_PROPERTY
    )
    return fault.status == 404 and named


def _named(failure: Failed, fault: ApiFault, submission: Submission) -> dict[int, str]:
    """Return what the API said about single rides, by place; about others it is no help."""
    if failure.category is not FailureCategory.REJECTED:
        return {}
    places = [ride.batch_index for ride in submission.attempts]
    return {place: fault.issues[place - 1] for place in places if place - 1 in fault.issues}


def _settle_named(
    policy: Policy, ride: SubmittedAttempt, message: str | None, failure: Failed, now: datetime
) -> Transition:
    if message is None:
        neighbour = f"Another job of its request was refused: {failure.message}"
        return Snooze(at=now, failure=replace(failure, message=neighbour))
    return decide(policy, ride.job, replace(failure, message=message), now)


def _settle_unnamed(
    policy: Policy, ride: SubmittedAttempt, failure: Failed, fault: ApiFault, now: datetime
) -> Transition:
    if _lacks_a_right(failure, fault, ride):
        asked_for = ", ".join([*options_behind_a_right(ride), *ride.option_overrides])
        message = f"The account may have no right to {asked_for}: {failure.message}"
        return Finish(state=JobState.FAILED, failure=replace(failure, message=message))
    return decide(policy, ride.job, failure, now)


def _may_go_in_part(failure: Failed, fault: ApiFault, submission: Submission) -> bool:
    if len(submission.attempts) == 1:
        return False
    if failure.category is FailureCategory.BILLING_FAILURE:
        return failure.retry_after is None  # what does not suffice for all may suffice for some
    if failure.category is FailureCategory.REJECTED:
        return True
    return any(_lacks_a_right(failure, fault, ride) for ride in submission.attempts)


def _lacks_a_right(failure: Failed, fault: ApiFault, ride: SubmittedAttempt) -> bool:
    """Whether a 403 may be about this ride's options; a 401 is about the key, and so about all."""
    unauthorized = failure.category is FailureCategory.UNAUTHORIZED
    # What a ladder asked for, and the user perhaps did not, must not stop a whole batch.
    special = bool(options_behind_a_right(ride) or ride.option_overrides)
    return unauthorized and fault.status == 403 and special


def options_behind_a_right(ride: SubmittedAttempt) -> list[str]:
    """Return the options of a ride that an account may lack the right for."""
    found = []
    for option, parts in OPTIONS_BEHIND_A_RIGHT.items():
        value = ride.options.get(option)
        if value and not parts:
            found.append(option)
        elif isinstance(value, dict):
            found += [f"{option}.{part}" for part in parts if value.get(part) not in (None, False)]
    return found


def settle_withdrawn(submission: Submission, now: datetime) -> list[AttemptDecision]:
    """Free the rides of a submission that was never sent: things changed before its turn came."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run was held back and not sent",
    )
    return _all_back(submission, failure, now)


def settle_without_webhook(submission: Submission, now: datetime) -> list[AttemptDecision]:
    """Free the rides of a submission that was refused for a webhook that none of them asked for."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The API refused the webhook of `--webhook-listen`; nothing was created",
    )
    return _all_back(submission, failure, now)


def settle_absent(submission: Submission, now: datetime) -> list[AttemptDecision]:
    """Free the rides of a submission whose runs were looked for and do not exist."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run got no answer, and no run was created",
    )
    return _all_back(submission, failure, now)


def settle_unconfirmed(
    submission: Submission, before: Collection[int], now: datetime
) -> list[AttemptDecision]:
    """
    Settle the rides of a submission that seems absent, where no known run shows that searches work.

    That is believed once of each job, not of those in *before*: their ids are of jobs that were
    given back like this already.
    """
    rides = submission.attempts
    again = replace(submission, attempts=tuple(r for r in rides if r.job.id not in before))
    lost = replace(submission, attempts=tuple(r for r in rides if r.job.id in before))
    why = "nothing is found of it once more, and no run that is known shows that searches work"
    return settle_absent(again, now) + settle_unanswered(lost, why)


def _all_back(submission: Submission, failure: Failed, now: datetime) -> list[AttemptDecision]:
    return [
        AttemptDecision(attempt=ride, transition=Snooze(at=now, failure=failure))
        for ride in submission.attempts
    ]


def settle_unanswered(submission: Submission, why: str) -> list[AttemptDecision]:
    """Fail the rides of a submission of which nothing can tell whether it created runs."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"The request to create the run got no answer ({why}); a run may exist",
    )
    return [
        AttemptDecision(attempt=ride, transition=Finish(state=JobState.FAILED, failure=failure))
        for ride in submission.attempts
    ]


def settle_mixed_up(attempts: Sequence[OpenAttempt]) -> list[AttemptDecision]:
    """Fail attempts of which the API says that other runs are theirs whenever it is asked."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message="The API shows its run with another goal each time; the run is cancelled",
    )
    transition = Finish(state=JobState.FAILED, failure=failure)
    return [AttemptDecision(attempt=attempt, transition=transition) for attempt in attempts]


def next_control_search(since: datetime, now: datetime) -> datetime | None:
    """
    Return when to search again after a search that cannot be relied on; None: nothing can tell.

    *since* is when the first such search was, with none between that could be relied on.
    """
    doubted = now - since
    if doubted >= MAX_DOUBT:
        return None
    return now + min(max(doubted, MIN_DOUBT_WAIT), MAX_DOUBT_WAIT)


def control_run_ages(submission: Submission, now: datetime) -> tuple[datetime, datetime]:
    """
    Return before which moments a run must have been made by which a search is tried, best first.

    It is to be the newest that a list may be asked to show. A list that is later than the grace
    shows none so new; a run at least half as old as the submission tells enough of that.
    """
    grown = max(RECONCILE_GRACE, (now - submission.intended_at) / 2)
    return now - grown, now - RECONCILE_GRACE


def next_search(
    submission: Submission, now: datetime, leapt_at: datetime | None = None
) -> datetime | None:
    """
    Return when to look for an unanswered submission's runs again; None once it is absent.

    Time over which the clock leapt is none in which the runs could have turned up.
    """
    searched = min(submission.fruitless_searches, SEARCHES_BEFORE_ABSENT)
    since = max(submission.intended_at, leapt_at or submission.intended_at)
    if now - since >= RECONCILE_GRACE and searched == SEARCHES_BEFORE_ABSENT:
        return None
    return now + min(timedelta(seconds=2**searched), MAX_SEARCH_WAIT)


def next_late_check(submission: Submission, now: datetime) -> datetime:
    """Return when to look again whether runs of an absent submission turn up after all."""
    since = now - submission.intended_at
    return now + min(max(since, FIRST_LATE_CHECK), MAX_LATE_CHECK_WAIT)
