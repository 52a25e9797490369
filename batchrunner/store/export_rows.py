"""Reads jobs as a job file would give them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from batchrunner.model import JobState
from batchrunner.model.job_entry import JobEntry
from batchrunner.store.conditions import is_newest
from batchrunner.store.schema import attempts, jobs
from batchrunner.store.store import PAGE_SIZE, Store


def job_entries(store: Store, batch_id: int, ids: Sequence[int]) -> Iterator[JobEntry]:
    """Yield these jobs as a job file would give them, in this order."""
    for start in range(0, len(ids), PAGE_SIZE):
        yield from store.read(_entries, ids[start : start + PAGE_SIZE])


def _entries(tx: Connection, ids: Sequence[int]) -> list[JobEntry]:
    query = (
        select(jobs, attempts.c.outcome, attempts.c.message, attempts.c.run_id)
        .outerjoin(attempts, is_newest)
        .where(jobs.c.id.in_(ids))
    )
    rows = {row.id: row for row in tx.execute(query)}
    return [_entry(rows[id]) for id in ids if id in rows]


def _entry(row: Row[Any]) -> JobEntry:
    return JobEntry(
        key=row.key,
        url=row.url,
        goal=row.goal,
        state=JobState(row.state),
        options=json.loads(row.options),
        expect=json.loads(row.expect or "{}"),
        policy=json.loads(row.policy or "{}"),
        limits=json.loads(row.limits or "{}"),
        columns=json.loads(row.columns or "{}"),
        attempts=row.attempt,
        category=row.outcome if row.state == JobState.FAILED else None,
        message=row.message,
        run_id=row.run_id,
    )
