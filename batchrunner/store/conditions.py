"""Conditions and counts that statements about jobs share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func

from batchrunner.model import JobState
from batchrunner.store.schema import attempts, jobs

FINAL_STATES = [state for state in JobState if state.is_final]
#: Joins a job with its newest attempt.
is_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)


def count_where(condition: Any) -> Any:
    """Return the number of rows that meet a condition; 0 where there is no row."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
