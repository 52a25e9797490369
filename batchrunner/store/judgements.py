"""Reads stored results for judging them again, and writes the new judgements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from batchrunner.classify import UNREADABLE
from batchrunner.model import Failed, FailureCategory, JobState, StoredResult
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.result_bodies import long_body_of, result_body, short_body
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import expectations_in, findings_of, findings_text, json_text
from batchrunner.store.store import PAGE_SIZE, Store

#: What a judgement of a result can be.
JUDGED_CATEGORIES = tuple(each for each, row in CATEGORIES.items() if row.from_result)

_judgeable = and_(
    is_current,
    or_(
        and_(jobs.c.state == JobState.SUCCEEDED, attempts.c.outcome == "succeeded"),
        and_(
            jobs.c.state == JobState.FAILED,
            attempts.c.outcome.in_(JUDGED_CATEGORIES),
            or_(attempts.c.code.is_(None), attempts.c.code != UNREADABLE),
        ),
    ),
)


def stored_results(store: Store, batch_id: int) -> Iterator[StoredResult]:
    """Yield the results of a batch that can be judged again, in file order."""
    ids = store.read(_attempt_ids, batch_id)
    for start in range(0, len(ids), PAGE_SIZE):
        for stored, is_long in store.read(_stored_results, ids[start : start + PAGE_SIZE]):
            body = store.read(result_body, stored.attempt_id) if is_long else stored.result
            if body is not None:
                yield replace(stored, result=body) if is_long else stored


def _attempt_ids(tx: Connection, batch_id: int) -> list[int]:
    return list(
        tx.execute(
            select(attempts.c.id)
            .join(jobs, is_newest)
            .join(results, results.c.attempt_id == attempts.c.id)
            .where(jobs.c.batch_id == batch_id, _judgeable)
            .order_by(jobs.c.position, jobs.c.id)
        ).scalars()
    )


def _stored_results(tx: Connection, attempt_ids: Sequence[int]) -> list[tuple[StoredResult, bool]]:
    """Return results, and whether each is so long that it is still to be read."""
    rows = tx.execute(
        select(
            attempts.c.id.label("attempt_id"),
            attempts.c.number,
            attempts.c.outcome,
            attempts.c.code,
            attempts.c.message,
            attempts.c.findings,
            attempts.c.marker,
            jobs,
            short_body,
            long_body_of,
        )
        .join(jobs, is_newest)
        .join(results, results.c.attempt_id == attempts.c.id)
        .where(attempts.c.id.in_(attempt_ids), _judgeable)
        .order_by(jobs.c.position, jobs.c.id)
    )
    return [(_read(row), row.long_body_of is not None) for row in rows]


def _read(row: Row[Any]) -> StoredResult:
    return StoredResult(
        job_id=row.id,
        attempt_id=row.attempt_id,
        number=row.number,
        key=row.key,
        url=row.url,
        goal=row.goal,
        state=JobState(row.state),
        result=without_marker(row.body, row.marker) or "",
        expectations=expectations_in(row.options if row.output_schema_digest else None, row),
        category=FailureCategory(row.outcome) if row.outcome != "succeeded" else None,
        code=row.code,
        message=row.message or "",
        findings=findings_of(row.findings),
    )


_LOCK_ATTEMPTS = (
    select(attempts.c.id, attempts.c.outcome)
    .where(attempts.c.id.in_(bindparam("attempts", expanding=True)))
    .order_by(attempts.c.id)  # as where decisions are applied: attempts before jobs, by id
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
    .where(attempts.c.id == bindparam("row_id"))
    .values(
        outcome=bindparam("new_outcome"),
        code=bindparam("new_code"),
        message=bindparam("new_message"),
        findings=bindparam("new_findings"),
    )
)
_MOVE_JOB = (
    update(jobs)
    .where(jobs.c.id == bindparam("row_id"))
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
    Write new judgements of stored results; return how many were written.

    A judgement of a job that has changed since it was read changes nothing.
    """
    ids = [result.attempt_id for result, _ in judgements]
    outcomes = {row.id: row.outcome for row in tx.execute(_LOCK_ATTEMPTS, {"attempts": ids})}
    job_ids = [result.job_id for result, _ in judgements]
    rows: list[Row[Any]] = list(tx.execute(_LOCK_JOBS, {"jobs": job_ids}))
    stored = {row.id: row for row in rows}
    held = [
        (result, failure, stored[result.job_id])
        for result, failure in judgements
        if _is_as_read(result, outcomes.get(result.attempt_id), stored.get(result.job_id))
    ]
    if held:
        tx.execute(_REWRITE_ATTEMPT, [_rewritten(result, failure) for result, failure, _ in held])
        tx.execute(_MOVE_JOB, [_moved(result, failure, row) for result, failure, row in held])
    return len(held)


def _is_as_read(result: StoredResult, outcome: str | None, job: Row[Any] | None) -> bool:
    before = (result.state, result.number, result.category or "succeeded")
    return job is not None and (job.state, job.attempt, outcome) == before


def _rewritten(result: StoredResult, failure: Failed | None) -> dict[str, Any]:
    return {
        "row_id": result.attempt_id,
        "new_outcome": failure.category if failure else "succeeded",
        "new_code": failure.code if failure else None,
        "new_message": failure.message if failure else None,
        "new_findings": findings_text(failure.findings) if failure else None,
    }


def _moved(result: StoredResult, failure: Failed | None, job: Row[Any]) -> dict[str, Any]:
    """Return a job's new state and failure counts: a judgement is one failure or none."""
    counts = json.loads(job.failures_by_category)
    for category, change in ((result.category, -1), (failure and failure.category, 1)):
        if category is not None:
            counts[category] = max(counts.get(category, 0) + change, 0)
    change = int(failure is not None) - int(result.category is not None)
    return {
        "row_id": result.job_id,
        "new_state": JobState.FAILED if failure else JobState.SUCCEEDED,
        "new_failures": max(job.failures + change, 0),
        "new_failures_by_category": json_text(
            {category: count for category, count in counts.items() if count}
        ),
    }
