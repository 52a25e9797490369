"""Reads the runs in flight, and writes the results of polls: observations and decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, select, update

from batchrunner.model import (
    AttemptDecision,
    FailureCategory,
    Finish,
    OpenAttempt,
    Run,
    RunObservation,
    RunStatus,
)
from batchrunner.store import artifacts, counters, host_breaker, host_escalation, revisions
from batchrunner.store.attempt_closing import close_attempts, move_jobs
from batchrunner.store.bulk_update import BulkUpdate
from batchrunner.store.instants import instant_text
from batchrunner.store.job_values import attempt_start_of, expectations_in, job_of
from batchrunner.store.schema import attempts, jobs, submissions
from batchrunner.store.serialization import limits_of, marker_of
from batchrunner.store.store import Store
from batchrunner.store.value_lists import is_one_of

_owner: BindParameter[str] = bindparam("owner")
_held = (attempts.c.owner_id == _owner, attempts.c.closed_at.is_(None))

_RUNS_IN_FLIGHT = (
    select(
        attempts.c.id,
        attempts.c.run_id,
        attempts.c.submission_id,
        attempts.c.batch_index,
        attempts.c.marker,
        attempts.c.job_id,
        attempts.c.number,
        attempts.c.run_status,
        attempts.c.opened_at,
        attempts.c.seen_running_at,
        attempts.c.cancel_reason,
        attempts.c.cancelled_for_deadline,
        attempts.c.cancelled_after_result,
        attempts.c.cancelled_at_stop,
        attempts.c.missing_since,
        attempts.c.escalation_steps,
        attempts.c.escalation_ids,
        jobs.c.key,
        jobs.c.url,
        jobs.c.goal,
        jobs.c.failures,
        jobs.c.failures_by_category,
        jobs.c.policy,
        jobs.c.expect,
        jobs.c.accepted,
        jobs.c.suspects,
        jobs.c.limits,
        jobs.c.output_schema_digest,
        submissions.c.marker_token,
        submissions.c.marked,
        submissions.c.answered_at,
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(attempts.c.batch_id == bindparam("batch"), *_held, attempts.c.run_id.is_not(None))
    .order_by(attempts.c.id)
)


def runs_in_flight(tx: Connection, owner_id: str, batch_id: int) -> list[OpenAttempt]:
    """Return the owner's open attempts whose runs exist."""
    rows: list[Row[Any]] = list(tx.execute(_RUNS_IN_FLIGHT, {"batch": batch_id, "owner": owner_id}))
    options = _options_by_schema(tx, rows)
    return [
        OpenAttempt(
            attempt_id=row.id,
            run_id=row.run_id,
            submission_id=row.submission_id,
            marker=marker_of(row),
            url=row.url,
            job=job_of(row, row.job_id, row.number, attempt_start_of(row), row.suspects),
            status=RunStatus(row.run_status),
            # A rate limit may delay a create request; that time is not the run's.
            opened_at=max(row.opened_at, row.answered_at or row.opened_at),
            started_at=row.seen_running_at,
            cancel_reason=FailureCategory(row.cancel_reason) if row.cancel_reason else None,
            cancelled_for_deadline=row.cancelled_for_deadline,
            cancelled_after_result=row.cancelled_after_result,
            cancelled_at_stop=row.cancelled_at_stop,
            missing_since=row.missing_since,
            expectations=expectations_in(options.get(row.output_schema_digest), row),
            limits=limits_of(row.limits),
        )
        for row in rows
    ]


_OPTIONS = select(jobs.c.output_schema_digest, jobs.c.options).where(
    jobs.c.id.in_(bindparam("jobs", expanding=True))
)


def _options_by_schema(tx: Connection, rows: Sequence[Row[Any]]) -> dict[str, str]:
    """Return options by digest of their output_schema: most jobs share one, and it may be long."""
    examples = {row.output_schema_digest: row.job_id for row in rows if row.output_schema_digest}
    if not examples:
        return {}
    return {
        row.output_schema_digest: row.options
        for row in tx.execute(_OPTIONS, {"jobs": [*examples.values()]})
    }


_OBSERVE = BulkUpdate(attempts, ("run_status", "seen_running_at", "missing_since"), *_held)


def apply_poll(
    store: Store,
    owner_id: str,
    decisions: Sequence[AttemptDecision],
    observed: Iterable[tuple[OpenAttempt, RunObservation]],
    now: datetime,
) -> list[AttemptDecision]:
    """
    Write the result of a poll in one transaction, or in none if it brought nothing new.

    Returns the applied decisions.
    """
    changes = observed_changes(observed, now)
    if not changes and not decisions:
        return []
    return store.write(_apply_poll, owner_id, decisions, changes, now)


def _apply_poll(
    tx: Connection,
    owner_id: str,
    decisions: Sequence[AttemptDecision],
    changes: Sequence[tuple[Any, ...]],
    now: datetime,
) -> list[AttemptDecision]:
    observe(tx, owner_id, changes)
    return apply_decisions(tx, owner_id, decisions, now)


