"""Conditions and counts that statements about jobs share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, case, exists, func, not_

from batchrunner.model import JobState
from batchrunner.store.schema import SubmissionState, attempts, jobs, submissions

FINAL_STATES = [state for state in JobState if state.is_final]
#: Joins a job with its newest attempt.
is_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)

#: The newest revision of a job that is in its file.
is_current = and_(not_(jobs.c.superseded), not_(jobs.c.withdrawn))

_submission = exists().where(submissions.c.id == attempts.c.submission_id).correlate(attempts)
#: The submission of an attempt is unanswered. One row by its id, as few attempts are open.
in_unanswered_submission = _submission.where(submissions.c.state == SubmissionState.UNANSWERED)
#: An attempt whose run may exist.
is_unanswered = and_(attempts.c.run_id.is_(None), in_unanswered_submission)
#: Such an attempt that does not hold its slot any more at *now*.
is_released = and_(
    attempts.c.run_id.is_(None),
    in_unanswered_submission.where(submissions.c.holds_slots_until <= bindparam("now")),
)


def count_where(condition: Any) -> Any:
    """Return the number of rows that meet a condition; 0 where there is no row."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
