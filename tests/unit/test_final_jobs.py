"""Jobs on their way from the runner's thread to the loop: none is lost, and none comes twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from batchrunner.app.final_jobs import FinalJobs
from batchrunner.app.job_stream import AsyncJobStream, JobStream
from batchrunner.app.run_batch import BatchRunEnded
from batchrunner.app.stop_control import StopControl
from batchrunner.errors import DatabaseError
from batchrunner.model import (
    AttemptDecision,
    BatchCounts,
    Finish,
    FinishedJob,
    Job,
    JobState,
    SubmittedAttempt,
)
from batchrunner.runner.events import AttemptsClosed
from batchrunner.runner.runner import ExitReason
from batchrunner.store.database import StoreError
from batchrunner.store.revisions import delivered_instead


def closed(job_id: int, state: JobState) -> AttemptsClosed:
    job = Job(id=job_id, key=f"job-{job_id}", attempt=1, failures=0)
    attempt = SubmittedAttempt(
        attempt_id=job_id, batch_index=1, job=job, url="http://a.test", goal="Read it"
    )
    decision = AttemptDecision(attempt=attempt, transition=Finish(state=state))
    return AttemptsClosed(decisions=(decision,))


class FinalJobsStore:
    """A store in which all jobs have succeeded; each read does what the test wants first."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before

    def read(self, function: object, *args: Any) -> Any:
        if function is delivered_instead:
            return {}
        self._before()
        _batch_id, job_ids = args
        return [
            FinishedJob(
                position=job_id,
                key=f"job-{job_id}",
                url="http://a.test",
                goal="Read it",
                state=JobState.SUCCEEDED,
                attempts=1,
            )
            for job_id in job_ids
        ]


def stream_of(kind: type[Any], store: FinalJobsStore, *job_ids: int) -> Any:
    """Return a stream whose runner makes these jobs final, and ends."""

    class Batch:
        id, name = 1, "prices"

    def run(final_jobs: FinalJobs, _control: StopControl) -> BatchRunEnded:
        final_jobs.prepared()
        for job_id in job_ids:
            final_jobs.notify(closed(job_id, JobState.SUCCEEDED))
        return BatchRunEnded(reason=ExitReason.FINISHED, counts=BatchCounts(jobs={}, unsettled=0))

    return kind(store, Batch(), run, FinalJobs(None))


def test_a_cancelled_job_is_collected_once_with_or_without_an_event() -> None:
    collected = FinalJobs(None)
    collected.notify(closed(1, JobState.CANCELLED))
    collected.notify(closed(2, JobState.SUCCEEDED))
    collected.add_cancelled({1, 3})
    assert collected.take() == [1, 2, 3]


def test_jobs_that_could_not_be_read_come_with_the_next_read() -> None:
    errors = [StoreError("the database is away", "start it")]

    def fail_once() -> None:
        if errors:
            raise errors.pop()

    with stream_of(JobStream, FinalJobsStore(fail_once), 1, 2) as jobs:
        with pytest.raises(DatabaseError):
            next(jobs)
        assert [job.id for job in jobs] == ["job-1", "job-2"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_read_that_is_cancelled_loses_no_job(backend: str) -> None:
    reading, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reading.set()
        may_go_on.wait(30)

    async def main() -> list[str]:
        received: list[str] = []

        async def receive() -> None:
            received.append((await jobs.__anext__()).id)

        async with stream_of(AsyncJobStream, FinalJobsStore(wait), 1, 2) as jobs:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.to_thread.run_sync(reading.wait, 30)
                tasks.cancel_scope.cancel()
                may_go_on.set()
            return received + [job.id async for job in jobs]

    assert anyio.run(main, backend=backend) == ["job-1", "job-2"]
