"""All attempts of a batch's jobs, for exports with several tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from batchrunner.model import ExportedAttempt
from batchrunner.store.schema import attempts, jobs
from batchrunner.store.store import PAGE_SIZE, Store

_PAGE = (
    select(
        attempts.c.id,
        attempts.c.number,
        attempts.c.outcome,
        attempts.c.counted,
        attempts.c.code,
        attempts.c.message,
        attempts.c.steps,
        attempts.c.run_id,
        attempts.c.run_started_at,
        attempts.c.run_finished_at,
        attempts.c.option_overrides,
        jobs.c.key,
        jobs.c.revision,
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(attempts.c.batch_id == bindparam("batch"), attempts.c.id > bindparam("after"))
    .order_by(attempts.c.id)
    .limit(PAGE_SIZE)
)


def batch_attempts(store: Store, batch_id: int) -> Iterator[ExportedAttempt]:
    """Yield all attempts of a batch in the order in which they were opened, page by page."""
    after = 0
    while page := store.read(_page, batch_id, after):
        after = page[-1].id
        yield from map(_attempt, page)


def _page(tx: Connection, batch_id: int, after: int) -> list[Row[Any]]:
    return list(tx.execute(_PAGE, {"batch": batch_id, "after": after}))


def _attempt(row: Row[Any]) -> ExportedAttempt:
    return ExportedAttempt(
        key=row.key,
        revision=row.revision,
        number=row.number,
        outcome=row.outcome,
        counted=row.counted,
        code=row.code,
        message=row.message,
        steps=row.steps,
        run_id=row.run_id,
        started_at=row.run_started_at,
        finished_at=row.run_finished_at,
        option_overrides=json.loads(row.option_overrides or "{}"),
    )
