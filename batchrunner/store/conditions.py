"""Conditions and counts that statements about jobs share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, case, func, select

from batchrunner.model import JobState
from batchrunner.store.schema import SubmissionState, attempts, jobs, submissions

FINAL_STATES = [state for state in JobState if state.is_final]
#: Joins a job with its newest attempt.
is_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)

_unanswered = select(submissions.c.id).where(
    submissions.c.batch_id == bindparam("batch"),
    submissions.c.state == SubmissionState.UNANSWERED,
)
#: An attempt of *batch* whose run may exist.
is_unanswered = and_(attempts.c.run_id.is_(None), attempts.c.submission_id.in_(_unanswered))
#: Such an attempt that does not hold its slot any more at *now*.
is_released = and_(
    attempts.c.run_id.is_(None),
    attempts.c.submission_id.in_(
        _unanswered.where(submissions.c.holds_slots_until <= bindparam("now"))
    ),
)


def count_where(condition: Any) -> Any:
    """Return the number of rows that meet a condition; 0 where there is no row."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
