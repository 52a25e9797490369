"""One observation of one run → what to write about its attempt; pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.api_facts.run_statuses import says_ended
from batchrunner.classify import classify
from batchrunner.model import (
    AttemptDecision,
    Failed,
    FailureCategory,
    Finish,
    JobState,
    NotFound,
    OpenAttempt,
    Outcome,
    Run,
    RunObservation,
    RunStatus,
    Snooze,
    Unreadable,
)
from batchrunner.model.marker_removal import unmarked_run
from batchrunner.policy.escalation import escalation_results
from batchrunner.policy.host_breaker import host_result
from batchrunner.policy.retry import decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.schedule import Pace
from batchrunner.policy.slots import QUEUE_LAG

#: How long the API must not know a run before the run counts as lost, if a control run is visible.
LOST_AFTER = timedelta(minutes=10)
#: How long polls must say nothing about a run before it is read in a request of its own, and how
#: long until it is read again.
SINGLE_READ_INTERVAL = timedelta(seconds=30)
#: How long the API's answer about a run must be unreadable before the run counts as unreadable.
UNREADABLE_AFTER = timedelta(seconds=30)
#: How long the API must not know an orphan, while other runs are visible, before it has ended.
ORPHAN_GONE_AFTER = timedelta(seconds=30)
#: How long to wait for a run that was cancelled, or that the API says nothing about.
GIVEN_UP_AFTER = timedelta(minutes=30)
#: How long a run may stay RUNNING after it has shown its result.
LINGERING_AFTER = timedelta(minutes=2)
#: How long a cancel has to take effect before it is sent again; doubled each time.
FIRST_CANCEL_WAIT, MAX_CANCEL_WAIT = timedelta(seconds=5), timedelta(minutes=1)
#: Codes of a failed run that was cancelled, in capitals.
CANCELLED_CODES = ("CANCELLED", "CANCELED", "RUN_CANCELLED")
#: The pace while no run has ended.
NO_PACE = Pace()


def decide_run(
    policy: Policy, attempt: OpenAttempt, observation: RunObservation, now: datetime
) -> AttemptDecision | None:
    """Say what follows from an observation of an attempt's run; None to keep polling it."""
    if not isinstance(observation, Run) and not is_lost(attempt, now, believed_after(observation)):
        return None
    if isinstance(observation, NotFound) and attempt.marker is None:
        return give_up(attempt, "the API no longer knows it, and no marker can find it")
    shown = observation
    if isinstance(observation, Run):
        shown = unmarked_run(observation, attempt.marker)  # what is stored stays as it was sent
    outcome = classify(
        shown,
        cancel_reason=attempt.cancel_reason or _reason_of_stop(attempt),
        expectations=attempt.expectations,
        after_result=attempt.cancelled_after_result,
    )
    if outcome is None:
        return None
    put_back = _after_deadline(attempt, outcome, now) or _after_stop(attempt, shown, outcome, now)
    transition = put_back or decide(policy, attempt.job, outcome, now)
    return AttemptDecision(
        attempt=attempt,
        transition=transition,
        run=observation if isinstance(observation, Run) else None,
        escalation_results=escalation_results(attempt.job, attempt.url, transition),
        host_result=host_result(policy.hosts, attempt, transition),
    )


def _after_deadline(attempt: OpenAttempt, outcome: Outcome, now: datetime) -> Snooze | None:
    """Put a job back if a deadline ended its run while the run was within its limits."""
    if not attempt.cancelled_for_deadline or not isinstance(outcome, Failed):
        return None
    if outcome.category is not FailureCategory.TIMED_OUT:
        return None  # the run ended by itself, before the API cancelled it
    failure = replace(outcome, message="Cancelled for the deadline, before it had ended")
    return Snooze(at=now, failure=failure)


def _reason_of_stop(attempt: OpenAttempt) -> FailureCategory | None:
    return FailureCategory.TIMED_OUT if attempt.cancelled_at_stop else None


def _after_stop(
    attempt: OpenAttempt, observation: RunObservation, outcome: Outcome, now: datetime
) -> Snooze | None:
    """Put a job back if its run ended because we stopped, and not for a reason of its own."""
    if not attempt.cancelled_at_stop or attempt.cancel_reason or not isinstance(outcome, Failed):
        return None
    if isinstance(observation, NotFound):
        return Snooze(at=now, failure=outcome)  # some APIs forget what they have cancelled
    if not isinstance(observation, Run) or not _shows_cancel(observation):
        return None
    started = attempt.started_at or observation.started_at or observation.steps
    when = "; it had started meanwhile" if started else ", before it had started"
    message = f"Cancelled because the runner stopped{when}"
    failure = Failed(category=FailureCategory.TIMED_OUT, message=message)
    return Snooze(at=now, failure=failure)


