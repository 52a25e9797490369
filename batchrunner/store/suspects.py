"""Counts the suspect results of a batch by rule."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, literal_column, select

from batchrunner.model import JobState, Verdict
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.schema import attempts, jobs

#: Jobs that succeeded with a suspect result.
_are_suspect = (
    attempts.c.batch_id == bindparam("batch"),
    attempts.c.verdict == literal_column(f"'{Verdict.SUSPECT}'"),  # as in the partial index
    jobs.c.state == JobState.SUCCEEDED,
    is_current,
)
_SUSPECT = (
    select(attempts.c.verdict_rule, func.count().label("jobs"))
    .join(jobs, is_newest)
    .where(*_are_suspect)
    .group_by(attempts.c.verdict_rule)
)


def suspect_counts(tx: Connection, batch_id: int) -> dict[str, int]:
    """Return how many suspect results of a batch each rule found."""
    return {row.verdict_rule: row.jobs for row in tx.execute(_SUSPECT, {"batch": batch_id})}
