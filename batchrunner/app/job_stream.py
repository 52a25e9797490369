"""The jobs of a batch as they become final, while a runner works in its own thread."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import anyio
from anyio.to_thread import run_sync

from batchrunner.app.audit_stop import stopped_by_audit
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.final_jobs import FinalJobs
from batchrunner.app.job_results import JobResult, job_results
from batchrunner.app.run_batch import BatchRunEnded, stopped
from batchrunner.app.runner_thread import RunnerThread
from batchrunner.app.stop_control import StopControl
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FinishedJob
from batchrunner.runner.runner import ExitReason
from batchrunner.store.reports import finished_jobs_among
from batchrunner.store.revisions import delivered_instead
from batchrunner.store.shown_jobs import with_result
from batchrunner.store.store import Store

T = TypeVar("T")

#: Runs a batch: prepares it, reports that to the observer, works, and returns how that ended.
RunBatch = Callable[[FinalJobs, StopControl], BatchRunEnded]

#: The blocks that begin a run.
_WITH = "with batch.run(…) as jobs: for job in jobs: …"
_ASYNC_WITH = "async with batch.arun(…) as jobs: async for job in jobs: …"


class _Stream:
    """What both streams of jobs share: the runner's thread, and the jobs that it made final."""

    def __init__(self, store: Store, batch: Batch, run: RunBatch, final_jobs: FinalJobs) -> None:
        self._store = store
        self._batch = batch
        self._run = run
        self._final_jobs = final_jobs
        self._page: deque[FinishedJob] = deque()
        self._started = False
        self._process = os.getpid()  # the one that has the runner
        self._thread = RunnerThread(self._work)

    @property
    def ended(self) -> BatchRunEnded | None:
        """Why the runner returned, and how the batch stood then; None while it works."""
        if not self._thread.has_ended or self._thread.error is not None:
            return None
        return self._thread.result()

    def drain(self) -> None:
        """Submit nothing more; the stream ends when the runs in flight have ended."""
        self._thread.control.drain()

    def _work(self, control: StopControl) -> BatchRunEnded:
        try:
            with errors_for_people():
                return self._run(self._final_jobs, control)
        finally:
            self._final_jobs.ended()

    def _start(self) -> None:
        self._check_process()
        if self._started:
            raise UsageError(
                f"this run of batch {self._batch.name!r} was begun before",
                next="call run() again: it goes on where the batch is",
            )
        self._started = True
        self._thread.start()

    def _check_started(self, block: str) -> None:
        """Refuse to wait for jobs of a run that was not begun: the wait would not end."""
        if not self._started:
            raise UsageError(
                f"this run of batch {self._batch.name!r} has not begun: nothing would come",
                next=f"use: {block}",
            )

    def _check_process(self) -> None:
        """Refuse a child of os.fork(): it has no runner, and would wait for jobs without end."""
        if self._process != os.getpid():
            raise UsageError(
                f"the runner of batch {self._batch.name!r} is in another process",
                next="read the jobs in the process that began the run, or open the database anew",
            )

    def _read_page(self) -> None:
        job_ids = self._final_jobs.take()
        try:
            with errors_for_people():
                instead = self._store.read(delivered_instead, job_ids)
                shown = [instead.get(id, id) for id in job_ids]
                jobs = self._store.read(finished_jobs_among, self._batch.id, shown)
        except BaseException:
            self._final_jobs.put_back(job_ids)
            raise
        self._page.extend(jobs)

    def _take(self) -> JobResult:
        """Return the first job of the page; a long result is read now, and alone."""
        job = self._page.popleft()
        try:
            with errors_for_people():
                (result,) = job_results([with_result(self._store, job)])
        except BaseException:
            self._page.appendleft(job)
            raise
        return result

    def _check_result(self) -> None:
        """Raise what ended the runner, or why it cannot go on."""
        ended = self._thread.result()
        if ended.reason is not ExitReason.STOPPED:
            return
        if ended.failure is not None:
            raise stopped(ended.failure, ended.api_url)
        if ended.audit_stop is not None:
            raise stopped_by_audit(ended.audit_stop, self._batch.name)


