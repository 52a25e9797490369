"""Statements that write many rows: how many there are, and what they write."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select

from batchrunner.model import JobState, Remark, RunError
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.database import Database, StoreError
from batchrunner.store.schema import attempts, jobs, owners
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs
from batchrunner.store.value_lists import is_one_of
from tests.fakes import NOW, after, begin, claim, enlist, failure, retry, run_ids, start, success

ODD = Remark(code="odd\0", message="it \0 said")
#: Jobs in flight, in submissions of 100.
FULL = 500


@pytest.fixture
def statements(database: Database) -> list[str]:
    """Give the statements that the database gets; one for each row of `executemany`."""
    sent: list[str] = []

    def note(_tx: Any, _cursor: Any, text: str, rows: Any, _context: Any, many: bool) -> None:
        sent.extend([text] * (len(rows) if many and isinstance(rows, list) else 1))

    event.listen(database._engine, "before_cursor_execute", note)
    return sent


def test_full_groups_take_a_tenth_of_a_statement_per_job(
    store: Store, statements: list[str], database: Database
) -> None:
    batch = begin(store, FULL, concurrency=FULL)
    statements.clear()
    held = start(store, batch)
    assert len(apply_poll(store, "alice", [success(each) for each in held], [], NOW)) == FULL
    in_a_file = database._engine.dialect.name == "sqlite"
    # A file has no round trips: there, rows are inserted, recorded and closed one by one.
    assert len(statements) / FULL <= (4.1 if in_a_file else 0.1)


def test_one_poll_writes_plain_successes_beside_all_others(store: Store) -> None:
    batch = begin(store, 5, concurrency=5)
    plain, failed, waiting, remarked, erring = start(store, batch)
    said = success(remarked)
    said = replace(said, transition=replace(said.transition, remark=ODD))
    decisions = [
        success(plain, '{"a":1}', steps=3, started_at=after(1), finished_at=after(2)),
        failure(failed),
        retry(waiting, after(60)),
        said,
        success(erring, "{}", error=RunError(message="beside")),
    ]
    apply_poll(store, "alice", decisions, [], after(5))
    rows = store.read(lambda tx: tx.execute(select(attempts).order_by(attempts.c.id)).all())
    assert [row.outcome for row in rows[:1] + rows[3:]] == ["succeeded"] * 3
    assert (rows[0].steps, rows[0].run_started_at, rows[0].run_finished_at) == (
        3,
        after(1),
        after(2),
    )
    assert (rows[0].counted, rows[0].message, rows[0].closed_at) == (True, None, after(5))
    assert rows[2].retry_at == after(60)
    assert (rows[3].code, rows[3].message) == ("odd\ufffd", "it \ufffd said")
    assert "beside" in rows[4].run_error
    found = store.read(lambda tx: tx.execute(select(jobs).order_by(jobs.c.id)).all())
    assert [row.state for row in found] == [
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.AVAILABLE,
        JobState.SUCCEEDED,
        JobState.SUCCEEDED,
    ]
    assert [row.failures for row in found] == [0, 1, 1, 0, 0]
    assert found[2].available_at == after(60)


def test_run_ids_are_recorded_for_open_attempts_of_the_owner_alone(store: Store) -> None:
    batch = begin(store, 3, concurrency=3)
    enlist(store, "bob")
    (submission,) = claim(store, batch)
    ids = run_ids(submission)
    assert store.write(record_runs, "bob", submission, ids, NOW) == frozenset(ids)
    assert store.read(runs_in_flight, "bob", batch.id) == []
    assert store.write(record_runs, "alice", submission, ids, NOW) == frozenset()
    assert len(store.read(runs_in_flight, "alice", batch.id)) == 3


def test_a_condition_on_many_values_takes_every_text(store: Store) -> None:
    odd = ["it's", 'say "hi"', "back\\slash", "{a,b}", "ü€", "NULL", ""]
    enlist(store, *odd, "another")
    chosen = select(owners.c.id).where(is_one_of(owners.c.id, "ids"))
    found = store.read(lambda tx: set(tx.execute(chosen, {"ids": odd}).scalars()))
    assert found == set(odd)
    assert store.read(lambda tx: tx.execute(chosen, {"ids": []}).all()) == []


def test_an_id_that_is_too_long_for_its_column_is_never_cut(store: Store) -> None:
    batch = begin(store, 1)
    (submission,) = claim(store, batch)
    (attempt,) = submission.attempts
    long = "r" * 300
    with suppress(StoreError):
        store.write(record_runs, "alice", submission, {attempt.attempt_id: long}, NOW)
    assert {each.run_id for each in store.read(runs_in_flight, "alice", batch.id)} <= {long}
