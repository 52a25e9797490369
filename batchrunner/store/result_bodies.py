"""Reads many results at once without reading many long ones at once."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, case, func, not_, select

from batchrunner.model import Finding, FinishedJob, Verdict
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.conditions import is_newest
from batchrunner.store.finished_reads import MAX_SHARED_LENGTH
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import findings_of
from batchrunner.store.store import Store

#: The body of a result; null if it is long.
short_body = case((func.length(results.c.body) <= MAX_SHARED_LENGTH, results.c.body)).label("body")
#: The attempt of a result that is long; null for others.
long_body_of = case((func.length(results.c.body) > MAX_SHARED_LENGTH, results.c.attempt_id)).label(
    "long_body_of"
)

_BODY = (
    select(results.c.body, attempts.c.marker)
    .join(attempts, attempts.c.id == results.c.attempt_id)
    .where(results.c.attempt_id == bindparam("attempt"))
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


def result_body(tx: Connection, attempt_id: int) -> str | None:
    """Return the result of an attempt without our markers; None if there is none."""
    row = tx.execute(_BODY, {"attempt": attempt_id}).first()
    return without_marker(row.body, row.marker) if row else None


def with_long_results(store: Store, finished: list[FinishedJob]) -> Iterator[FinishedJob]:
    """Give each job with its result: a long one is read when its job is given."""
    for job in finished:
        yield with_result(store, job)


def with_result(store: Store, job: FinishedJob) -> FinishedJob:
    """Return the job with its result, even if that is long."""
    if job.long_result_of is None:
        return job
    body = store.read(result_body, job.long_result_of)
    return job._replace(result=body, long_result_of=None)


def verdict_of_job(tx: Connection, batch_id: int, key: str) -> tuple[Verdict, Finding] | None:
    """Return the verdict on a job's newest result and what decided it; None if it is good."""
    row = tx.execute(_VERDICT_OF_JOB, {"batch": batch_id, "job": key}).first()
    findings = findings_of(row.findings) if row and row.verdict else ()
    return (Verdict(row.verdict), findings[0]) if row and findings else None


def result_body_of_job(tx: Connection, batch_id: int, key: str) -> str | None:
    """Return the result of a job's newest attempt as it is stored; None if there is none."""
    return tx.execute(_BODY_OF_JOB, {"batch": batch_id, "job": key}).scalar()