def _shows_cancel(run: Run) -> bool:
    """Return whether a run was cancelled; an API may show that as a failure with such a code."""
    code = (run.error and run.error.code) or ""
    return run.status is RunStatus.CANCELLED or (
        run.status is RunStatus.FAILED and code.upper() in CANCELLED_CODES
    )


def may_cancel_at_stop(
    attempt: OpenAttempt, observation: RunObservation, now: datetime, *, at_once: bool
) -> bool:
    """
    Whether a stop cancels an attempt's run: it costs nothing, as it has not started.

    A run that was submitted only just now is about to start, and is left alone unless *at_once*.
    """
    if not isinstance(observation, Run) or observation.unknown_status is not None:
        return False
    started = attempt.started_at or observation.started_at or observation.steps
    if observation.status is not RunStatus.PENDING or started or observation.result is not None:
        return False
    return at_once or now - attempt.opened_at > QUEUE_LAG


def has_started_before_cancel(decision: AttemptDecision) -> bool:
    """Whether an attempt's run was to be cancelled at a stop, and had started meanwhile."""
    attempt, run = decision.attempt, decision.run
    if not isinstance(attempt, OpenAttempt) or not attempt.cancelled_at_stop or run is None:
        return False
    return not _shows_cancel(run) or bool(attempt.started_at or run.started_at or run.steps)


def lingers(observation: RunObservation) -> bool:
    """Whether a run shows its result, or a word for an end, although it has not ended."""
    if not isinstance(observation, Run) or observation.status.is_final:
        return False
    return observation.result not in (None, "null") or says_ended(observation.unknown_status)


def with_cancel_answer(observation: RunObservation, answer: RunStatus | None) -> RunObservation:
    """Return what a poll showed, and that it is over if only the answer to a cancel says so."""
    if not isinstance(observation, Run) or observation.unknown_status is None:
        return observation
    if observation.status.is_final or answer is None or not answer.is_final:
        return observation
    if answer is RunStatus.CANCELLED:
        return replace(observation, status=answer)
    return observation.as_ended()


def next_cancel(times: int) -> timedelta:
    """Return how long to wait for the effect of a cancel that was sent so many times before."""
    return min(FIRST_CANCEL_WAIT * float(2 ** min(times, 10)), MAX_CANCEL_WAIT)


def give_up(attempt: OpenAttempt, why: str) -> AttemptDecision:
    """Fail an attempt whose run may go on: a retry could pay for a second run."""
    failure = Failed(
        category=FailureCategory.UNANSWERED,
        message=f"Run {attempt.run_id} may go on and cost money: {why}",
    )
    return AttemptDecision(
        attempt=attempt, transition=Finish(state=JobState.FAILED, failure=failure)
    )


def is_lost(attempt: OpenAttempt, now: datetime, after: timedelta = LOST_AFTER) -> bool:
    """Whether the API has not shown the attempt's run for long enough to believe it."""
    return attempt.missing_since is not None and now - attempt.missing_since >= after


def believed_after(observation: NotFound | Unreadable) -> timedelta:
    """Return how long the API must say this of a run before it is believed."""
    return LOST_AFTER if isinstance(observation, NotFound) else UNREADABLE_AFTER


def is_overdue(
    policy: Policy,
    attempt: OpenAttempt,
    observation: RunObservation,
    now: datetime,
    pace: Pace = NO_PACE,
) -> bool:
    """
    Whether the attempt's run has been queued or running for longer than its limit.

    Both our clock and the API's must say so, if the API shows times: either clock may have been
    set. *pace* is how long such runs are RUNNING.
    """
    if attempt.cancel_reason is not None:
        return False
    queued = attempt.status is RunStatus.PENDING
    limit = policy.limit(attempt.limits, pace, queued=queued)
    ours = now - (attempt.opened_at if queued else attempt.started_at or attempt.opened_at)
    theirs = _shown_duration(observation, queued=queued) if isinstance(observation, Run) else None
    return min(ours, ours if theirs is None else theirs) > limit


def _shown_duration(run: Run, *, queued: bool) -> timedelta | None:
    """Return how long a run has been queued or running by the API's clock."""
    since = run.created_at if queued else run.started_at
    lasted = run.shown_at - since if run.shown_at and since else None
    return None if lasted is None or lasted < timedelta(0) else lasted  # the clock was set back


def reset_after_clock_jump(attempt: OpenAttempt, jumped_at: datetime | None) -> OpenAttempt:
    """
    Return the attempt with its times moved up to a clock jump, if the clock jumped since.

    A jump means that the machine slept or that the clock was set forward. Nothing was polled
    meanwhile in either case.
    """
    if jumped_at is None:
        return attempt
    return replace(
        attempt,
        opened_at=max(attempt.opened_at, jumped_at),
        started_at=attempt.started_at and max(attempt.started_at, jumped_at),
        missing_since=attempt.missing_since and max(attempt.missing_since, jumped_at),
    )
