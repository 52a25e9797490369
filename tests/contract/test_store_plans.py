"""The statements of a running batch find their rows through an index, whatever the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.database import Database
from batchrunner.store.reports import work_left
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered, record_runs, unanswered_submissions
from tests.fakes import NOW, begin, claim, start, success


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements that are executed, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *rest: object) -> None:
        many = rest[-1]
        seen.append((statement, values[0] if many else values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def plans(database: Database, work: Callable[[], object]) -> list[str]:
    """Return how SQLite finds the rows of each statement that *work* executes."""
    with statements() as seen:
        work()
    found = []
    with database.read() as tx:
        for statement, values in seen:
            if statement.startswith(("SELECT", "UPDATE", "WITH")):
                plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                found += [row.detail for row in plan]
    return found


def read_whole(steps: list[str]) -> list[str]:
    """Return those steps that read a whole table."""
    scans = [step.split() for step in steps if step.startswith("SCAN")]
    return [name for _, name, *_ in scans if name in metadata.tables]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database.open(str(tmp_path / "ledger.db"))) as opened:
        yield opened


def test_no_statement_of_the_night_reads_a_whole_table(database: Database) -> None:
    store = Store(database)
    batch = begin(store, 30, concurrency=5)
    (attempt, *_) = start(store, batch)
    apply_poll(store, "alice", [success(attempt)], [], NOW)

    def night() -> None:
        submissions = claim(store, batch)
        for submission in submissions:
            store.write(mark_unanswered, "alice", submission, NOW, "ReadTimeout")
            store.read(unanswered_submissions, "alice", batch.id)
            store.write(
                record_runs, "alice", submission, {submission.attempts[0].attempt_id: "run-x"}, NOW
            )
        watched = store.read(runs_in_flight, "alice", batch.id)
        store.read(work_left, "alice", batch.id)
        apply_poll(store, "alice", [success(watched[0])], [], NOW)

    steps = plans(database, night)
    assert len(steps) > 20
    assert read_whole(steps) == []


def test_due_jobs_are_found_through_their_index(database: Database) -> None:
    store = Store(database)
    batch = begin(store, 30)
    steps = plans(database, lambda: claim(store, batch))
    assert any("ix_jobs_queue (batch_id=? AND position>? AND position<?)" in s for s in steps)
    assert any("ix_attempts_open (batch_id=?)" in s for s in steps)


def test_watched_attempts_are_found_through_their_index(database: Database) -> None:
    store = Store(database)
    batch = begin(store, 30)
    start(store, batch)
    steps = plans(database, lambda: store.read(runs_in_flight, "alice", batch.id))
    assert any("ix_attempts_open (batch_id=? AND owner_id=?)" in step for step in steps)


def test_standing_counts_through_indexes_only(database: Database) -> None:
    store = Store(database)
    batch = begin(store, 30)
    start(store, batch)
    steps = plans(database, lambda: store.read(work_left, "alice", batch.id))
    assert [step for step in steps if "ix_attempts_open" in step]
    assert [step for step in steps if "ix_jobs_ready" in step]
    assert read_whole(steps) == []
