"""Closes attempts with their outcomes, and moves their jobs to the states that follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, assert_never

from sqlalchemy import (
    Connection,
    String,
    and_,
    bindparam,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.classify import verdict_of_transition
from batchrunner.model import (
    AttemptDecision,
    Failed,
    Finish,
    JobState,
    Retry,
    Run,
    RunHelp,
    RunStatus,
    Snooze,
)
from batchrunner.model.outcomes import findings_of_transition
from batchrunner.store.bulk_insert import insert_rows
from batchrunner.store.bulk_update import BulkUpdate
from batchrunner.store.column_types import stored_json_text
from batchrunner.store.conditions import is_current
from batchrunner.store.counter_changes import closed
from batchrunner.store.counter_names import Numbers
from batchrunner.store.instants import instant_text, stored_instant
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import findings_text, help_text, json_text, run_error_text
from batchrunner.store.value_lists import is_one_of

_now = bindparam("now", type_=String)
#: What the closing of an attempt writes beside the time.
_CLOSING = (
    "outcome",
    "counted",
    "code",
    "message",
    "findings",
    "verdict",
    "verdict_rule",
    "retry_at",
    "run_status",
    "run_started_at",
    "run_finished_at",
    "steps",
    "help",
    "run_error",
)
_CLOSE = BulkUpdate(attempts, _CLOSING, values=lambda new: {**new, "closed_at": _now})
#: Most runs end like this. What they do not have is NULL in an open attempt already.
_CLOSE_PLAIN = BulkUpdate(
    attempts,
    ("verdict", "run_started_at", "run_finished_at", "steps"),
    values=lambda new: {
        **new,
        "closed_at": _now,
        "outcome": "succeeded",
        "counted": True,
        "run_status": RunStatus.COMPLETED.value,
    },
)


def _is_plain(decision: AttemptDecision) -> bool:
    """
    Return whether a run completed, its job has succeeded, and nothing else is known of it.

    Such decisions share almost all that they write, so shorter statements write it.
    """
    transition, run = decision.transition, decision.run
    return (
        isinstance(transition, Finish)
        and transition.state is JobState.SUCCEEDED
        and run is not None
        and run.status is RunStatus.COMPLETED
        and not (transition.failure or transition.remark or transition.findings)
        and not (run.help or run.error)
    )


def close_attempts(tx: Connection, applied: Sequence[AttemptDecision], now: datetime) -> None:
    """Write the outcomes of attempts, and the results of their runs."""
    bodies = [
        (decision.attempt.attempt_id, decision.run.result)
        for decision in applied
        if decision.run and decision.run.result is not None
    ]
    insert_rows(tx, results, ("attempt_id", "body"), bodies)
    at = stored_instant(now)
    plain, others = _split(applied)
    _CLOSE_PLAIN.execute(tx, [_plain_closing(decision) for decision in plain], now=at)
    _CLOSE.execute(tx, [_closing(decision) for decision in others], now=at)


def _split(
    applied: Sequence[AttemptDecision],
) -> tuple[list[AttemptDecision], list[AttemptDecision]]:
    """Return plain successes, and all other decisions."""
    plain = [decision for decision in applied if _is_plain(decision)]
    if len(plain) == len(applied):
        return plain, []
    return plain, [decision for decision in applied if not _is_plain(decision)]


def _plain_closing(decision: AttemptDecision) -> tuple[Any, ...]:
    run: Any = decision.run
    started_at, finished_at = instant_text(run.started_at), instant_text(run.finished_at)
    verdict = verdict_of_transition(decision.transition)
    return (decision.attempt.attempt_id, verdict, started_at, finished_at, run.steps)


def _closing(decision: AttemptDecision) -> tuple[Any, ...]:
    """Return an attempt's id and its values of the columns of `_CLOSING`."""
    transition, run = decision.transition, decision.run
    failure = transition.failure
    said = failure or (transition.remark if isinstance(transition, Finish) else None)
    findings = findings_of_transition(transition)
    return (
        decision.attempt.attempt_id,
        failure.category if failure else "succeeded",
        not isinstance(transition, Snooze),
        stored_json_text(said.code if said else None),
        stored_json_text(said.message if said else None),
        stored_json_text(findings_text(findings)),
        verdict_of_transition(transition),
        findings[0].rule if findings else None,
        None if isinstance(transition, Finish) else stored_instant(transition.at),
        run.status if run else None,
        instant_text(run.started_at if run else None),
        instant_text(run.finished_at if run else None),
        run.steps if run else None,
        stored_json_text(help_text(_advice(run, failure))),
        stored_json_text(run_error_text(run)),
    )