def observed_changes(
    observed: Iterable[tuple[OpenAttempt, RunObservation]], now: datetime
) -> list[tuple[Any, ...]]:
    """Return what changed about runs that continue."""
    return [
        change
        for attempt, observation in observed
        if (change := _change(attempt, observation, now))
    ]


def observe(tx: Connection, owner_id: str, changes: Sequence[tuple[Any, ...]]) -> None:
    """Record what changed about runs that continue."""
    _OBSERVE.execute(tx, changes, owner=owner_id)


def _change(
    attempt: OpenAttempt, observation: RunObservation, now: datetime
) -> tuple[Any, ...] | None:
    """Return an attempt's id and its new values of the columns of `_OBSERVE`."""
    status, started_at, missing_since = attempt.status, attempt.started_at, None
    if not isinstance(observation, Run):
        missing_since = attempt.missing_since or now
    else:
        # The limit on running time begins when a poll first shows the run as running, by our clock,
        # whatever the server's clock says.
        starts = observation.status is RunStatus.RUNNING and started_at is None
        status, started_at = observation.status, now if starts else started_at
    if (status, started_at, missing_since) == (
        attempt.status,
        attempt.started_at,
        attempt.missing_since,
    ):
        return None
    return (attempt.attempt_id, status, instant_text(started_at), instant_text(missing_since))


_REQUEST_CANCEL = (
    update(attempts)
    .where(
        attempts.c.id.in_(bindparam("attempts", expanding=True)),
        *_held,
        attempts.c.cancel_reason.is_(None),
    )
    .values(
        cancel_reason=bindparam("new_reason"),
        cancelled_for_deadline=bindparam("for_deadline"),
        cancelled_after_result=bindparam("after_result"),
    )
)


def request_cancel(
    tx: Connection,
    owner_id: str,
    attempt_ids: Sequence[int],
    reason: FailureCategory,
    *,
    for_deadline: bool = False,
    after_result: bool = False,
) -> None:
    """
    Record that the API will be asked to cancel these attempts' runs, and why.

    A cancel *for_deadline* does not count against the job. A run that is cancelled *after_result*
    keeps its result, which counts.
    """
    values = {"new_reason": reason, "for_deadline": for_deadline, "after_result": after_result}
    tx.execute(_REQUEST_CANCEL, {"attempts": attempt_ids, "owner": owner_id, **values})


_CANCEL_AT_STOP = (
    update(attempts)
    .where(attempts.c.id.in_(bindparam("attempts", expanding=True)), *_held)
    .values(cancelled_at_stop=True)
)


def request_cancel_at_stop(tx: Connection, owner_id: str, attempt_ids: Sequence[int]) -> None:
    """
    Record that the API will be asked to cancel these attempts' runs, as they have not started.

    A run that has started meanwhile goes on like any other, with its own time limits.
    """
    tx.execute(_CANCEL_AT_STOP, {"attempts": attempt_ids, "owner": owner_id})


def apply_decisions(
    tx: Connection, owner_id: str, decisions: Sequence[AttemptDecision], now: datetime
) -> list[AttemptDecision]:
    """
    Close attempts and change the states of their jobs; return the decisions that were applied.

    A decision about an attempt that is closed, or belongs to another owner, changes nothing.
    """
    attempt_ids = [decision.attempt.attempt_id for decision in decisions]
    rows = tx.execute(_STILL_HELD, {"attempts": attempt_ids, "owner": owner_id})
    held = {row.id: row.batch_id for row in rows}
    applied = [decision for decision in decisions if decision.attempt.attempt_id in held]
    if not applied:
        return []
    close_attempts(tx, applied, now)
    artifacts.want_artifacts_of(tx, [decision.attempt.attempt_id for decision in applied])
    changes = move_jobs(tx, applied, now)
    batch_id = held[applied[0].attempt.attempt_id]
    _follow_suspects(tx, owner_id, applied, now)
    host_escalation.record_escalation_results(tx, batch_id, applied)
    host_breaker.record_host_results(tx, batch_id, applied, now)
    counters.add_numbers(tx, batch_id, owner_id, changes)
    return applied


def _follow_suspects(
    tx: Connection, owner_id: str, applied: Sequence[AttemptDecision], now: datetime
) -> None:
    """Buy suspect results again that a policy says so of; restore those that nothing replaced."""
    again = {
        decision.attempt.job.id: decision.transition.again_at
        for decision in applied
        if isinstance(decision.transition, Finish) and decision.transition.again_at is not None
    }
    if again:
        revisions.buy_suspects_again(tx, owner_id, again, now)
    failed = [decision.attempt.job.id for decision in applied if decision.transition.failure]
    if failed:
        revisions.restore_delivered(tx, jobs.c.id.in_(failed), owner_id=owner_id)


_STILL_HELD = (
    select(attempts.c.id, attempts.c.batch_id)
    .where(is_one_of(attempts.c.id, "attempts"), *_held)
    .order_by(attempts.c.id)  # every function locks rows in this order
    .with_for_update()
)
