"""Reads the results of a batch sorted by the key of their jobs, to compare them with others."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from batchrunner.differences import ComparedResult
from batchrunner.model import FailureCategory, JobState
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.conditions import FINAL_STATES, is_current, is_newest
from batchrunner.store.finished_reads import schema_fields
from batchrunner.store.plain_sql import ROWS_AT_ONCE
from batchrunner.store.result_bodies import long_body_of, short_body
from batchrunner.store.schema import attempts, jobs, results
from batchrunner.store.shown_jobs import result_body
from batchrunner.store.store import PAGE_SIZE, Store

#: What the jobs of a batch can be joined by without a sort of our own.
SORTED_BY = ("id", "url")
_SUCCEEDED = str(JobState.SUCCEEDED)


def compared_results(store: Store, by: str, ids: Sequence[int]) -> Iterator[ComparedResult]:
    """
    Yield these jobs in this order with their results; *by* is `id`, `url` or a carried column.

    A job without a cell in that column has an empty key.
    """
    for start in range(0, len(ids), PAGE_SIZE):
        for row in store.read(_page, ids[start : start + PAGE_SIZE]):
            yield _compared(store, row, by)


def sorted_job_ids(tx: Connection, batch_id: int, by: str) -> array[int]:
    """Return the rows of a batch's current jobs, sorted by their id or url as Python sorts text."""
    # "C" is the order of the bytes of UTF-8, which is that of code points; SQLite's own is that.
    column = jobs.c.url if by == "url" else jobs.c.key
    order = column.collate("C") if tx.dialect.name == "postgresql" else column
    query = select(jobs.c.id).where(jobs.c.batch_id == batch_id, is_current)
    if by in SORTED_BY:
        query = query.order_by(order, jobs.c.position)
    found = tx.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
    return array("q", found.scalars())


def _page(tx: Connection, ids: Sequence[int]) -> list[Row[Any]]:
    rows = {row[0]: row for row in tx.execute(_results(ids))}
    return [rows[id] for id in ids if id in rows]


def _results(ids: Sequence[int]) -> Select[Any]:
    return (
        select(
            jobs.c.id,
            jobs.c.key,
            jobs.c.url,
            jobs.c.goal,
            jobs.c.state,
            jobs.c.options,
            jobs.c.columns,
            attempts.c.outcome,
            attempts.c.verdict,
            attempts.c.marker,
            short_body,
            long_body_of,
        )
        .outerjoin(attempts, is_newest)
        .outerjoin(results, results.c.attempt_id == attempts.c.id)
        .where(jobs.c.id.in_(ids))
    )


def _compared(store: Store, row: Row[Any], by: str) -> ComparedResult:
    _, id, url, goal, state, options, columns, outcome, verdict, marker, body, long_body = tuple(
        row
    )
    has_result = state == _SUCCEEDED
    if not has_result:
        body = None
    elif long_body is not None:
        body = store.read(result_body, long_body)
    return ComparedResult(
        key=id if by == "id" else url if by == "url" else _cell(columns, by),
        id=id,
        url=url,
        goal=goal,
        state=state,
        category=None if has_result else _category(state, outcome),
        verdict=verdict if has_result else None,
        text=without_marker(body, marker),
        named=schema_fields(options),
    )


def _category(state: str, outcome: str | None) -> str | None:
    if state == JobState.CANCELLED:
        return FailureCategory.RUN_CANCELLED.value
    return outcome if state in FINAL_STATES and outcome != _SUCCEEDED else None


def _cell(columns: str | None, name: str) -> str:
    cell = json.loads(columns or "{}").get(name)
    return cell if isinstance(cell, str) else "" if cell is None else json.dumps(cell)
