"""Reads stored results for judging them again, and writes the new judgements."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    desc,
    func,
    or_,
    select,
    update,
)

from batchrunner.classify import UNREADABLE
from batchrunner.model import (
    Failed,
    FailureCategory,
    Finding,
    JobState,
    Outcome,
    StoredResult,
    Verdict,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.counters import changed_jobs
from batchrunner.store.job_rows import LOAD_CHUNK, chunks
from batchrunner.store.job_values import expectations_in
from batchrunner.store.result_bodies import long_body_of, short_body
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.serialization import findings_of, findings_text, json_text
from batchrunner.store.shown_jobs import result_body
from batchrunner.store.store import PAGE_SIZE, Store

#: Ids that are read from the server at once.
ROWS_AT_ONCE = 5000
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
    yield from results_of_attempts(store, store.read(_attempt_ids, jobs.c.batch_id == batch_id))


def results_of_jobs(store: Store, job_ids: Sequence[int]) -> Iterator[StoredResult]:
    """Yield the results of these jobs that can be judged again, in file order."""
    for start in range(0, len(job_ids), PAGE_SIZE):
        chosen = jobs.c.id.in_(job_ids[start : start + PAGE_SIZE])
        yield from results_of_attempts(store, store.read(_attempt_ids, chosen))


def results_of_attempts(store: Store, ids: Sequence[int]) -> Iterator[StoredResult]:
    """Yield the results of these attempts that can be judged again."""
    for start in range(0, len(ids), PAGE_SIZE):
        for stored, is_long in store.read(_stored_results, ids[start : start + PAGE_SIZE]):
            body = store.read(result_body, stored.attempt_id) if is_long else stored.result
            if body is not None:
                yield replace(stored, result=body) if is_long else stored


def _attempt_ids(tx: Connection, chosen: ColumnElement[bool]) -> array[int]:
    return array(
        "q",
        tx.execute(
            select(attempts.c.id)
            .join(jobs, is_newest)
            .join(results, results.c.attempt_id == attempts.c.id)
            .where(chosen, _judgeable)
            .order_by(jobs.c.position, jobs.c.id)
            .execution_options(yield_per=ROWS_AT_ONCE)
        ).scalars(),
    )


def newest_successes(tx: Connection, batch_id: int, most: int) -> list[int]:
    """Return the attempts of the jobs that succeeded last, at most so many, in file order."""
    newest = (
        select(attempts.c.id, jobs.c.position)
        .join(jobs, is_newest)
        .where(jobs.c.batch_id == batch_id, is_current, jobs.c.state == JobState.SUCCEEDED)
        .order_by(jobs.c.finished_at.desc(), jobs.c.id.desc())
        .limit(most)
        .subquery()
    )
    return list(tx.execute(select(newest.c.id).order_by(newest.c.position, newest.c.id)).scalars())


def results_of_one_goal(tx: Connection, batch_id: int) -> int:
    """Return how many jobs with the same goal succeeded, of the most frequent goal."""
    succeeded = (jobs.c.batch_id == batch_id, is_current, jobs.c.state == JobState.SUCCEEDED)
    many = select(func.count()).where(*succeeded).group_by(jobs.c.goal).order_by(desc(func.count()))
    return tx.execute(many.select_from(jobs).limit(1)).scalar() or 0


_FLAG = (
    update(attempts)
    .where(
        attempts.c.id == bindparam("row_id"),
        attempts.c.verdict == Verdict.GOOD,
        attempts.c.review.is_(None),  # a person's word counts more
    )
    .values(
        verdict=Verdict.SUSPECT,
        verdict_rule=bindparam("new_verdict_rule"),
        findings=bindparam("new_findings"),
    )
)


def flag_good_results(tx: Connection, found: Sequence[tuple[int, Finding]]) -> int:
    """Turn good results into suspect ones, by attempt; others stay. Return how many turned."""
    flags = [
        {
            "row_id": attempt_id,
            "new_verdict_rule": finding.rule,
            "new_findings": findings_text((finding,)),
        }
        for attempt_id, finding in sorted(found, key=lambda pair: pair[0])
    ]
    return sum(_flag(tx, chunk) for chunk in chunks(flags, LOAD_CHUNK))


def _flag(tx: Connection, flags: Sequence[Mapping[str, Any]]) -> int:
    ids = [flag["row_id"] for flag in flags]
    job_ids = tx.execute(select(attempts.c.job_id).where(attempts.c.id.in_(ids))).scalars().all()
    with changed_jobs(tx, job_ids):
        return sum(tx.execute(_FLAG, flag).rowcount for flag in flags)


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
            attempts.c.verdict,
            attempts.c.review,
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
        verdict=Verdict(row.verdict) if row.verdict else None,
        reviewed=row.review is not None,
    )


_LOCK_ATTEMPTS = (
    select(attempts.c.id, attempts.c.outcome, attempts.c.verdict)
    .where(attempts.c.id.in_(bindparam("attempts", expanding=True)))
    .order_by(attempts.c.id)  # as where decisions are applied: attempts before jobs, by id
    .with_for_update()
)
_LOCK_JOBS = (
    select(jobs.c.id, jobs.c.state, jobs.c.attempt, jobs.c.failures, jobs.c.failures_by_category)
    .where(jobs.c.id.in_(bindparam("jobs", expanding=True)), is_current)
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
        verdict=bindparam("new_verdict"),
        verdict_rule=bindparam("new_verdict_rule"),
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


def rewrite_judgements(tx: Connection, judgements: Sequence[tuple[StoredResult, Outcome]]) -> int:
    """
    Write new judgements of stored results; return how many were written.

    A judgement of a job that has changed since it was read changes nothing.
    """
    ids = [result.attempt_id for result, _ in judgements]
    locked = tx.execute(_LOCK_ATTEMPTS, {"attempts": ids})
    judged = {row.id: (row.outcome, row.verdict) for row in locked}
    job_ids = [result.job_id for result, _ in judgements]
    rows: list[Row[Any]] = list(tx.execute(_LOCK_JOBS, {"jobs": job_ids}))
    stored = {row.id: row for row in rows}
    held = [
        (result, outcome, stored[result.job_id])
        for result, outcome in judgements
        if _is_as_read(result, judged.get(result.attempt_id), stored.get(result.job_id))
    ]
    if held:
        rewritten = [_rewritten(result, outcome) for result, outcome, _ in held]
        moved = [_moved(result, _failure_in(outcome), row) for result, outcome, row in held]
        with changed_jobs(tx, [result.job_id for result, _, _ in held]):
            tx.execute(_REWRITE_ATTEMPT, rewritten)
            tx.execute(_MOVE_JOB, moved)
    return len(held)


def _is_as_read(
    result: StoredResult, judged: tuple[str | None, str | None] | None, job: Row[Any] | None
) -> bool:
    before = (result.state, result.number, (result.category or "succeeded", result.verdict))
    return job is not None and (job.state, job.attempt, judged) == before


def _failure_in(outcome: Outcome) -> Failed | None:
    return outcome if isinstance(outcome, Failed) else None


def _rewritten(result: StoredResult, outcome: Outcome) -> dict[str, Any]:
    failure = _failure_in(outcome)
    said = outcome if isinstance(outcome, Failed) else outcome.remark
    verdict = Verdict.BAD if isinstance(outcome, Failed) else outcome.verdict
    return {
        "row_id": result.attempt_id,
        "new_outcome": failure.category if failure else "succeeded",
        "new_code": said.code if said else None,
        "new_message": said.message if said else None,
        "new_findings": findings_text(outcome.findings),
        "new_verdict": verdict,
        "new_verdict_rule": outcome.findings[0].rule if outcome.findings else None,
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
