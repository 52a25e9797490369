"""Reads a batch's past: what its hours and credits were used for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from batchrunner.model import FailureCategory, JobState
from batchrunner.model.estimate import PastRun
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import (
    BatchHistory,
    CostCause,
    PastAttempt,
    PastJob,
    Span,
    TimeAndCost,
)
from batchrunner.policy.time_and_cost import time_and_cost
from batchrunner.store.batch_rows import pause_of
from batchrunner.store.conditions import is_current
from batchrunner.store.holds import PAUSED
from batchrunner.store.schema import (
    SubmissionState,
    attempts,
    batches,
    holds,
    jobs,
    orphans,
    owners,
    submissions,
)
from batchrunner.store.store import PAGE_SIZE, Store

#: States of submissions whose runs were searched for and not found at once.
_SEARCHED = (SubmissionState.UNANSWERED, SubmissionState.ABSENT, SubmissionState.UNDECIDED)
_NO_RUNS = (SubmissionState.REFUSED, SubmissionState.ABSENT)


def batch_time_and_cost(store: Store, batch_id: int, now: datetime) -> TimeAndCost:
    """Split a batch's hours and credits up to *now* into parts whose sum is the whole."""
    ids, history = store.read(_ids_and_history, batch_id, now)
    past = _paged(store, batch_id, ids)
    return time_and_cost(past, lambda: store.read(_orphan_steps, batch_id), history, now)


def _ids_and_history(
    tx: Connection, batch_id: int, now: datetime
) -> tuple[list[int], BatchHistory]:
    return _job_ids(tx, batch_id), _batch_history(tx, batch_id, now)


def _paged(store: Store, batch_id: int, ids: Sequence[int]) -> Iterator[PastJob]:
    for start in range(0, len(ids), PAGE_SIZE):
        yield from store.read(_past_jobs, batch_id, ids[start : start + PAGE_SIZE])


def _job_ids(tx: Connection, batch_id: int) -> list[int]:
    return list(tx.execute(select(jobs.c.id).where(jobs.c.batch_id == batch_id)).scalars())


def _past_jobs(tx: Connection, batch_id: int, ids: Sequence[int]) -> list[PastJob]:
    """Return what became of these jobs."""
    made = tx.execute(select(batches.c.created_at).where(batches.c.id == batch_id)).scalar_one()
    tried: dict[int, tuple[PastAttempt, ...]] = {}
    for job_id, rows in groupby(tx.execute(_tried(ids)), key=lambda row: row.job_id):
        tried[job_id] = tuple(_attempt(row) for row in rows)
    return [
        PastJob(
            loaded_at=row.loaded_at or made,
            finished_at=row.finished_at,
            attempts=tried.get(row.id, ()),
        )
        for row in tx.execute(
            select(jobs.c.id, jobs.c.loaded_at, jobs.c.finished_at).where(jobs.c.id.in_(ids))
        )
    ]


def _tried(ids: Sequence[int]) -> Any:
    return (
        select(
            attempts.c.job_id,
            attempts.c.opened_at,
            attempts.c.closed_at,
            attempts.c.outcome,
            attempts.c.counted,
            attempts.c.retry_at,
            attempts.c.run_id,
            attempts.c.run_started_at,
            attempts.c.run_finished_at,
            attempts.c.seen_running_at,
            attempts.c.steps,
            submissions.c.state,
            submissions.c.fruitless_searches,
            submissions.c.answered_at,
        )
        .join(submissions, submissions.c.id == attempts.c.submission_id)
        .where(attempts.c.job_id.in_(ids))
        .order_by(attempts.c.job_id, attempts.c.number)
    )


def _attempt(row: Any) -> PastAttempt:
    return PastAttempt(
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        cause=_cause(row.outcome),
        answered_at=row.answered_at,
        unanswered=row.state in _SEARCHED or row.fruitless_searches > 0,
        started_at=row.run_started_at or row.seen_running_at,
        ended_at=row.run_finished_at,
        retry_at=row.retry_at,
        counted=row.counted is not False,
        steps=row.steps,
        ran=row.run_id is not None or row.state not in _NO_RUNS,
    )


def _cause(outcome: str | None) -> CostCause | FailureCategory:
    if outcome is None:
        return CostCause.IN_FLIGHT
    return CostCause.SUCCEEDED if outcome == CostCause.SUCCEEDED else FailureCategory(outcome)


#: Newest attempts on which estimates are based.
MAX_RECENT = 50_000


def past_runs(tx: Connection, origin: str) -> list[PastRun]:
    """Return the time and steps of finished jobs on an API, of all batches, newest first."""
    rows = tx.execute(
        select(
            attempts.c.job_id,
            jobs.c.host,
            attempts.c.opened_at,
            attempts.c.closed_at,
            attempts.c.steps,
        )
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(
            batches.c.api_origin == origin,
            jobs.c.state.in_([JobState.SUCCEEDED, JobState.FAILED]),
            attempts.c.closed_at.is_not(None),
        )
        .order_by(attempts.c.job_id.desc())
        .limit(MAX_RECENT)
    )
    return [
        _past_run(list(attempts_of_job))
        for _, attempts_of_job in groupby(rows, key=lambda row: row.job_id)
    ]


def _past_run(attempts_of_job: Sequence[Any]) -> PastRun:
    spans = (row.closed_at - row.opened_at for row in attempts_of_job)
    return PastRun(
        host=attempts_of_job[0].host,
        steps=sum(row.steps or 0 for row in attempts_of_job),
        time=max(sum(spans, timedelta(0)), timedelta(0)),
    )


def final_job_keys(tx: Connection, batch_id: int) -> set[str]:
    """Return the keys of a batch's jobs that are in a final state."""
    done = jobs.c.state.in_([state for state in JobState if state.is_final])
    these = (jobs.c.batch_id == batch_id, done, is_current)
    return set(tx.execute(select(jobs.c.key).where(*these)).scalars())


def _orphan_steps(tx: Connection, batch_id: int) -> list[int | None]:
    """Return what each orphan of a batch has cost; None where that is not known."""
    found = select(orphans.c.steps).where(orphans.c.batch_id == batch_id)
    return list(tx.execute(found).scalars())


def _batch_history(tx: Connection, batch_id: int, now: datetime) -> BatchHistory:
    """Return when runners were at work on the database, and what kept a batch back."""
    attended = {
        row.id: Span(since=row.started_at, until=min(row.ended_at or now, row.lease_until, now))
        for row in tx.execute(select(owners))
    }
    paused, broke = [], []
    for row in tx.execute(select(holds).where(holds.c.batch_id == batch_id)):
        if row.reason == PAUSED:
            paused.append(Span(since=row.since, until=row.ended_at))
        else:
            lasts = row.ended_at or attended[row.owner_id].until
            broke.append(Span(since=row.since, until=lasts))
    pause = pause_of(tx.execute(select(batches).where(batches.c.id == batch_id)).one())
    if pause is not None:
        paused.append(Span(since=pause.since, until=now))
    return BatchHistory(
        attended=tuple(attended.values()),
        holds={TimeBucket.PAUSED: tuple(paused), TimeBucket.CREDITS: tuple(broke)},
    )
