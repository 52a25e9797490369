"""Which results are read together with others, and the result of one job."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, case, func, not_, select

from batchrunner.model import Finding, Verdict
from batchrunner.store.conditions import is_newest
from batchrunner.store.finished_reads import MAX_SHARED_LENGTH
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import findings_of

#: The body of a result; null if it is long.
short_body = case((func.length(results.c.body) <= MAX_SHARED_LENGTH, results.c.body)).label("body")
#: The attempt of a result that is long; null for others.
long_body_of = case((func.length(results.c.body) > MAX_SHARED_LENGTH, results.c.attempt_id)).label(
    "long_body_of"
)

_of_job = (
    jobs.c.batch_id == bindparam("batch"),
    jobs.c.key == bindparam("job"),
    not_(jobs.c.superseded),
)
_BODY_OF_JOB = (
    select(results.c.body)
    .join(attempts, attempts.c.id == results.c.attempt_id)
    .join(jobs, is_newest)
    .where(*_of_job)
)
_VERDICT_OF_JOB = (
    select(attempts.c.verdict, attempts.c.findings).join(jobs, is_newest).where(*_of_job)
)


def verdict_of_job(tx: Connection, batch_id: int, key: str) -> tuple[Verdict, Finding] | None:
    """Return the verdict on a job's newest result and what decided it; None if it is good."""
    row = tx.execute(_VERDICT_OF_JOB, {"batch": batch_id, "job": key}).first()
    findings = findings_of(row.findings) if row and row.verdict else ()
    return (Verdict(row.verdict), findings[0]) if row and findings else None


def result_body_of_job(tx: Connection, batch_id: int, key: str) -> str | None:
    """Return the result of a job's newest attempt as it is stored; None if there is none."""
    return tx.execute(_BODY_OF_JOB, {"batch": batch_id, "job": key}).scalar()