def _advice(run: Run | None, failure: Failed | None) -> RunHelp | None:
    return (run and run.help) or (failure and failure.help) or None


#: These jobs were cancelled, changed or withdrawn while their attempts were open.
_gives_up = or_(jobs.c.cancel_requested, not_(is_current))
#: What a move writes.
_MOVED = (
    "state",
    "available_at",
    "finished_at",
    "failures",
    "failures_by_category",
    "escalation_steps",
    "max_batch_size",
)


def _moved(new: Any) -> dict[str, Any]:
    is_put_off = and_(_gives_up, new["state"] == JobState.AVAILABLE)
    return {
        **new,
        "state": case((is_put_off, literal(JobState.CANCELLED)), else_=new["state"]),
        "finished_at": case((is_put_off, _now), else_=new["finished_at"]),
        "failures": jobs.c.failures + new["failures"],
        "escalation_steps": func.coalesce(new["escalation_steps"], jobs.c.escalation_steps),
    }


_MOVE = BulkUpdate(jobs, _MOVED, values=_moved)
#: A success changes nothing else of its job.
_SUCCEED = (
    update(jobs)
    .where(is_one_of(jobs.c.id, "jobs"))
    .values(
        state=JobState.SUCCEEDED,
        available_at=_now,
        finished_at=_now,
        max_batch_size=MAX_RUNS_PER_REQUEST,
    )
)
_GIVEN_UP = select(jobs.c.id).where(
    is_one_of(jobs.c.id, "jobs"), jobs.c.state == JobState.CANCELLED, _gives_up
)
#: Jobs that were changed or withdrawn while their attempts were open.
_LEFT = select(jobs.c.id).where(is_one_of(jobs.c.id, "jobs"), not_(is_current))
_NO_RETRY = update(attempts).where(is_one_of(attempts.c.id, "attempts")).values(retry_at=None)


def move_jobs(tx: Connection, applied: Sequence[AttemptDecision], now: datetime) -> Numbers:
    """Give the jobs of closed attempts their next states; return what that changes of numbers."""
    at = stored_instant(now)
    plain, others = _split(applied)
    if plain:
        job_ids = [decision.attempt.job.id for decision in plain]
        tx.execute(_SUCCEED, {"jobs": job_ids, "now": at})
    _MOVE.execute(tx, [_move(decision, at) for decision in others], now=at)
    waiting = {
        decision.attempt.job.id: decision.attempt.attempt_id
        for decision in others
        if not isinstance(decision.transition, Finish)
    }
    ended: list[int] = []
    if waiting and (ended := list(tx.execute(_GIVEN_UP, {"jobs": list(waiting)}).scalars())):
        tx.execute(_NO_RETRY, {"attempts": [waiting[job_id] for job_id in ended]})
    left = tx.execute(_LEFT, {"jobs": [decision.attempt.job.id for decision in applied]})
    return closed(applied, cancelled=set(ended), left=set(left.scalars()))


def _failure_counts(decision: AttemptDecision) -> str:
    """Return a job's counted failures by category, including this one."""
    # The counts from when the attempt was opened are current: only its end changes them.
    counts, failure = decision.attempt.job.failures_by_category, decision.transition.failure
    if failure is None or isinstance(decision.transition, Snooze):
        return json_text(counts)
    return json_text({**counts, failure.category: counts.get(failure.category, 0) + 1})


def _move(decision: AttemptDecision, now: str) -> tuple[Any, ...]:
    """Return a job's id and its values of the columns of `_MOVED`."""
    transition, counts = decision.transition, _failure_counts(decision)
    state, at, finished_at = JobState.AVAILABLE, now, None
    counted, escalation_steps, max_batch_size = 1, None, MAX_RUNS_PER_REQUEST
    match transition:
        case Finish():
            state, finished_at = transition.state, now
            counted = int(transition.failure is not None)
        case Retry():
            at = stored_instant(transition.at)
            escalation_steps = json_text(transition.escalation_steps)
        case Snooze():
            at, counted = stored_instant(transition.at), 0
            max_batch_size = transition.max_batch_size or MAX_RUNS_PER_REQUEST
        case _:
            assert_never(transition)
    job_id = decision.attempt.job.id
    return (job_id, state, at, finished_at, counted, counts, escalation_steps, max_batch_size)
