"""Statements by which a user steers a batch: retry, cancel."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, literal, not_, or_, select, update

from batchrunner.model import MOST_RUNS, FailureCategory, JobState
from batchrunner.schema import attempts, batches, jobs

_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)


def retry(
    tx: Connection,
    batch_id: int,
    categories: Collection[FailureCategory],
    keys: Collection[str],
    now: datetime,
) -> int:
    """
    Put failed and cancelled jobs back; return how many.

    Of *keys* or of *categories* where they are given, else all that failed, but for those that are
    unanswered: to pay for them again is to be asked for by name. Their failures are
    counted anew, their attempts go on being numbered.
    """
    failed, cancelled = jobs.c.state == JobState.FAILED, jobs.c.state == JobState.CANCELLED
    chosen = [jobs.c.batch_id == batch_id]
    if keys:
        chosen += [jobs.c.key.in_(keys), or_(failed, cancelled)]
    if categories:
        # Whatever a cancelled job met before, it ended by being cancelled.
        named = and_(cancelled, literal(FailureCategory.RUN_CANCELLED in categories))
        chosen.append(or_(and_(failed, _ended_with(categories)), named))
    if not keys and not categories:
        chosen += [failed, not_(_ended_with([FailureCategory.UNANSWERED]))]
    tx.execute(update(attempts).where(exists().where(_newest, *chosen)).values(retry_at=now))
    put_back = tx.execute(
        update(jobs)
        .where(*chosen)
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
    newest = attempts.alias()
    return exists().where(
        newest.c.job_id == jobs.c.id,
        newest.c.number == jobs.c.attempt,
        newest.c.outcome.in_(categories),
    )


def cancel(tx: Connection, batch_id: int, keys: Collection[str], now: datetime) -> tuple[int, int]:
    """
    Cancel jobs, those of *keys* where given, else all that are not final.

    Returns how many were cancelled at once, and how many have an attempt open: those are cancelled
    when the API has confirmed that their runs are.
    """
    chosen = [jobs.c.batch_id == batch_id]
    if keys:
        chosen.append(jobs.c.key.in_(keys))
    running = [*chosen, jobs.c.state == JobState.RUNNING]
    # No claim may open an attempt in the meantime. Attempts come before jobs, as where verdicts
    # are applied: else the two could wait for each other.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    open_attempts = tx.execute(
        select(attempts.c.id)
        .where(
            attempts.c.batch_id == batch_id,
            attempts.c.closed_at.is_(None),
            attempts.c.job_id.in_(select(jobs.c.id).where(*running)),
        )
        .order_by(attempts.c.id)
        .with_for_update()
    ).scalars()
    tx.execute(
        update(attempts)
        .where(attempts.c.id.in_(list(open_attempts)))
        .values(cancelling=FailureCategory.RUN_CANCELLED)
    )
    asked = tx.execute(update(jobs).where(*running).values(cancel_requested=True))
    at_once = tx.execute(
        update(jobs)
        .where(*chosen, jobs.c.state == JobState.AVAILABLE)
        .values(state=JobState.CANCELLED, finished_at=now, cancel_requested=True)
    )
    return at_once.rowcount, asked.rowcount
