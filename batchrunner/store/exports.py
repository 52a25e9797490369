"""Finds the jobs that files of exports have, and those that have ended."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, exists, func, or_, select

from batchrunner.model import JobState
from batchrunner.store.conditions import FINAL_STATES, is_current
from batchrunner.store.schema import jobs


def jobs_of_keys(
    tx: Connection, batch_id: int, keys: Collection[str]
) -> Mapping[tuple[str, int], int]:
    """Return the row of each revision of these jobs of a batch, by key and revision."""
    rows = tx.execute(
        select(jobs.c.key, jobs.c.revision, jobs.c.id).where(
            jobs.c.batch_id == batch_id, jobs.c.key.in_(keys)
        )
    )
    return {(row.key, row.revision): row.id for row in rows}


def first_row(tx: Connection, batch_id: int) -> int:
    """Return the lowest row of a batch's jobs; 0 without any."""
    return tx.execute(select(func.min(jobs.c.id)).where(jobs.c.batch_id == batch_id)).scalar() or 0


def ended_jobs(
    tx: Connection, batch_id: int, since: datetime | None
) -> tuple[array[int], array[int], datetime | None]:
    """
    Return the rows of a batch's current jobs that are final, and the numbers of their attempts.

    They are in the order in which they ended; with *since*, only those that ended from then on. The
    third value is when the last of them ended.
    """
    query = select(jobs.c.id, jobs.c.attempt, jobs.c.finished_at).where(
        jobs.c.batch_id == batch_id, jobs.c.state.in_(FINAL_STATES), is_current
    )
    if since is not None:
        query = query.where(jobs.c.finished_at >= since)
    rows, numbers, last = array("q"), array("l"), None
    for row in tx.execute(query.order_by(jobs.c.finished_at, jobs.c.id)):
        rows.append(row.id)
        numbers.append(row.attempt)
        last = row.finished_at
    return rows, numbers, last


def is_finished(tx: Connection, batch_id: int) -> bool:
    """Return whether all current jobs of a batch are final."""
    open_states = or_(*(jobs.c.state == state for state in JobState if not state.is_final))
    left = exists().where(jobs.c.batch_id == batch_id, open_states, is_current)
    return not tx.execute(select(left)).scalar_one()
