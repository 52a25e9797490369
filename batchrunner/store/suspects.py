"""Reads the suspect results of a batch by rule, with an example of each."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, literal_column, select

from batchrunner.model import JobState, SuspectResults, Verdict
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.schema import attempts, jobs
from batchrunner.store.serialization import findings_of

#: Jobs that succeeded with a suspect result.
_are_suspect = (
    attempts.c.batch_id == bindparam("batch"),
    attempts.c.verdict == literal_column(f"'{Verdict.SUSPECT}'"),  # as in the partial index
    jobs.c.state == JobState.SUCCEEDED,
    is_current,
)
_numbered = (
    select(
        attempts.c.verdict_rule,
        attempts.c.findings,
        attempts.c.run_id,
        jobs.c.key,
        jobs.c.url,
        func.count().over(partition_by=attempts.c.verdict_rule).label("jobs"),
        func.row_number()
        .over(partition_by=attempts.c.verdict_rule, order_by=(jobs.c.position, jobs.c.id))
        .label("number"),
    )
    .join(jobs, is_newest)
    .where(*_are_suspect)
    .subquery()
)
_SUSPECT_EXAMPLES = (
    select(_numbered)
    .where(_numbered.c.number == 1)
    .order_by(_numbered.c.jobs.desc(), _numbered.c.verdict_rule)
)


def suspect_results(tx: Connection, batch_id: int) -> list[SuspectResults]:
    """Return the suspect results of a batch by rule, the most frequent one first."""
    return [
        SuspectResults(
            rule=row.verdict_rule,
            jobs=row.jobs,
            key=row.key,
            url=row.url,
            run_id=row.run_id,
            finding=findings_of(row.findings)[0],
        )
        for row in tx.execute(_SUSPECT_EXAMPLES, {"batch": batch_id})
    ]
