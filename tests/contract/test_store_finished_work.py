"""What is read of a running batch grows with the answer, not with the jobs that are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Table, event

from batchrunner.model import Batch, Budget
from batchrunner.store.attempts import apply_poll
from batchrunner.store.claims import budget_status, claim_jobs
from batchrunner.store.count_reads import read_counts
from batchrunner.store.counters import recount
from batchrunner.store.dialect import has_server
from batchrunner.store.failure_reads import advice_counts, failed_attempts, suspect_results
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.schema import attempts, jobs, submissions
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, failure, start, success, suspect

#: What is read, by its name.
READS: dict[str, Callable[[Connection, Batch], object]] = {
    "counts": lambda tx, batch: batch_counts(tx, batch.id),
    "counts of a file": lambda tx, batch: read_counts(tx, batch.id),
    "work left": lambda tx, batch: work_left(tx, "alice", batch.id),
    "budget": lambda tx, batch: budget_status(tx, batch.id, NOW),
    "failures": lambda tx, batch: failed_attempts(tx, batch.id, final=True, most=9),
    "advice": lambda tx, batch: advice_counts(tx, batch.id, most=9),
    "suspects": lambda tx, batch: suspect_results(tx, batch.id),
    "claim": lambda tx, batch: claim_jobs(tx, "alice", batch.id, 4, NOW),
}
#: Tables that grow with a batch.
LARGE = {"jobs", "attempts", "submissions"}
#: Rows of jobs and attempts that one statement may read.
MAX_ROWS = 400


def working(store: Store) -> Batch:
    """Begin a batch with jobs in each state."""
    batch = begin(store, 60, concurrency=20, budget=Budget(steps=90_000))
    (one, other, third, *_) = start(store, batch)
    apply_poll(store, "alice", [success(one, steps=5), failure(other), suspect(third)], [], NOW)
    return batch


def add_finished(tx: Connection, batch: Batch, count: int) -> None:
    """Add jobs that have succeeded, as the first one has."""
    _copy(tx, jobs, "state = 'succeeded' AND position = 1", count, key="'k' || n", position="n")
    _copy(tx, submissions, "id = (SELECT min(id) FROM submissions)", count, marker_token="'t' || n")
    of = {"job_id": "n + 1000", "submission_id": "n + 1000", "run_id": "'r' || n"}
    _copy(tx, attempts, "outcome = 'succeeded' AND verdict IS NULL", count, **of)
    if has_server(tx):  # which does it itself after a while
        tx.exec_driver_sql("ANALYZE")
    assert recount(tx, batch.id)


def _copy(tx: Connection, table: Table, which: str, count: int, **other: str) -> None:
    """Copy the row that a condition selects so many times, with other values for some columns."""
    numbers = (
        f"SELECT n FROM generate_series(1, {count}) AS g(n)"
        if has_server(tx)
        else "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g"
        f" WHERE n < {count}) SELECT n FROM g"
    )
    names = [column.name for column in table.columns]
    values = ", ".join({"id": "n + 1000", **other}.get(name, name) for name in names)
    tx.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {values} FROM"
        f" (SELECT * FROM {table.name} WHERE {which} LIMIT 1) AS one, ({numbers}) AS numbers"
    )


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are executed, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *rest: object) -> None:
        seen.append((statement, values[0] if rest[-1] else values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def rows_read(plan: dict[str, Any]) -> list[tuple[int, str]]:
    """Return how many rows of large tables each step of a plan on a server has read."""
    found = [each for below in plan.get("Plans", ()) for each in rows_read(below)]
    if plan.get("Relation Name") in LARGE:
        removed = plan.get("Rows Removed by Filter", 0) + plan.get(
            "Rows Removed by Index Recheck", 0
        )
        rows = int((plan["Actual Rows"] + removed) * plan["Actual Loops"])
        found.append((rows, f"{plan['Node Type']} of {plan['Relation Name']}"))
    return found


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_no_statement_reads_the_finished_jobs_on_a_server(store: Store) -> None:
    batch = working(store)
    store.write(add_finished, batch, 4000)
    far = []
    for name, read in READS.items():
        with store._database.write() as tx:
            with statements() as seen:
                read(tx, batch)
            for statement, values in seen:
                if statement.split()[0] in ("SELECT", "WITH"):
                    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
                    (found,) = tx.exec_driver_sql(explain, values).scalar_one()
                    far += [
                        (name, *each) for each in rows_read(found["Plan"]) if each[0] > MAX_ROWS
                    ]
            tx.rollback()
    assert far == []


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_no_read_takes_longer_for_the_finished_jobs_of_a_file(store: Store) -> None:
    batch = working(store)
    store.write(add_finished, batch, 500)
    few = {name: steps_of(store, read, batch) for name, read in READS.items()}
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM attempts WHERE id > 1000"))
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM submissions WHERE id > 1000"))
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM jobs WHERE id > 1000"))
    store.write(add_finished, batch, 4000)
    many = {name: steps_of(store, read, batch) for name, read in READS.items()}
    assert [(n, few[n], many[n]) for n in READS if many[n] > few[n] * 1.3 + 5] == []


def steps_of(store: Store, read: Callable[[Connection, Batch], object], batch: Batch) -> int:
    """Return how many hundreds of steps SQLite's machine needs."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with store._database.write() as tx:
        connection: Any = tx.connection.driver_connection
        connection.set_progress_handler(count, 100)
        read(tx, batch)
        connection.set_progress_handler(None, 0)
        tx.rollback()
    return steps
