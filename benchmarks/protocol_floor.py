"""Measures the bare protocol on the same tables with the same guarantees: the runner's floor.

python -m benchmarks.protocol_floor [--jobs 20000] [--in-flight 1000] [--postgresql]

A prototype claims, records, watches and applies, and does nothing else: it knows no failures, no
budget, no hosts and no API. It keeps what makes a run safe: the intent on disk before the create,
one transaction for each step, the owner as a fence, results as the API sent them. There are three:
with SQLAlchemy Core, with the module sqlite3, and with psycopg and arrays.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, create_engine, event, insert, select, update

from batchrunner.model import JobFile, JobSpec, JobState, Owner, RunStatus, Settings
from batchrunner.store.batches import load_jobs
from batchrunner.store.column_types import stored_instant
from batchrunner.store.job_rows import chunks
from batchrunner.store.leases import register_owner
from batchrunner.store.schema import SubmissionState, attempts, jobs, owners, results, submissions
from batchrunner.store.store import Store
from benchmarks.chaos import postgresql

#: Runs in a create request.
TOGETHER = 100
#: What each run brings.
BODY = '{"name":"Lamp with a shade","price":"12.50","currency":"EUR","in_stock":true}'
_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_ME = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True, kw_only=True)
class Floor:
    """What one prototype took for its jobs."""

    name: str
    jobs: int
    cpu_seconds: float  #: of this process; a server's own is not in it
    wall_seconds: float
    statements: int

    @property
    def cpu_per_job(self) -> float:
        """Milliseconds."""
        return self.cpu_seconds / self.jobs * 1000

    @property
    def statements_per_job(self) -> float:
        """Statements that the database was asked for; a row of `executemany` is one."""
        return self.statements / self.jobs


class Prototype(Protocol):
    """The four steps; each of them is one transaction."""

    statements: int

    def claim(self, most: int) -> list[tuple[int, list[int]]]:
        """Claim jobs; return submissions with the ids of their attempts."""

    def record(self, submission: int, runs: Sequence[tuple[int, str]]) -> None:
        """Write the ids of a submission's runs by attempt."""

    def watched(self) -> list[tuple[int, int]]:
        """Return the open attempts that have a run, and their jobs."""

    def apply(self, ended: Sequence[tuple[int, int]]) -> None:
        """Write results, close the attempts and finish their jobs."""

    def close(self) -> None:
        """Close the connection."""


def measure(name: str, prototype: Prototype, count: int, in_flight: int) -> Floor:
    """Run *count* jobs, as many of them at once as may be in flight."""
    run_ids = [str(uuid.uuid4()) for _ in range(count)]
    statements, cpu, wall = prototype.statements, time.process_time(), time.perf_counter()
    while claimed := prototype.claim(in_flight):
        for submission, opened in claimed:
            prototype.record(submission, [(id, run_ids.pop()) for id in opened])
        prototype.apply(prototype.watched())
    assert not run_ids
    return Floor(
        name=name,
        jobs=count,
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
        statements=prototype.statements - statements,
    )


def loaded(address: str, count: int) -> int:
    """Make a database with a batch of that many jobs; return the batch's id."""
    specs = [
        JobSpec(key=f"k{n}", url=f"https://shop.example/p/{n}", goal="Read the name and the price")
        for n in range(count)
    ]
    store = Store.open(address)
    try:
        file = JobFile(name=f"floor-{uuid.uuid4()}", settings=Settings(), specs=specs)
        store.write(register_owner, Owner(id=_ME, machine="m", pid=1, process_started_at=""), _NOW)
        return store.write(load_jobs, file, _NOW).batch.id
    finally:
        store.close()


def core_floor(folder: Path, count: int, in_flight: int) -> Floor:
    """Measure the prototype with SQLAlchemy Core on SQLite."""
    prototype = CorePrototype(folder / "core.db", loaded(str(folder / "core.db"), count))
    return _measured("SQLAlchemy Core", prototype, count, in_flight)


def sqlite3_floor(folder: Path, count: int, in_flight: int) -> Floor:
    """Measure the prototype with the module sqlite3."""
    prototype = Sqlite3Prototype(folder / "raw.db", loaded(str(folder / "raw.db"), count))
    return _measured("sqlite3", prototype, count, in_flight)


