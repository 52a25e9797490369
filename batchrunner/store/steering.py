"""Statements by which a user steers a batch: retry, cancel."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, select, update

from batchrunner.model import MOST_RUNS, FailureCategory, JobState
from batchrunner.schema import attempts, jobs


def retry(
    tx: Connection,
    batch_id: int,
    categories: Collection[FailureCategory],
    keys: Collection[str],
    now: datetime,
) -> int:
    """
    Put failed and cancelled jobs back; return how many.

    Of *keys* or of *categories* where they are given, else all that failed. Their failures are
    counted anew, their attempts go on being numbered.
    """
    chosen = [jobs.c.batch_id == batch_id]
    if keys:
        chosen.append(jobs.c.key.in_(keys))
    if categories:
        chosen.append(_ended_with(categories))
    states = [JobState.FAILED, *([JobState.CANCELLED] if keys or categories else [])]
    put_back = tx.execute(
        update(jobs)
        .where(*chosen, jobs.c.state.in_(states))
        .values(
            state=JobState.AVAILABLE,
            available_at=now,
            finished_at=None,
            failures=0,
            together=MOST_RUNS,
            cancel_requested=False,
        )
    )
    return put_back.rowcount


def _ended_with(categories: Collection[FailureCategory]) -> ColumnElement[bool]:
    newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)
    return exists(select(1).where(newest, attempts.c.outcome.in_(categories)))


def cancel(tx: Connection, batch_id: int, keys: Collection[str], now: datetime) -> tuple[int, int]:
    """
    Cancel jobs, those of *keys* where given, else all that are not final.

    Returns how many were cancelled at once, and how many have an attempt open: those are cancelled
    when the API has confirmed that their runs are.
    """
    chosen = [jobs.c.batch_id == batch_id]
    if keys:
        chosen.append(jobs.c.key.in_(keys))
    at_once = tx.execute(
        update(jobs)
        .where(*chosen, jobs.c.state == JobState.AVAILABLE)
        .values(state=JobState.CANCELLED, finished_at=now, cancel_requested=True)
    )
    asked = tx.execute(
        update(jobs).where(*chosen, jobs.c.state == JobState.RUNNING).values(cancel_requested=True)
    )
    tx.execute(
        update(attempts)
        .where(
            attempts.c.batch_id == batch_id,
            attempts.c.closed_at.is_(None),
            attempts.c.job_id.in_(
                select(jobs.c.id).where(
                    *chosen, jobs.c.state == JobState.RUNNING, jobs.c.cancel_requested
                )
            ),
        )
        .values(cancelling=FailureCategory.RUN_CANCELLED)
    )
    return at_once.rowcount, asked.rowcount
