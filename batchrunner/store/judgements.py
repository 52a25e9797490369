"""Statements that judge stored results again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from batchrunner.classify import UNREADABLE
from batchrunner.model import Failed, FailureCategory, JobState, StoredResult
from batchrunner.model.categories import CATEGORIES
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import expectations_in, findings_of, findings_text, json_text
from batchrunner.store.transactions import PAGE_SIZE, Transactions

#: What a judgement of a result can be.
JUDGED_CATEGORIES = tuple(each for each, row in CATEGORIES.items() if row.from_result)

_judgeable = or_(
    and_(jobs.c.state == JobState.SUCCEEDED, attempts.c.outcome == "succeeded"),
    and_(
        jobs.c.state == JobState.FAILED,
        attempts.c.outcome.in_(JUDGED_CATEGORIES),
        or_(attempts.c.code.is_(None), attempts.c.code != UNREADABLE),
    ),
)
_newest = and_(attempts.c.job_id == jobs.c.id, attempts.c.number == jobs.c.attempt)


def stored_results(store: Transactions, batch_id: int) -> Iterator[StoredResult]:
    """Yield the results of a batch that can be judged again, in file order."""
    ids = store.read(_attempt_ids, batch_id)
    for start in range(0, len(ids), PAGE_SIZE):
        yield from store.read(_stored_results, ids[start : start + PAGE_SIZE])


def _attempt_ids(tx: Connection, batch_id: int) -> list[int]:
    return list(
        tx.execute(
            select(attempts.c.id)
            .join(jobs, _newest)
            .join(results, results.c.attempt_id == attempts.c.id)
            .where(jobs.c.batch_id == batch_id, _judgeable)
            .order_by(jobs.c.position, jobs.c.id)
        ).scalars()
    )


def _stored_results(tx: Connection, attempt_ids: Sequence[int]) -> list[StoredResult]:
    rows = tx.execute(
        select(
            attempts.c.id.label("attempt_id"),
            attempts.c.number,
            attempts.c.outcome,
            attempts.c.code,
            attempts.c.message,
            attempts.c.findings,
            jobs,
            results.c.body,
        )
        .join(jobs, _newest)
        .join(results, results.c.attempt_id == attempts.c.id)
        .where(attempts.c.id.in_(attempt_ids), _judgeable)
        .order_by(jobs.c.position, jobs.c.id)
    )
    return [_read(row) for row in rows]


def _read(row: Row[Any]) -> StoredResult:
    return StoredResult(
        job_id=row.id,
        attempt_id=row.attempt_id,
        number=row.number,
        key=row.key,
        url=row.url,
        goal=row.goal,
        state=JobState(row.state),
        result=row.body,
        expectations=expectations_in(row.options if row.output_schema_digest else None, row.expect),
        category=FailureCategory(row.outcome) if row.outcome != "succeeded" else None,
        code=row.code,
        message=row.message or "",
        findings=findings_of(row.findings),
    )


_LOCK_ATTEMPTS = (
    select(attempts.c.id, attempts.c.outcome)
    .where(attempts.c.id.in_(bindparam("attempts", expanding=True)))
    .order_by(attempts.c.id)  # as where verdicts are applied: attempts before jobs, by id
    .with_for_update()
)
_LOCK_JOBS = (
    select(jobs.c.id, jobs.c.state, jobs.c.attempt, jobs.c.failures, jobs.c.failures_by_category)
    .where(jobs.c.id.in_(bindparam("jobs", expanding=True)))
    .order_by(jobs.c.id)
    .with_for_update()
)
_REWRITE_ATTEMPT = (
    update(attempts)
    .where(attempts.c.id == bindparam("one"))
    .values(
        outcome=bindparam("new_outcome"),
        code=bindparam("new_code"),
        message=bindparam("new_message"),
        findings=bindparam("new_findings"),
    )
)
_MOVE_JOB = (
    update(jobs)
    .where(jobs.c.id == bindparam("one"))
    .values(
        state=bindparam("new_state"),
        failures=bindparam("new_failures"),
        failures_by_category=bindparam("new_failures_by_category"),
    )
)


def rewrite_judgements(
    tx: Connection, judgements: Sequence[tuple[StoredResult, Failed | None]]
) -> int:
    """
    Write what judgements of stored results have become; return how many were written.

    One about a job that has changed since it was read changes nothing: it was put back, runs, or
    was judged by somebody else.
    """
    ids = [one.attempt_id for one, _ in judgements]
    outcomes = {row.id: row.outcome for row in tx.execute(_LOCK_ATTEMPTS, {"attempts": ids})}
    job_ids = [one.job_id for one, _ in judgements]
    rows: list[Row[Any]] = list(tx.execute(_LOCK_JOBS, {"jobs": job_ids}))
    stored = {row.id: row for row in rows}
    held = [
        (one, failure, stored[one.job_id])
        for one, failure in judgements
        if _is_as_read(one, outcomes.get(one.attempt_id), stored.get(one.job_id))
    ]
    if held:
        tx.execute(_REWRITE_ATTEMPT, [_rewritten(one, failure) for one, failure, _ in held])
        tx.execute(_MOVE_JOB, [_moved(one, failure, row) for one, failure, row in held])
    return len(held)


def _is_as_read(one: StoredResult, outcome: str | None, job: Row[Any] | None) -> bool:
    before = (one.state, one.number, one.category or "succeeded")
    return job is not None and (job.state, job.attempt, outcome) == before


def _rewritten(one: StoredResult, failure: Failed | None) -> dict[str, Any]:
    return {
        "one": one.attempt_id,
        "new_outcome": failure.category if failure else "succeeded",
        "new_code": failure.code if failure else None,
        "new_message": failure.message if failure else None,
        "new_findings": findings_text(failure.findings) if failure else None,
    }


def _moved(one: StoredResult, failure: Failed | None, job: Row[Any]) -> dict[str, Any]:
    """Move a job, and what is counted of it: a judgement is one failure or none."""
    met = json.loads(job.failures_by_category)
    for category, change in ((one.category, -1), (failure and failure.category, 1)):
        if category is not None:
            met[category] = max(met.get(category, 0) + change, 0)
    change = int(failure is not None) - int(one.category is not None)
    return {
        "one": one.job_id,
        "new_state": JobState.FAILED if failure else JobState.SUCCEEDED,
        "new_failures": max(job.failures + change, 0),
        "new_failures_by_category": json_text(
            {category: count for category, count in met.items() if count}
        ),
    }