def psycopg_floor(address: str, count: int, in_flight: int) -> Floor:
    """Measure the prototype with psycopg on the server at *address*."""
    prototype = PsycopgPrototype(address, loaded(address, count))
    return _measured("psycopg", prototype, count, in_flight)


def _measured(name: str, prototype: Prototype, count: int, in_flight: int) -> Floor:
    try:
        return measure(name, prototype, count, in_flight)
    finally:
        prototype.close()


def _markers(token: str, count: int) -> list[str]:
    return [f"[ref br-{token}-{index}]" for index in range(1, count + 1)]


# ---- SQLAlchemy Core ----

_OWNER = select(owners.c.ended_at).where(owners.c.id == bindparam("me"))
_PAGE = (
    select(jobs.c.id, jobs.c.attempt, jobs.c.url, jobs.c.goal, jobs.c.options)
    .where(jobs.c.id > bindparam("last"), jobs.c.state == JobState.AVAILABLE)
    .order_by(jobs.c.id)
    .limit(bindparam("most"))
)
_INTEND = insert(submissions).returning(submissions.c.id)
_OPEN = insert(attempts).returning(attempts.c.id)
_START = update(jobs).where(jobs.c.id == bindparam("job")).values(state=JobState.RUNNING, attempt=1)
_mine = (attempts.c.owner_id == bindparam("me"), attempts.c.closed_at.is_(None))
_RECORD = (
    update(attempts)
    .where(attempts.c.id == bindparam("attempt"), *_mine)
    .values(run_id=bindparam("run"), run_status=RunStatus.PENDING)
)
_CREATED = (
    update(submissions)
    .where(submissions.c.id == bindparam("submission"))
    .values(state=SubmissionState.CREATED, answered_at=bindparam("now"))
)
_WATCHED = (
    select(attempts.c.id, attempts.c.job_id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .add_columns(attempts.c.run_id, jobs.c.url, jobs.c.goal, jobs.c.options, jobs.c.expect)
    .where(attempts.c.batch_id == bindparam("batch"), *_mine, attempts.c.run_id.is_not(None))
)
_RESULT = insert(results)
_CLOSE = (
    update(attempts)
    .where(attempts.c.id == bindparam("attempt"), *_mine)
    .values(
        closed_at=bindparam("now"),
        outcome="succeeded",
        counted=True,
        verdict="good",
        run_status=RunStatus.COMPLETED,
        steps=3,
    )
)
_FINISH = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(state=JobState.SUCCEEDED, finished_at=bindparam("now"))
)


