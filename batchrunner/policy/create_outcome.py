"""The answer to a create, or a search for its runs → what to write about its attempts; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.api_facts.run_options import OPTIONS_BEHIND_A_RIGHT, OPTIONS_NAMING_PROPERTY
from batchrunner.classify import classify_fault, is_not_offered
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
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
    marker_prefix,
)
from batchrunner.policy.goal_length import explain_too_long
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy

#: How long to search for the runs of an unanswered create: longer than new runs take to be listed.
RECONCILE_GRACE = timedelta(seconds=60)
#: When to check for the first time whether runs of an absent submission appeared late; the
#: interval is doubled after each check.
FIRST_LATE_CHECK = timedelta(minutes=1)
MAX_LATE_CHECK_WAIT = timedelta(minutes=15)
#: Fruitless searches before a submission counts as absent. The waits between them add up to the
#: grace: a request may reach the API long after it was written down.
SEARCHES_BEFORE_ABSENT = 7
MAX_SEARCH_WAIT = timedelta(seconds=16)
#: How long a submission stays unanswered when nothing else is left that could decide it.
UNANSWERED_PATIENCE = timedelta(minutes=15)
MIN_UNANSWERED_WAIT = timedelta(seconds=5)
MAX_UNANSWERED_WAIT = timedelta(minutes=2)
#: A search is repeated after this part of the time that its submission has been unanswered.
UNANSWERED_WAIT_SHARE = 4
#: How long unanswered attempts hold their slots if it is unknown how long a run takes.
USUAL_RUN_TIME = timedelta(minutes=2)
#: If the API changes the job of a run more often than this, its answers are not believed.
MAX_REMATCHES = 5


def settle_refusal(
    policy: Policy, submission: Submission, fault: ApiFault, now: datetime, *, singly: bool = False
) -> list[AttemptDecision]:
    """
    Say what follows for each attempt of a submission that the API refused.

    One bad job never fails the other jobs of its request. If the API names jobs, these fail and the
    others are sent again. If it names none, all are sent again in halves, until the bad job is
    alone or the credits suffice. *singly* means that the request went to run-async because the API
    offers no batch creation: a 404 there may be about something that the job names.
    """
    failure = classify_fault(fault)
    not_offered = is_not_offered(fault)
    if not_offered and singly and _may_name_something_missing(submission, fault):
        failure, not_offered = replace(failure, category=FailureCategory.REJECTED), False
    attempts = submission.attempts
    named = _named(failure, fault, submission)
    if named:
        transitions = [
            _settle_named(policy, each, named.get(each.batch_index), failure, now)
            for each in attempts
        ]
    elif not_offered:
        at = now + (failure.retry_after or timedelta(0))
        transitions = [Snooze(at=at, failure=failure) for _ in attempts]
    elif _may_succeed_in_part(failure, fault, submission):
        half = max(len(attempts) // 2, 1)
        transitions = [Snooze(at=now, failure=failure, max_batch_size=half) for _ in attempts]
    else:
        transitions = [_settle_unnamed(policy, each, failure, fault, now) for each in attempts]
    return [
        AttemptDecision(attempt=attempt, transition=transition)
        for attempt, transition in zip(attempts, transitions, strict=True)
    ]


def refused_as_batch(submission: Submission, fault: ApiFault, *, batch_works: bool) -> bool:
    """
    Whether a 403 of run-batch may be about run-batch itself, so that run-async may still work.

    Options that need a right of the account are the likelier reason, until the job with them is
    alone. *batch_works* means that run-batch created runs before.
    """
    failure = classify_fault(fault)
    if fault.status != 403 or failure.category is not FailureCategory.UNAUTHORIZED:
        return False
    if any(_lacks_a_right(failure, fault, attempt) for attempt in submission.attempts):
        return len(submission.attempts) == 1 and not batch_works
    return True


def settle_not_created(
    submission: Submission, fault: ApiFault, now: datetime
) -> list[AttemptDecision]:
    """Put back the jobs of a submission that was refused for no job's fault."""
    failure = classify_fault(fault)
    return _put_back(submission, failure, now + (failure.retry_after or timedelta(0)))


