"""Conditions and counts that statements about jobs share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, case, exists, func, literal_column, not_, or_

from batchrunner.model import JobState, Verdict
from batchrunner.store.schema import SubmissionState, attempts, jobs, submissions

FINAL_STATES = [state for state in JobState if state.is_final]
#: Not a parameter: partial indexes hold the rows of one state, and a plan must not depend on it.
is_available = jobs.c.state == literal_column(f"'{JobState.AVAILABLE}'")
#: A job that a claim may choose. No search has confirmed yet that the others may be sent again.
is_waiting = and_(is_available, not_(jobs.c.unconfirmed))
is_unconfirmed = and_(is_available, jobs.c.unconfirmed)
#: In the words of its partial index: SQLite does not see that one state is one of the two.
is_unsettled = submissions.c.state.in_(
    [
        literal_column(f"'{SubmissionState.INTENDED}'"),
        literal_column(f"'{SubmissionState.UNANSWERED}'"),
    ]
)
#: Joins a job with its newest attempt.
is_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)

#: The newest revision of a job that is in its file.
is_current = and_(not_(jobs.c.superseded), not_(jobs.c.withdrawn))

_again = jobs.alias("again")
_being_tried = [state for state in JobState if not state.is_final]
#: What exports show: a suspect result that is being bought again stays until that has ended.
is_shown = or_(
    is_current,
    and_(
        jobs.c.superseded,
        exists().where(
            _again.c.replaces == jobs.c.id,
            not_(_again.c.superseded),
            not_(_again.c.withdrawn),
            _again.c.state.in_(_being_tried),
        ),
    ),
)
#: A job whose newest result looks wrong.
has_suspect_result = (
    exists().where(is_newest, attempts.c.verdict == Verdict.SUSPECT).correlate(jobs)
)

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
