"""A batch in a database: run it, steer it, read it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from batchrunner.app.api_access import (
    SANDBOX,
    ApiAccess,
    ApiAddress,
    access_to,
    api_from_environment,
)
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.export_results import Exported, check_outputs, export_batch
from batchrunner.app.fetch_artifacts import checked_folder
from batchrunner.app.final_jobs import FinalJobs
from batchrunner.app.job_results import JobResult, job_results, result_rows
from batchrunner.app.job_stream import AsyncJobStream, JobStream
from batchrunner.app.load import LoadReport, refuse_sandbox_urls
from batchrunner.app.open_database import open_store
from batchrunner.app.run_batch import BatchRunEnded, RunOptions, prepare_run, work
from batchrunner.app.run_observer import Notice, RunObserver
from batchrunner.app.run_window import run_window
from batchrunner.app.status import BatchStatus, RunnerProcess, batch_status, runner_processes
from batchrunner.app.steering import (
    Paused,
    Resumed,
    Retried,
    categories_of,
    concurrency_of,
    pause_batch,
    resume_batch,
    retry_jobs,
    set_budget,
    set_concurrency,
    unpark_hosts,
)
from batchrunner.app.stop_control import StopControl, StopRequest
from batchrunner.app.webhook_listener import webhook_from_options
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.runner.runner import ExitReason
from batchrunner.store.store import Store


class RunArguments(TypedDict, total=False):
    """How a batch is run; each has an option of the same name in `batchrunner run`."""

    concurrency: int | str | None  #: runs in flight at most, or 'auto'; stays set
    budget: str | None  #: '500 steps', '$20' or 'none'; stays set
    start_at: str | datetime | None  #: submit nothing before
    until: str | datetime | None  #: have nothing in flight any more at that time
    artifacts: str | Path | None  #: folder for what runs captured
    api: ApiAddress | None  #: what `sandbox()` gives; None: the database's
    leave_runs: bool  #: give up runs that are alive on another account
    webhook_listen: str | None
    webhook_url: str | None
    observer: RunObserver | None  #: receives what happens, in the runner's thread


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where a database is, and the API that its batches use; None: as the environment says."""

    address: str
    api_url: str | None = None
    api_key: str | None = None