class JobStream(_Stream):
    """
    A context that runs a batch, and an iterator of its jobs as they become final.

    Leaving the context early, also by an exception, is like one Ctrl-C: nothing more is submitted,
    and the runs in flight are waited for. An interrupt during that wait leaves at once; the next
    run of the batch adopts the runs in flight.
    """

    def __enter__(self) -> Self:
        """
        Start the runner.

        Raises:
            BatchrunnerError: The batch cannot be run.
        """
        self._start()
        try:
            if not self._final_jobs.wait_until_prepared():
                self._thread.wait()
                self._check_result()
        except BaseException:
            self._thread.control.leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """
        Wait for runs in flight; nothing more is submitted.

        Raises:
            BatchrunnerError: The runner could not go on.
        """
        if self._process != os.getpid():
            return  # a child of os.fork() has no runner to wait for
        self._thread.stop_and_wait()
        if error is None:
            self._check_result()

    def __iter__(self) -> Iterator[JobResult]:
        """
        Return the stream itself.

        Raises:
            UsageError: The context was not entered.
        """
        self._check_started(_WITH)
        return self

    def __next__(self) -> JobResult:
        """
        Return the next job that has become final.

        Raises:
            BatchrunnerError: The context was not entered, or the runner could not go on.
        """
        self._check_process()
        self._check_started(_WITH)
        while not self._page:
            if not self._final_jobs.wait():
                self._thread.wait()
                self._check_result()
                raise StopIteration
            self._read_page()
        return self._take()

    def wait(self) -> BatchRunEnded:
        """
        Wait for the end of the run and return why it ended.

        Raises:
            BatchrunnerError: The context was not entered, or the runner could not go on.
        """
        self._check_process()
        self._check_started(_WITH)
        self._thread.wait()
        self._check_result()
        return self._thread.result()


class AsyncJobStream(_Stream):
    """
    The same for asyncio and trio; nothing in it blocks the event loop.

    Leaving the context early drains, as in `JobStream`. A cancellation during the wait for runs in
    flight leaves at once.
    """

    async def __aenter__(self) -> Self:
        """
        Start the runner.

        Raises:
            BatchrunnerError: The batch cannot be run.
        """
        self._start()
        try:
            if not await _wait_in_thread(self._final_jobs.wait_until_prepared):
                await _wait_in_thread(self._thread.wait)
                self._check_result()
        except BaseException:
            self._thread.control.leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """
        Wait for runs in flight; nothing more is submitted.

        Raises:
            BatchrunnerError: The runner could not go on.
        """
        if self._process != os.getpid():
            return  # a child of os.fork() has no runner to wait for
        self._thread.control.drain()
        try:
            await _wait_in_thread(self._thread.wait)
        except BaseException:
            self._thread.control.leave()
            with anyio.CancelScope(shield=True):
                await _wait_in_thread(self._thread.wait)
            raise
        if error is None:
            self._check_result()

    def __aiter__(self) -> AsyncIterator[JobResult]:
        """
        Return the stream itself.

        Raises:
            UsageError: The context was not entered.
        """
        self._check_started(_ASYNC_WITH)
        return self

    async def __anext__(self) -> JobResult:
        """
        Return the next job that has become final.

        Raises:
            BatchrunnerError: The context was not entered, or the runner could not go on.
        """
        self._check_process()
        self._check_started(_ASYNC_WITH)
        while not self._page:
            if not await _wait_in_thread(self._final_jobs.wait):
                await _wait_in_thread(self._thread.wait)
                if self._page:  # another task read it meanwhile
                    break
                self._check_result()
                raise StopAsyncIteration
            # A cancelled caller waits for the read: it must not fill the page unnoticed later.
            await run_sync(self._read_page)
        if self._page[0].long_result_of is None:
            return self._take()
        return await run_sync(self._take)


async def _wait_in_thread(call: Callable[[], T]) -> T:
    """Run a call that waits; a cancelled caller abandons it."""
    # A limiter of its own: calls that wait long do not take threads from others.
    return await run_sync(call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
