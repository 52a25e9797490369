"""What became of a submission → what to write about its attempts; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    ApiFault,
    Failed,
    FailureCategory,
    Finish,
    JobState,
    OpenAttempt,
    Postpone,
    Ride,
    Submission,
    Transition,
    Verdict,
)
from batchrunner.policy.decisions import decide
from batchrunner.policy.rules import Policy

#: How long an unanswered create is looked for; covers the server's delay in listing new runs.
RECONCILE_GRACE = timedelta(seconds=60)
#: When an absent submission's runs are first looked for again; after that at doubled intervals.
FIRST_WATCH = timedelta(minutes=1)
LONGEST_WATCH = timedelta(minutes=15)
#: Searches in vain before it counts as absent. The waits between them alone make up the grace:
#: a request may be on its way long after it was intended (held back, or up to its own deadline).
ENOUGH_SEARCHES = 7
LONGEST_SEARCH_WAIT = timedelta(seconds=16)
#: How long searches that cannot be relied on are repeated before nothing can tell any more.
LONGEST_DOUBT = timedelta(minutes=15)
SHORTEST_DOUBT_WAIT = timedelta(seconds=5)
LONGEST_DOUBT_WAIT = timedelta(minutes=2)
#: An answer that changes its mind about whose a run is more often than this is not believed.
MOST_REMATCHES = 5

#: Options that an account needs a right for; without it the API answers 403 (Agent reference).
GATED = {
    "agent_config": ("mode", "max_steps"),
    "capture_config": ("elements", "recording"),
    "output_schema": (),
}

#: Options by which a job names what the account has, and which the API may not find.
NAMING = ("credential_item_ids", "profile_id", "use_profile", "use_vault")


def settle_refusal(
    policy: Policy, submission: Submission, fault: ApiFault, now: datetime, *, singly: bool = False
) -> list[Verdict]:
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


def _may_be_missed(submission: Submission, fault: ApiFault) -> bool:
    """Whether a 404 can be about what a ride names, and not about the endpoint."""
    named = any(ride.options.get(option) for ride in submission.rides for option in NAMING)
    return fault.status == 404 and named


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
        neighbour = f"Another job of its request was refused: {failure.message}"
        return Postpone(at=now, failure=replace(failure, message=neighbour))
    return decide(policy, ride.job, replace(failure, message=message), now)


def _settle_unnamed(
    policy: Policy, ride: Ride, failure: Failed, fault: ApiFault, now: datetime
) -> Transition:
    if _lacks_a_right(failure, fault, ride):
        asked_for = ", ".join([*gated_options(ride), *ride.changes])
        message = f"The account may have no right to {asked_for}: {failure.message}"
        return Finish(state=JobState.FAILED, failure=replace(failure, message=message))
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


def settle_unhooked(submission: Submission, now: datetime) -> list[Verdict]:
    """Free the rides of a submission that was refused for a webhook that none of them asked for."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The API refused the webhook of `--webhook-listen`; nothing was created",
    )
    return _all_back(submission, failure, now)


def settle_absent(submission: Submission, now: datetime) -> list[Verdict]:
    """Free the rides of a submission whose runs were looked for and do not exist."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run got no answer, and no run was created",
    )
    return _all_back(submission, failure, now)


def settle_unproved(
    submission: Submission, before: Collection[int], now: datetime
) -> list[Verdict]:
    """
    Settle the rides of a submission that seems absent, where no known run shows that searches work.

    That is believed once of each job, not of those in *before*: their ids are of jobs that were
    given back like this already.
    """
    rides = submission.rides
    again = replace(submission, rides=tuple(r for r in rides if r.job.id not in before))
    lost = replace(submission, rides=tuple(r for r in rides if r.job.id in before))
    why = "nothing is found of it once more, and no run that is known shows that searches work"
    return settle_absent(again, now) + settle_unanswered(lost, why)


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


def settle_changeable(attempts: Sequence[OpenAttempt]) -> list[Verdict]:
    """Fail attempts of which the API says that other runs are theirs whenever it is asked."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message="The API shows its run with another goal each time; the run is cancelled",
    )
    transition = Finish(state=JobState.FAILED, failure=failure)
    return [Verdict(attempt=attempt, transition=transition) for attempt in attempts]


def next_trial(since: datetime, now: datetime) -> datetime | None:
    """
    Return when to search again after a search that cannot be relied on; None: nothing can tell.

    *since* is when the first such search was, with none between that could be relied on.
    """
    doubted = now - since
    if doubted >= LONGEST_DOUBT:
        return None
    return now + min(max(doubted, SHORTEST_DOUBT_WAIT), LONGEST_DOUBT_WAIT)


def trial_ages(submission: Submission, now: datetime) -> tuple[datetime, datetime]:
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
    searched = min(submission.searched, ENOUGH_SEARCHES)
    since = max(submission.intended_at, leapt_at or submission.intended_at)
    if now - since >= RECONCILE_GRACE and searched == ENOUGH_SEARCHES:
        return None
    return now + min(timedelta(seconds=2**searched), LONGEST_SEARCH_WAIT)


def next_watch(submission: Submission, now: datetime) -> datetime:
    """Return when to look again whether runs of an absent submission turn up after all."""
    since = now - submission.intended_at
    return now + min(max(since, FIRST_WATCH), LONGEST_WATCH)