def _may_name_something_missing(submission: Submission, fault: ApiFault) -> bool:
    """Whether a 404 can be about something that a job names, and not about the endpoint."""
    named = any(
        attempt.options.get(option)
        for attempt in submission.attempts
        for option in OPTIONS_NAMING_PROPERTY
    )
    return fault.status == 404 and named


def _named(failure: Failed, fault: ApiFault, submission: Submission) -> dict[int, str]:
    """Return what the API said about single jobs of a rejected request, by their batch index."""
    if failure.category is not FailureCategory.REJECTED:
        return {}
    indexes = [attempt.batch_index for attempt in submission.attempts]
    return {index: fault.issues[index - 1] for index in indexes if index - 1 in fault.issues}


def _settle_named(
    policy: Policy, attempt: SubmittedAttempt, message: str | None, failure: Failed, now: datetime
) -> Transition:
    if message is None:
        other = f"Another job of its request was refused: {failure.message}"
        return Snooze(at=now, failure=replace(failure, message=other))
    explained = explain_too_long(message, attempt)
    return decide(policy, attempt.job, replace(failure, message=explained), now)


def _settle_unnamed(
    policy: Policy, attempt: SubmittedAttempt, failure: Failed, fault: ApiFault, now: datetime
) -> Transition:
    if _lacks_a_right(failure, fault, attempt):
        options = ", ".join([*options_that_need_a_right(attempt), *attempt.option_overrides])
        message = f"The account may have no right to {options}: {failure.message}"
        return Finish(state=JobState.FAILED, failure=replace(failure, message=message))
    if failure.category is FailureCategory.REJECTED:
        failure = replace(failure, message=explain_too_long(failure.message, attempt))
    return decide(policy, attempt.job, failure, now)


def _may_succeed_in_part(failure: Failed, fault: ApiFault, submission: Submission) -> bool:
    if len(submission.attempts) == 1:
        return False
    if failure.category is FailureCategory.BILLING_FAILURE:
        return failure.retry_after is None  # the credits may suffice for some of the jobs
    if failure.category is FailureCategory.REJECTED:
        return True
    return any(_lacks_a_right(failure, fault, attempt) for attempt in submission.attempts)


def _lacks_a_right(failure: Failed, fault: ApiFault, attempt: SubmittedAttempt) -> bool:
    """Whether a 403 may be about this job's options; a 401 is about the key, so about all jobs."""
    unauthorized = failure.category is FailureCategory.UNAUTHORIZED
    # An escalation may have set options that the user did not; they must not stop a whole batch.
    special = bool(options_that_need_a_right(attempt) or attempt.option_overrides)
    return unauthorized and fault.status == 403 and special


def options_that_need_a_right(attempt: SubmittedAttempt) -> list[str]:
    """Return the options of an attempt that need a right of the account."""
    found = []
    for option, parts in OPTIONS_BEHIND_A_RIGHT.items():
        value = attempt.options.get(option)
        if value and not parts:
            found.append(option)
        elif isinstance(value, dict):
            found += [f"{option}.{part}" for part in parts if value.get(part) not in (None, False)]
    return found


def settle_withdrawn(submission: Submission, now: datetime) -> list[AttemptDecision]:
    """Put back the jobs of a submission that was never sent."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The request to create the run was held back and not sent",
    )
    return _put_back(submission, failure, now)


def settle_without_webhook(submission: Submission, now: datetime) -> list[AttemptDecision]:
    """Put back the jobs of a submission that was refused for the program's own webhook."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message="The API refused the webhook of `--webhook-listen`; nothing was created",
    )
    return _put_back(submission, failure, now)


