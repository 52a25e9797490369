"""What the database itself refuses, whoever writes."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from batchrunner.store.attempts import apply_poll
from batchrunner.store.store import Store
from tests.fakes import NOW, begin, failure, start, success

OPEN = (
    "INSERT INTO attempts"
    " (id, job_id, number, batch_id, owner_id, submission_id, batch_index, opened_at{more})"
    " VALUES (99, {job}, {number}, 1, '{owner}', {submission}, {place}, 'x'{values})"
)
JOB = (
    "INSERT INTO jobs"
    " (id, batch_id, position, key, url, goal, options, output_schema_digest, state,"
    " available_at{more})"
    " VALUES (99, {batch}, 1, '{key}', 'u', 'g', '{{}}', '', '{state}', 'x'{values})"
)
SUBMISSION = (
    "INSERT INTO submissions"
    " (id, batch_id, owner_id, marker_token, marked, state, intended_at, search_at)"
    " VALUES (99, {batch}, '{owner}', '{token}', true, '{state}', 'x', {search_at})"
)


def attempt(more: str = "", values: str = "", **fields: object) -> str:
    given = {"job": 4, "number": 1, "owner": "alice", "submission": 1, "place": 99}
    return OPEN.format(more=more, values=values, **{**given, **fields})


def job(more: str = "", values: str = "", **fields: object) -> str:
    given = {"batch": 1, "key": "new", "state": "available"}
    return JOB.format(more=more, values=values, **{**given, **fields})


def submission(**fields: object) -> str:
    given = {"batch": 1, "owner": "alice", "token": "t", "state": "intended", "search_at": "NULL"}
    return SUBMISSION.format(**{**given, **fields})


CLOSED = ", closed_at, outcome, counted"

#: Job 1 has succeeded, job 2 has failed, job 3 runs, job 4 is available.
IMPOSSIBLE = {
    "two open attempts of one job": attempt(job=3, number=2),
    "two successes of one job": attempt(
        CLOSED + ", run_id", ", 'x', 'succeeded', true, 'r'", job=1, number=2
    ),
    "a failure becomes a second success": (
        "UPDATE attempts SET outcome = 'succeeded', job_id = 1, number = 9 WHERE job_id = 2"
    ),
    "two attempts of one number": attempt(
        CLOSED, ", 'x', 'lost', true", job=1, number=1, submission=1
    ),
    "two attempts in one place": attempt(place=1),
    "one run for two attempts": (
        "UPDATE attempts SET run_id = (SELECT run_id FROM attempts WHERE job_id = 1)"
        " WHERE job_id = 2"
    ),
    "a success without a run": attempt(CLOSED, ", 'x', 'succeeded', true"),
    "the run of a success is forgotten": "UPDATE attempts SET run_id = NULL WHERE job_id = 1",
    "closed without an outcome": attempt(", closed_at, counted", ", 'x', true"),
    "an outcome without being closed": attempt(", outcome", ", 'lost'"),
    "closed, and nobody knows if it counted": attempt(", closed_at, outcome", ", 'x', 'lost'"),
    "counted without being closed": attempt(", counted", ", true"),
    "reopened": "UPDATE attempts SET closed_at = NULL WHERE job_id = 1",
    "an unknown outcome": attempt(CLOSED, ", 'x', 'eaten', true"),
    "an attempt of no job": attempt(job=77),
    "an attempt of no owner": attempt(owner="nobody"),
    "an attempt of no submission": attempt(submission=77),
    "a job with attempts is deleted": "DELETE FROM jobs WHERE id = 1",
    "a batch with jobs is deleted": "DELETE FROM batches WHERE id = 1",
    "an owner with attempts is deleted": "DELETE FROM owners WHERE id = 'alice'",
    "an unknown state of a job": job(state="lost"),
    "a final state without an end": job(state="failed"),
    "an end without a final state": job(", finished_at", ", 'x'"),
    "running again, but finished": "UPDATE jobs SET state = 'running' WHERE id = 1",
    "a final job loses its end": "UPDATE jobs SET finished_at = NULL WHERE id = 2",
    "more failures than attempts": "UPDATE jobs SET failures = attempt + 1 WHERE id = 3",
    "fewer failures than none": "UPDATE jobs SET failures = -1 WHERE id = 3",
    "rides with nobody, not even itself": "UPDATE jobs SET max_batch_size = 0 WHERE id = 3",
    "rides with more than a request takes": "UPDATE jobs SET max_batch_size = 101 WHERE id = 3",
    "one key twice in a batch": job(key="job-0001"),
    "a job of no batch": job(batch=77),
    "a job without a state": "UPDATE jobs SET state = NULL WHERE id = 3",
    "two batches of one name": (
        "INSERT INTO batches (id, name, settings, created_at) VALUES (99, 'prices', '{}', 'x')"
    ),
    "an unknown state of a submission": submission(state="lost"),
    "in doubt, and never searched for": submission(state="unanswered"),
    "searched for, and not in doubt": submission(search_at="'x'"),
    "two submissions of one token": (
        "INSERT INTO submissions (id, batch_id, owner_id, marker_token, marked, state, intended_at)"
        " SELECT 99, batch_id, owner_id, marker_token, marked, state, intended_at FROM submissions"
        " WHERE id = 1"
    ),
    "two results of one attempt": "INSERT INTO results VALUES (1, '{}')",
    "a result of no attempt": "INSERT INTO results VALUES (77, '{}')",
    "a result that is NULL": "UPDATE results SET body = NULL",
}


@pytest.fixture
def lived(store: Store) -> None:
    batch = begin(store, 4, concurrency=3)
    good, bad, _ = start(store, batch)
    apply_poll(store, "alice", [success(good), failure(bad)], [], NOW)


@pytest.mark.usefixtures("lived")
@pytest.mark.parametrize("statement", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_the_database_refuses_what_cannot_be(engine: Engine, statement: str) -> None:
    with engine.connect() as tx:
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("PRAGMA foreign_keys = ON")
        with pytest.raises(IntegrityError):
            tx.execute(text(statement))


@pytest.mark.usefixtures("lived")
@pytest.mark.parametrize(
    "statement",
    [attempt(), attempt(CLOSED, ", 'x', 'lost', true"), job(), submission()],
    ids=["open attempt", "closed attempt", "job", "submission"],
)
def test_the_statements_that_are_refused_are_refused_for_their_fault_only(
    engine: Engine, statement: str
) -> None:
    with engine.begin() as tx:
        tx.execute(text(statement))
