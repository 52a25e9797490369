"""Finishes the jobs of a batch without running them: each gets a run, an attempt and a result."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from batchrunner.model import FailureCategory, JobState
from batchrunner.store.schema import (
    SubmissionState,
    attempts,
    jobs,
    owners,
    results,
    submissions,
)
from batchrunner.store.store import Store

#: Jobs that share a submission, and are written in one transaction.
TOGETHER = 100
_IN_ONE_TRANSACTION = 5_000


class Job(NamedTuple):
    """A job to be finished."""

    id: int
    position: int
    key: str


#: Returns the JSON text of a job's result; None: the job fails.
ResultOf = Callable[[Job], str | None]


def finish_jobs(store: Store, batch_id: int, result_of: ResultOf, now: datetime) -> int:
    """Finish all available jobs of a batch; return how many there were."""
    owner = str(uuid.uuid4())
    store.write(_register, owner, now)
    found = store.read(_available, batch_id)
    rest = iter(found)
    while some := list(islice(rest, _IN_ONE_TRANSACTION)):
        store.write(_finish, batch_id, owner, [(job, result_of(job)) for job in some], now)
    return len(found)


def _register(tx: Connection, owner: str, now: datetime) -> None:
    tx.execute(
        insert(owners).values(
            id=owner,
            machine="stand-in",
            pid=1,
            process_started_at="0",
            started_at=now,
            lease_until=now,
            ended_at=now,
        )
    )


def _available(tx: Connection, batch_id: int) -> list[Job]:
    query = (
        select(jobs.c.id, jobs.c.position, jobs.c.key)
        .where(jobs.c.batch_id == batch_id, jobs.c.state == JobState.AVAILABLE)
        .order_by(jobs.c.position)
    )
    return [Job(*row) for row in tx.execute(query)]


def _finish(
    tx: Connection,
    batch_id: int,
    owner: str,
    finished: Sequence[tuple[Job, str | None]],
    now: datetime,
) -> None:
    rows: list[dict[str, Any]] = []
    for some in _chunks(finished):
        token = uuid.uuid4().hex[:16]
        submission = tx.execute(
            insert(submissions).values(
                batch_id=batch_id,
                owner_id=owner,
                marker_token=token,
                marked=True,
                state=SubmissionState.CREATED,
                intended_at=now,
                answered_at=now,
            )
        ).inserted_primary_key
        assert submission is not None
        rows += [
            _attempt(batch_id, owner, submission[0], index, job, body, now)
            for index, (job, body) in enumerate(some, 1)
        ]
    tx.execute(insert(attempts), rows)
    _add_results(tx, finished)
    _close(tx, finished, now)


def _close(tx: Connection, finished: Sequence[tuple[Job, str | None]], now: datetime) -> None:
    tx.execute(
        update(jobs)
        .where(jobs.c.id == bindparam("job"))
        .values(state=bindparam("to"), attempt=1, failures=bindparam("failed"), finished_at=now),
        [
            {
                "job": job.id,
                "to": JobState.FAILED if body is None else JobState.SUCCEEDED,
                "failed": int(body is None),
            }
            for job, body in finished
        ],
    )


def _chunks(finished: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(finished), TOGETHER):
        yield finished[start : start + TOGETHER]


def _attempt(
    batch_id: int,
    owner: str,
    submission: int,
    index: int,
    job: Job,
    body: str | None,
    now: datetime,
) -> dict[str, Any]:
    failed = body is None
    return {
        "job_id": job.id,
        "number": 1,
        "batch_id": batch_id,
        "owner_id": owner,
        "submission_id": submission,
        "batch_index": index,
        "opened_at": now,
        "closed_at": now,
        "outcome": FailureCategory.AGENT_FAILURE if failed else "succeeded",
        "counted": True,
        "message": "the page has no price" if failed else None,
        "run_id": f"run-{job.id}",
        "run_status": "FAILED" if failed else "COMPLETED",
        "run_started_at": now - timedelta(seconds=40),
        "run_finished_at": now,
        "steps": 7,
    }


def _add_results(tx: Connection, finished: Iterable[tuple[Job, str | None]]) -> None:
    bodies = {job.id: body for job, body in finished if body is not None}
    if not bodies:
        return
    ids = list(bodies)
    known: dict[int, int] = {}
    for start in range(0, len(ids), 500):
        query = select(attempts.c.job_id, attempts.c.id).where(
            attempts.c.job_id.in_(ids[start : start + 500])
        )
        known |= {row.job_id: row.id for row in tx.execute(query)}
    tx.execute(
        insert(results),
        [{"attempt_id": known[job_id], "body": body} for job_id, body in bodies.items()],
    )