def settle_absent(submission: Submission, now: datetime, remark: str = "") -> list[AttemptDecision]:
    """Put back the jobs of a submission whose runs do not exist, as searches have shown."""
    failure = Failed(
        category=FailureCategory.UNREACHABLE,
        message=f"The request to create the run got no answer, and no run was created{remark}",
    )
    return _put_back(submission, failure, now)


def is_certain(fault: ApiFault) -> bool:
    """
    Whether nothing was created, whatever stands between us and the API.

    A gateway may refuse a request that it passed on, and the API may fail after it created runs.
    Neither names single jobs.
    """
    return fault.kind is ApiFaultKind.NOT_SENT or bool(fault.issues)


def refusal_searches(refused: Sequence[Submission]) -> list[str]:
    """Return the texts to search for, to find whatever refused submissions of a batch created."""
    prefixes = [
        marker_prefix(batch if named else submission.marker_token)
        for submission in refused
        for batch, named, _ in [submission.marker_token.partition("-")]
    ]
    return list(dict.fromkeys(prefixes))


def _put_back(submission: Submission, failure: Failed, now: datetime) -> list[AttemptDecision]:
    return [
        AttemptDecision(attempt=attempt, transition=Snooze(at=now, failure=failure))
        for attempt in submission.attempts
    ]


def settle_unanswered(submission: Submission, why: str) -> list[AttemptDecision]:
    """Fail the attempts of a submission if the program cannot find out whether it created runs."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"The request to create the run got no answer ({why}); a run may exist",
    )
    return [
        AttemptDecision(attempt=attempt, transition=Finish(state=JobState.FAILED, failure=failure))
        for attempt in submission.attempts
    ]


def settle_mixed_up(attempts: Sequence[OpenAttempt]) -> list[AttemptDecision]:
    """Fail attempts if the API shows their runs with other jobs each time."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message="The API shows its run with another goal each time; the run is cancelled",
    )
    transition = Finish(state=JobState.FAILED, failure=failure)
    return [AttemptDecision(attempt=attempt, transition=transition) for attempt in attempts]


def next_unanswered_search(since: datetime, now: datetime) -> datetime:
    """Return when to search again for a submission that has been unanswered *since* then."""
    wait = max((now - since) / UNANSWERED_WAIT_SHARE, MIN_UNANSWERED_WAIT)
    return now + min(wait, MAX_UNANSWERED_WAIT)


def next_final_search(since: datetime, now: datetime) -> datetime | None:
    """Return when to repeat a final search that proved nothing; None to give up."""
    return None if now - since >= UNANSWERED_PATIENCE else next_unanswered_search(since, now)


def unanswered_since(submission: Submission) -> datetime:
    """Return since when it is known that no answer names a submission's runs."""
    return submission.unanswered_at or submission.intended_at


def slots_held_until(now: datetime, typical: timedelta | None) -> datetime:
    """Return until when attempts that are unanswered from *now* on hold their slots."""
    return now + (typical or USUAL_RUN_TIME)


def next_search(
    submission: Submission, now: datetime, jumped_at: datetime | None = None
) -> datetime | None:
    """
    Return when to search for an unanswered submission's runs again; None after enough searches.

    Time before a clock jump does not count, because nothing was searched during the jump.
    """
    searched = min(submission.fruitless_searches, SEARCHES_BEFORE_ABSENT)
    unanswered_at = unanswered_since(submission)
    since = max(unanswered_at, jumped_at or unanswered_at)
    if now - since >= RECONCILE_GRACE and searched == SEARCHES_BEFORE_ABSENT:
        return None
    return now + min(timedelta(seconds=2**searched), MAX_SEARCH_WAIT)


def next_late_check(submission: Submission, now: datetime) -> datetime:
    """Return when to check again whether runs of an absent submission appeared late."""
    since = now - submission.intended_at
    return now + min(max(since, FIRST_LATE_CHECK), MAX_LATE_CHECK_WAIT)
