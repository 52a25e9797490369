"""Finds control runs, which test whether a search for lost runs can be trusted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from batchrunner.model import ControlRun, RunStatus
from batchrunner.store.schema import SubmissionState, attempts, submissions

#: Statuses that only a poll sets: a run that no poll has shown may not exist.
_SEEN = [status for status in RunStatus if status is not RunStatus.PENDING]

_CONTROL_RUN = (
    select(attempts.c.run_id, attempts.c.marker)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.marked,
        attempts.c.marker.is_not(None),
        submissions.c.answered_at <= bindparam("before"),
        attempts.c.run_id.is_not(None),
        attempts.c.run_status.in_(_SEEN),
    )
    .order_by(submissions.c.id.desc(), attempts.c.batch_index)
    .limit(1)
)


def control_run(tx: Connection, batch_id: int, before: datetime) -> ControlRun | None:
    """Return the newest marked run that was recorded *before* a moment and polled since."""
    row = tx.execute(_CONTROL_RUN, {"batch": batch_id, "before": before}).first()
    return row and ControlRun(run_id=row.run_id, marker=row.marker)


_GIVEN_BACK = (
    select(attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(
        attempts.c.job_id.in_(bindparam("jobs", expanding=True)),
        attempts.c.closed_at.is_not(None),
        attempts.c.run_id.is_(None),
        submissions.c.state == SubmissionState.ABSENT,
    )
)


def jobs_given_back(tx: Connection, job_ids: Collection[int]) -> frozenset[int]:
    """Return those of these jobs that were made available because a run was not found."""
    return frozenset(tx.execute(_GIVEN_BACK, {"jobs": list(job_ids)}).scalars())