class BatchHandle:
    """The jobs of one batch, and what may be done with them; any thread may use it."""

    def __init__(
        self,
        store: Store,
        batch: Batch,
        database: DatabaseAddress,
        *,
        loaded: LoadReport | None = None,
        sandbox_urls: Collection[tuple[str, int]] = (),
    ) -> None:
        self._store = store
        self._batch = batch
        self._database = database
        self._sandbox_urls = sandbox_urls
        self.loaded = loaded  #: what `load` did; None for a batch that was there

    def __repr__(self) -> str:
        """Name the batch."""
        return f"<batch {self.name!r} of {self._database.address}>"

    @property
    def name(self) -> str:
        """The batch's name."""
        return self._batch.name

    # ---- run ----

    def run(self, **how: Unpack[RunArguments]) -> JobStream:
        """
        Return a context that runs the batch, and gives its jobs as they become final.

        Jobs that are final already are not run again, so a batch is continued by running it again.

        Raises:
            UsageError: An argument is wrong.
        """
        return JobStream(self._store, self._batch, *self._prepared_run(how))

    def arun(self, **how: Unpack[RunArguments]) -> AsyncJobStream:
        """Return the same for `async with` and `async for`, under asyncio or trio."""
        return AsyncJobStream(self._store, self._batch, *self._prepared_run(how))

    def run_all(self, **how: Unpack[RunArguments]) -> BatchRunEnded:
        """
        Run the batch to its end, and return why the runner ended.

        Raises:
            BatchrunnerError: The batch cannot be run, or the runner could not go on.
        """
        with self.run(**how) as jobs:
            return jobs.wait()

    # ---- steer ----

    def retry(
        self, *, category: str | Collection[str] = (), job: str | Collection[str] = ()
    ) -> Retried:
        """
        Put failed jobs back, all or those chosen; the next run runs them.

        A choice may name cancelled jobs, too. Jobs that are unanswered are put back only where a
        choice names them: a run of theirs may exist.

        Raises:
            UsageError: There is no such category, or no such job has failed.
        """
        keys = [job] if isinstance(job, str) else list(job)
        with errors_for_people():
            return retry_jobs(self._store, self._batch, categories_of(category), keys)

    def pause(self, reason: str | None = None) -> Paused:
        """Submit nothing more until it is resumed; all runners notice within 2 seconds."""
        with errors_for_people():
            return pause_batch(self._store, self._batch, reason)

    def resume(self, *, hosts: Collection[str] = ()) -> Resumed | set[str]:
        """Let the batch go on after a pause; with *hosts*, only let these parked hosts be used."""
        with errors_for_people():
            if hosts:
                return unpark_hosts(self._store, self._batch, hosts)
            return resume_batch(self._store, self._batch)

    def set(self, *, concurrency: int | str | None = None, budget: str | None = None) -> None:
        """
        Change how the batch is run, also while it runs.

        Raises:
            UsageError: A value is wrong.
        """
        with errors_for_people():
            if budget is not None:
                set_budget(self._store, self._current(), budget)
            if concurrency is not None:
                set_concurrency(self._store, self._batch, concurrency_of(concurrency))

    # ---- read ----

    def status(self) -> BatchStatus:
        """Return how the batch stands now."""
        with errors_for_people():
            return batch_status(self._store, self._current())

    def runners(self) -> list[RunnerProcess]:
        """Return the processes that work on the database."""
        with errors_for_people():
            return runner_processes(self._store, self._batch)

    def jobs(self) -> Iterator[JobResult]:
        """Give all final jobs, in the order of the job file."""
        with errors_for_people():
            yield from job_results(self._store.finished(self._batch.id))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give all final jobs as rows with the columns of an export and the result as values."""
        with errors_for_people():
            yield from result_rows(self._store.finished(self._batch.id))

    def export(self, path: str | Path, format: str | None = None) -> Exported:
        """
        Write all final jobs to a file, in the format that its name says.

        Raises:
            UsageError: The format is not known, or the file cannot be there.
        """
        address = self._database.address
        (target,) = check_outputs([str(path)], format, keep=(address, f"{address}.sandbox.jsonl"))
        with errors_for_people():
            return export_batch(self._store, self._batch, target)

    def _current(self) -> Batch:
        return self._store.batch(self.name) or self._batch

    # ---- how a run begins ----

    def _prepared_run(self, how: RunArguments) -> tuple[Any, FinalJobs]:
        """Check the arguments, and return what runs the batch and what collects its jobs."""
        observer = how.get("observer")
        place, given = self._database, how.get("api")
        api = access_to(given) if given else api_from_environment(place.api_url, place.api_key)
        refuse_sandbox_urls(self._sandbox_urls, api)
        options = _options(how, api, observer)
        concurrency = how.get("concurrency")
        run = partial(
            _run,
            self._database.address,
            self.name,
            api,
            options,
            None if concurrency is None else concurrency_of(concurrency),
        )
        return run, FinalJobs(observer)


def _options(how: RunArguments, api: ApiAccess, observer: RunObserver | None) -> RunOptions:
    folder = how.get("artifacts")

    def say(line: str) -> None:
        if observer is not None:
            observer.notify(Notice(text=line))

    return RunOptions(
        budget=how.get("budget"),
        window=run_window(how.get("start_at"), how.get("until"), say),
        folder=None if folder is None else checked_folder(Path(folder)),
        webhook=webhook_from_options(
            how.get("webhook_listen"), how.get("webhook_url"), local=api.origin == SANDBOX
        ),
        leave_runs=how.get("leave_runs", False),
    )


def _run(
    address: str,
    name: str,
    api: ApiAccess,
    options: RunOptions,
    concurrency: int | None,
    final_jobs: FinalJobs,
    control: StopControl,
) -> BatchRunEnded:
    """Run the batch with a connection of its own: readers do not delay the runner."""

    def say(line: str) -> None:
        final_jobs.notify(Notice(text=line))

    store = open_store(address, say)
    try:
        batch = store.batch(name)
        if batch is None:
            raise UsageError(f"batch {name!r} is gone from {address}", next="load it again")
        if concurrency is not None:
            store.set_concurrency(batch.id, concurrency)
            batch = store.batch(name) or batch
        prepared = prepare_run(store, batch, api, options, say)
        if prepared is None:
            return BatchRunEnded(reason=ExitReason.FINISHED, counts=store.tally(batch.id))
        if control.request is StopRequest.LEAVE:
            return BatchRunEnded(reason=None, counts=store.tally(batch.id))
        final_jobs.prepared()
        key, batch = prepared.key, prepared.batch
        return work(store, batch, api, final_jobs, key=key, control=control, options=options)
    finally:
        store.close()
