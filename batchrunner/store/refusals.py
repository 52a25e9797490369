"""Refusals that no search has confirmed: their jobs are not sent again before one has."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, select, update

from batchrunner.model import JobState, Submission
from batchrunner.store.orphans import submission_of
from batchrunner.store.schema import attempts, jobs, submissions

_UNCONFIRMED = (
    select(submissions)
    .where(submissions.c.batch_id == bindparam("batch"), submissions.c.unconfirmed)
    .order_by(submissions.c.id)
)
_ANY_DUE = select(
    exists().where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.unconfirmed,
        attempts.c.submission_id == submissions.c.id,
        jobs.c.id == attempts.c.job_id,
        jobs.c.state == JobState.AVAILABLE,
        jobs.c.available_at <= bindparam("now"),
    )
)


def unconfirmed_refusals(
    tx: Connection, batch_id: int, due: datetime | None = None
) -> list[Submission]:
    """Return all refused submissions to search for; with *due*, only if a job is due by then."""
    if due and not tx.execute(_ANY_DUE, {"batch": batch_id, "now": due}).scalar_one():
        return []
    return [submission_of(tx, row) for row in tx.execute(_UNCONFIRMED, {"batch": batch_id})]


def confirm_refusals(tx: Connection, submission_ids: Collection[int]) -> None:
    """Record that a search has shown what these refused submissions created."""
    these = update(submissions).where(submissions.c.id.in_(submission_ids))
    tx.execute(these.values(unconfirmed=False))
