"""Refusals that no search has confirmed: their jobs are not sent again before one has."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, not_, select, update

from batchrunner.model import Submission
from batchrunner.store.conditions import is_unconfirmed
from batchrunner.store.orphans import submission_of
from batchrunner.store.schema import attempts, jobs, submissions

#: Submissions in one statement.
IDS_PER_STATEMENT = 500

_UNCONFIRMED = (
    select(submissions)
    .where(submissions.c.batch_id == bindparam("batch"), submissions.c.unconfirmed)
    .order_by(submissions.c.id)
)
_ANY_DUE = select(
    exists().where(
        jobs.c.batch_id == bindparam("batch"),
        is_unconfirmed,
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


def hold_refused(tx: Connection, submission_id: int) -> None:
    """Let the jobs of a refused submission wait until a search has confirmed the refusal."""
    tx.execute(_HOLD, {"submission": submission_id})


def confirm_refusals(tx: Connection, submission_ids: Collection[int]) -> None:
    """Record that a search has shown what these refused submissions created."""
    for start in range(0, len(submission_ids), IDS_PER_STATEMENT):
        given = {"submissions": [*submission_ids][start : start + IDS_PER_STATEMENT]}
        tx.execute(_CONFIRM, given)
        tx.execute(_RELEASE, given)


_of_these = submissions.c.id.in_(bindparam("submissions", expanding=True))
_CONFIRM = update(submissions).where(_of_these).values(unconfirmed=False)
_job_of = select(attempts.c.job_id).correlate(None)
_HOLD = (
    update(jobs)
    .where(jobs.c.id.in_(_job_of.where(attempts.c.submission_id == bindparam("submission"))))
    .values(unconfirmed=True)
)
_RELEASE = (
    update(jobs)
    .where(
        jobs.c.id.in_(
            _job_of.where(attempts.c.submission_id.in_(bindparam("submissions", expanding=True)))
        ),
        # Its newest attempt may be another one, of a refusal that is not confirmed.
        not_(
            exists()
            .where(attempts.c.job_id == jobs.c.id, attempts.c.submission_id == submissions.c.id)
            .where(submissions.c.unconfirmed)
        ),
    )
    .values(unconfirmed=False)
)
