"""Reads finished jobs of the past, from which a forecast draws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from batchrunner.model import FailureCategory, JobState
from batchrunner.model.forecast import SampledAttempt, SampledJob
from batchrunner.model.time_and_cost import CostCause
from batchrunner.store.schema import attempts, batches, jobs

#: Newest attempts that are read.
MAX_RECENT = 20_000
#: A result that was read later than this after its run's end waited for a runner: nobody was there.
UNATTENDED = timedelta(minutes=1)

_RECENT = (
    select(
        attempts.c.job_id,
        jobs.c.host,
        attempts.c.opened_at,
        attempts.c.closed_at,
        attempts.c.seen_running_at,
        attempts.c.run_started_at,
        attempts.c.run_finished_at,
        attempts.c.retry_at,
        attempts.c.steps,
        attempts.c.outcome,
        attempts.c.counted,
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(batches, batches.c.id == jobs.c.batch_id)
    .where(
        jobs.c.state.in_([JobState.SUCCEEDED, JobState.FAILED]), attempts.c.closed_at.is_not(None)
    )
    .order_by(attempts.c.job_id.desc(), attempts.c.number)
    .limit(MAX_RECENT)
)


def past_jobs(tx: Connection, origin: str) -> list[SampledJob]:
    """Return finished jobs on an API, of all batches, newest first."""
    rows = tx.execute(_RECENT.where(batches.c.api_origin == origin))
    return [_job(list(of_job)) for _, of_job in groupby(rows, key=lambda row: row.job_id)]


def _job(rows: Sequence[Any]) -> SampledJob:
    return SampledJob(host=rows[0].host, attempts=tuple(map(_attempt, rows)))


def _attempt(row: Any) -> SampledAttempt:
    succeeded = row.outcome == CostCause.SUCCEEDED
    return SampledAttempt(
        steps=row.steps or 0,
        seconds=_held(row).total_seconds(),
        failure=None if succeeded else FailureCategory(row.outcome),
        counted=bool(row.counted),
        wait=_seconds(row.closed_at, row.retry_at) if row.retry_at else 0.0,
    )


def _held(row: Any) -> timedelta:
    """Return how long an attempt held its slot, without the time in which nobody watched it."""
    held: timedelta = max(row.closed_at - row.opened_at, timedelta(0))
    if not (row.seen_running_at and row.run_started_at and row.run_finished_at):
        return held
    # Each difference is between two times of one clock.
    unread = (row.closed_at - row.seen_running_at) - (row.run_finished_at - row.run_started_at)
    return held - unread if UNATTENDED < unread < held else held


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 0.0)