class CorePrototype:
    """The protocol with SQLAlchemy Core, row by row."""

    def __init__(self, path: Path, batch_id: int) -> None:
        self._batch_id, self._last, self.statements = batch_id, 0, 0
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", lambda connection, _: _prepare(connection))
        event.listen(self._engine, "begin", lambda tx: tx.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(self._engine, "before_cursor_execute", self._count)

    def _count(self, _tx: Connection, _cursor: Any, _text: str, rows: Any, *_: Any) -> None:
        self.statements += len(rows) if isinstance(rows, list) else 1

    def claim(self, most: int) -> list[tuple[int, list[int]]]:
        """Claim jobs."""
        with self._engine.begin() as tx:
            tx.execute(_OWNER, {"me": _ME}).one()
            due = tx.execute(_PAGE, {"last": self._last, "most": most}).all()
            claimed = [self._intend(tx, group) for group in chunks(due, TOGETHER)]
            if due:
                tx.execute(_START, [{"job": row.id} for row in due])
                self._last = due[-1].id
        return claimed

    def _intend(self, tx: Connection, group: Sequence[Any]) -> tuple[int, list[int]]:
        token = uuid.uuid4().hex
        of_batch = {"batch_id": self._batch_id, "owner_id": _ME}
        intended = {**of_batch, "marker_token": token, "marked": True, "intended_at": _NOW}
        submission = tx.execute(
            _INTEND, {**intended, "state": SubmissionState.INTENDED}
        ).scalar_one()
        of_it = {**of_batch, "submission_id": submission, "opened_at": _NOW, "reserved_steps": 500}
        rows = [
            {**of_it, "job_id": row.id, "number": 1, "batch_index": index, "marker": marker}
            for index, (row, marker) in enumerate(
                zip(group, _markers(token, len(group)), strict=True), 1
            )
        ]
        return submission, list(tx.execute(_OPEN, rows).scalars())

    def record(self, submission: int, runs: Sequence[tuple[int, str]]) -> None:
        """Write run ids."""
        with self._engine.begin() as tx:
            tx.execute(_RECORD, [{"attempt": id, "run": run, "me": _ME} for id, run in runs])
            tx.execute(_CREATED, {"submission": submission, "now": _NOW})

    def watched(self) -> list[tuple[int, int]]:
        """Read the open attempts."""
        with self._engine.begin() as tx:
            rows = tx.execute(_WATCHED, {"batch": self._batch_id, "me": _ME})
            return [(row.id, row.job_id) for row in rows]

    def apply(self, ended: Sequence[tuple[int, int]]) -> None:
        """Write results."""
        with self._engine.begin() as tx:
            tx.execute(_RESULT, [{"attempt_id": id, "body": BODY} for id, _ in ended])
            tx.execute(_CLOSE, [{"attempt": id, "now": _NOW, "me": _ME} for id, _ in ended])
            tx.execute(_FINISH, [{"job": job, "now": _NOW} for _, job in ended])

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()


# ---- sqlite3 ----


def _prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


_READ_OWNER = "SELECT ended_at FROM owners WHERE id = ?"
_READ_PAGE = (
    "SELECT id, attempt, url, goal, options FROM jobs"
    " WHERE id > ? AND state = 'available' ORDER BY id LIMIT ?"
)
_ADD_SUBMISSION = (
    "INSERT INTO submissions (batch_id, owner_id, marker_token, marked, state, intended_at)"
    " VALUES (?, ?, ?, 1, 'intended', ?)"
)
_ADD_ATTEMPT = (
    "INSERT INTO attempts (job_id, number, batch_id, owner_id, submission_id, batch_index,"
    " opened_at, marker, reserved_steps) VALUES (?, 1, ?, ?, ?, ?, ?, ?, 500)"
)
_NEW_ATTEMPTS = "SELECT id FROM attempts WHERE submission_id = ? ORDER BY batch_index"
_START_JOB = "UPDATE jobs SET state = 'running', attempt = 1 WHERE id = ?"
_ADD_RUN = (
    "UPDATE attempts SET run_id = ?, run_status = 'PENDING'"
    " WHERE id = ? AND owner_id = ? AND closed_at IS NULL"
)
_ANSWERED = "UPDATE submissions SET state = 'created', answered_at = ? WHERE id = ?"
_READ_WATCHED = (
    "SELECT a.id, a.job_id, a.run_id, j.url, j.goal, j.options, j.expect"
    " FROM attempts a JOIN jobs j ON j.id = a.job_id"
    " WHERE a.batch_id = ? AND a.owner_id = ? AND a.closed_at IS NULL AND a.run_id IS NOT NULL"
)
_ADD_RESULT = "INSERT INTO results (attempt_id, body) VALUES (?, ?)"
_CLOSE_ATTEMPT = (
    "UPDATE attempts SET closed_at = ?, outcome = 'succeeded', counted = 1, verdict = 'good',"
    " run_status = 'COMPLETED', steps = 3 WHERE id = ? AND owner_id = ? AND closed_at IS NULL"
)
_FINISH_JOB = "UPDATE jobs SET state = 'succeeded', finished_at = ? WHERE id = ?"


class Sqlite3Prototype:
    """The protocol with the module sqlite3, row by row."""

    def __init__(self, path: Path, batch_id: int) -> None:
        self._batch_id, self._last, self.statements = batch_id, 0, 0
        self._now = stored_instant(_NOW)
        self._connection = sqlite3.connect(path)
        _prepare(self._connection)

    def _transaction(self, step: Callable[[], Any]) -> Any:
        self._connection.execute("BEGIN IMMEDIATE")
        done = step()
        self._connection.execute("COMMIT")
        return done

    def _one(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self.statements += 1
        return self._connection.execute(statement, values)

    def _many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        self.statements += len(rows)
        self._connection.executemany(statement, rows)

    def claim(self, most: int) -> list[tuple[int, list[int]]]:
        """Claim jobs."""
        found: list[tuple[int, list[int]]] = self._transaction(lambda: self._claim(most))
        return found

    def _claim(self, most: int) -> list[tuple[int, list[int]]]:
        self._one(_READ_OWNER, [_ME]).fetchone()
        due = self._one(_READ_PAGE, [self._last, most]).fetchall()
        claimed = [self._intend(group) for group in chunks(due, TOGETHER)]
        self._many(_START_JOB, [(row[0],) for row in due])
        self._last = due[-1][0] if due else self._last
        return claimed

    def _intend(self, group: Sequence[Any]) -> tuple[int, list[int]]:
        token = uuid.uuid4().hex
        added = self._one(_ADD_SUBMISSION, [self._batch_id, _ME, token, self._now]).lastrowid
        assert added is not None
        marked = zip(group, _markers(token, len(group)), strict=True)
        rows = [
            (row[0], self._batch_id, _ME, added, index, self._now, marker)
            for index, (row, marker) in enumerate(marked, 1)
        ]
        self._many(_ADD_ATTEMPT, rows)
        return added, [row[0] for row in self._one(_NEW_ATTEMPTS, [added])]

    def record(self, submission: int, runs: Sequence[tuple[int, str]]) -> None:
        """Write run ids."""
        self._transaction(lambda: self._record(submission, runs))

    def _record(self, submission: int, runs: Sequence[tuple[int, str]]) -> None:
        self._many(_ADD_RUN, [(run, id, _ME) for id, run in runs])
        self._one(_ANSWERED, [self._now, submission])

    def watched(self) -> list[tuple[int, int]]:
        """Read the open attempts."""
        return [(row[0], row[1]) for row in self._one(_READ_WATCHED, [self._batch_id, _ME])]

    def apply(self, ended: Sequence[tuple[int, int]]) -> None:
        """Write results."""
        self._transaction(lambda: self._apply(ended))

    def _apply(self, ended: Sequence[tuple[int, int]]) -> None:
        self._many(_ADD_RESULT, [(id, BODY) for id, _ in ended])
        self._many(_CLOSE_ATTEMPT, [(self._now, id, _ME) for id, _ in ended])
        self._many(_FINISH_JOB, [(self._now, job) for _, job in ended])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


# ---- psycopg ----

_LOCK_OWNER = "SELECT ended_at FROM owners WHERE id = %s FOR SHARE"
_LOCK_PAGE = (
    "SELECT id, attempt, url, goal, options FROM jobs WHERE id > %s AND batch_id = %s"
    " AND state = 'available' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
)
_ADD_SUBMISSIONS = (
    "INSERT INTO submissions (batch_id, owner_id, marker_token, marked, state, intended_at)"
    " SELECT %s, %s, token, true, 'intended', %s FROM unnest(%s::text[]) token RETURNING id"
)
_ADD_ATTEMPTS = (
    "INSERT INTO attempts (job_id, number, batch_id, owner_id, submission_id, batch_index,"
    " opened_at, marker, reserved_steps) SELECT job, 1, %s, %s, submission, place, %s, marker, 500"
    " FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[])"
    " AS new (job, submission, place, marker) RETURNING id"
)
_START_JOBS = "UPDATE jobs SET state = 'running', attempt = 1 WHERE id = ANY(%s::bigint[])"
_ADD_RUNS = (
    "UPDATE attempts SET run_id = run, run_status = 'PENDING'"
    " FROM unnest(%s::bigint[], %s::text[]) AS new (attempt, run)"
    " WHERE id = attempt AND owner_id = %s AND closed_at IS NULL"
)
_ADD_RESULTS = (
    "INSERT INTO results (attempt_id, body) SELECT * FROM unnest(%s::bigint[], %s::text[])"
)
_CLOSE_ATTEMPTS = (
    "UPDATE attempts SET closed_at = %s, outcome = 'succeeded', counted = true, verdict = 'good',"
    " run_status = 'COMPLETED', steps = new.steps FROM unnest(%s::bigint[], %s::int[])"
    " AS new (attempt, steps) WHERE id = attempt AND owner_id = %s AND closed_at IS NULL"
)
_FINISH_JOBS = "UPDATE jobs SET state = 'succeeded', finished_at = %s WHERE id = ANY(%s::bigint[])"


class PsycopgPrototype:
    """The protocol with psycopg; each statement writes all of its rows, as arrays."""

    def __init__(self, address: str, batch_id: int) -> None:
        import psycopg  # noqa: PLC0415 -- SQLite needs none

        self._batch_id, self._last, self.statements = batch_id, 0, 0
        self._now = stored_instant(_NOW)
        # A pooler allows no prepared statements.
        self._connection = psycopg.connect(address, prepare_threshold=None)

    def _run(self, statement: str, *values: Any) -> Any:
        self.statements += 1
        return self._connection.execute(statement, values)

    def claim(self, most: int) -> list[tuple[int, list[int]]]:
        """Claim jobs."""
        with self._connection.transaction():
            self._run(_LOCK_OWNER, _ME).fetchone()
            due = self._run(_LOCK_PAGE, self._last, self._batch_id, most).fetchall()
            if not due:
                return []
            self._last = due[-1][0]
            return self._intend([row[0] for row in due])

    def _intend(self, job_ids: list[int]) -> list[tuple[int, list[int]]]:
        groups = [*chunks(job_ids, TOGETHER)]
        tokens = [uuid.uuid4().hex for _ in groups]
        added = self._run(_ADD_SUBMISSIONS, self._batch_id, _ME, self._now, tokens)
        ids = [row[0] for row in added]
        rows = [
            (job, submission, index, marker)
            for submission, token, group in zip(ids, tokens, groups, strict=True)
            for index, (job, marker) in enumerate(
                zip(group, _markers(token, len(group)), strict=True), 1
            )
        ]
        columns = [list(column) for column in zip(*rows, strict=True)]
        opened = self._run(_ADD_ATTEMPTS, self._batch_id, _ME, self._now, *columns)
        self._run(_START_JOBS, job_ids)
        each = iter([row[0] for row in opened])
        return [(id, [next(each) for _ in group]) for id, group in zip(ids, groups, strict=True)]

    def record(self, submission: int, runs: Sequence[tuple[int, str]]) -> None:
        """Write run ids."""
        with self._connection.transaction():
            self._run(_ADD_RUNS, [id for id, _ in runs], [run for _, run in runs], _ME)
            self._run(_ANSWERED.replace("?", "%s"), self._now, submission)

    def watched(self) -> list[tuple[int, int]]:
        """Read the open attempts."""
        with self._connection.transaction():
            rows = self._run(_READ_WATCHED.replace("?", "%s"), self._batch_id, _ME)
            return [(row[0], row[1]) for row in rows]

    def apply(self, ended: Sequence[tuple[int, int]]) -> None:
        """Write results."""
        ids = [id for id, _ in ended]
        with self._connection.transaction():
            self._run(_ADD_RESULTS, ids, [BODY] * len(ids))
            self._run(_CLOSE_ATTEMPTS, self._now, ids, [3] * len(ids), _ME)
            self._run(_FINISH_JOBS, self._now, [job for _, job in ended])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def main() -> None:
    """Print the figures of all prototypes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--postgresql", action="store_true", help="psycopg, too, on its own server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), (given.jobs, given.in_flight)
        floors = [core_floor(folder, *size), sqlite3_floor(folder, *size)]
        if given.postgresql:
            with postgresql(folder) as server:
                floors.append(psycopg_floor(server.address, *size))
    print(f"{'':16} {'CPU ms/job':>10} {'jobs/s':>8} {'statements/job':>15}")
    for floor in floors:
        speed = floor.jobs / floor.wall_seconds
        print(f"{floor.name:16} {floor.cpu_per_job:10.3f} {speed:8.0f} ", end="")
        print(f"{floor.statements_per_job:15.3f}")


if __name__ == "__main__":
    main()
