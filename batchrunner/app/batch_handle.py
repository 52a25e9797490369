"""A batch in a database: run it, steer it, read it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

from batchrunner.app.account_check import bind
from batchrunner.app.api_access import (
    SANDBOX,
    ApiAccess,
    ApiAddress,
    access_to,
    api_from_environment,
)
from batchrunner.app.argument_types import check_budget_type, check_text, path_of, texts_of
from batchrunner.app.audit import audit_batch
from batchrunner.app.batch_exports import BatchExports
from batchrunner.app.batch_reviews import BatchReviews
from batchrunner.app.cancel_jobs import CancelResult, JobFilter, cancel_jobs, finish_cancelling
from batchrunner.app.choose_edition import SeriesOptions
from batchrunner.app.database_address import DatabaseAddress
from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.fetch_artifacts import FetchResult, checked_folder, fetch_artifacts
from batchrunner.app.final_jobs import FinalJobs
from batchrunner.app.grounding_report import GroundingReport, grounding_report
from batchrunner.app.job_results import JobResult, job_results
from batchrunner.app.job_stream import AsyncJobStream, JobStream
from batchrunner.app.list_artifacts import list_artifacts
from batchrunner.app.load import LoadReport, read_job_file, refuse_sandbox_urls
from batchrunner.app.open_database import find_batch as find_named_batch
from batchrunner.app.open_database import open_store
from batchrunner.app.quality import QualityReport, batch_quality, check_ended
from batchrunner.app.raw_result import raw_result
from batchrunner.app.rejudge import (
    ExpectByKey,
    RejudgeResult,
    expectations_of_job_file,
    read_expectations,
    rejudge,
)
from batchrunner.app.rerun import Rerun, RerunChoice, rerun
from batchrunner.app.run_arguments import RunArguments, check_run_arguments, takes_run_arguments
from batchrunner.app.run_batch import (
    BatchRunEnded,
    RunOptions,
    nothing_to_run,
    part_of,
    prepare_run,
)
from batchrunner.app.run_edition import run_edition
from batchrunner.app.run_observer import Notice, RunObserver
from batchrunner.app.run_window import run_window
from batchrunner.app.runner_thread import RunnerThread
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
from batchrunner.app.time_and_cost_report import TimeAndCostReport, report_time_and_cost
from batchrunner.app.webhook_listener import webhook_from_options
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FailureCategory
from batchrunner.model.artifacts import Artifact
from batchrunner.model.audit import AuditReport
from batchrunner.store import controls
from batchrunner.store.address import redacted
from batchrunner.store.batches import find_batch
from batchrunner.store.reports import batch_counts, cancelled_job_ids, finished_jobs
from batchrunner.store.store import Store

T = TypeVar("T")


class BatchHandle(BatchExports, BatchReviews):
    """The jobs of one batch, and what may be done with them; any thread may use it."""

    def __init__(
        self,
        store: Store,
        batch: Batch,
        database: DatabaseAddress,
        *,
        loaded: LoadReport | None = None,
        sandbox_urls: Collection[tuple[str, int]] = (),
        series_options: SeriesOptions | None = None,
    ) -> None:
        self._store = store
        self._batch = batch
        self._database = database
        self._sandbox_urls = sandbox_urls
        self._series_options = series_options or SeriesOptions()
        self.loaded = loaded  #: what `load` did; None for a batch that was there

    def __repr__(self) -> str:
        """Name the batch and its database."""
        return f"<batch {self.name!r} of {redacted(self._database.address)}>"

    @property
    def name(self) -> str:
        """The batch's name."""
        return self._batch.name

    @property
    def series(self) -> str | None:
        """The name of the series of which it is an edition; None: of none."""
        return self._batch.series

    @property
    def edition(self) -> str | None:
        """The name of the edition, such as `2026-12-01`."""
        return self._batch.edition

    # ---- run ----

    @takes_run_arguments
    def run(self, **how: Unpack[RunArguments]) -> JobStream:
        """
        Return a context that runs the batch, and gives its jobs as they become final.

        Jobs that are final already are not run again, so a batch is continued by running it again.

        Raises:
            UsageError: An argument is wrong.
            TypeError: There is no such argument.
        """
        return JobStream(self._store, self._batch, *self._prepared_run(how))

    @takes_run_arguments
    def arun(self, **how: Unpack[RunArguments]) -> AsyncJobStream:
        """Return the same for `async with` and `async for`, under asyncio or trio."""
        return AsyncJobStream(self._store, self._batch, *self._prepared_run(how))

    @takes_run_arguments
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
        with errors_for_people():
            return retry_jobs(self._store, self._batch, _categories(category), texts_of("job", job))

    def rerun(
        self,
        *,
        job: str | Collection[str] = (),
        older_than: timedelta | None = None,
        suspect: bool = False,
    ) -> Rerun:
        """
        Let succeeded jobs run again as new revisions: all, those named, or those that are older.

        With *suspect*, only those whose results look wrong; such a result stays delivered where its
        job does not succeed again. The next run runs them. Failed jobs are left to `retry`.

        Raises:
            UsageError: A job that is named is unknown, or has not succeeded.
        """
        keys = tuple(texts_of("job", job))
        every = not keys and older_than is None and not suspect
        choice = RerunChoice(all=every, suspect=suspect, older_than=older_than, keys=keys)
        with errors_for_people():
            return rerun(self._store, self._batch, choice)

    def pause(self, reason: str | None = None) -> Paused:
        """Submit nothing more until it is resumed; all runners notice within 2 seconds."""
        check_text("reason", reason)
        with errors_for_people():
            return pause_batch(self._store, self._batch, reason)

    def resume(self) -> Resumed:
        """Let the batch go on after a pause, a canary that failed, or a stop for bad data."""
        with errors_for_people():
            return resume_batch(self._store, self._batch)

    def unpark(self, hosts: str | Collection[str]) -> set[str]:
        """Let these parked hosts be used again; return those that were parked."""
        with errors_for_people():
            return unpark_hosts(self._store, self._batch, texts_of("hosts", hosts))

    def set(self, *, concurrency: int | str | None = None, budget: str | None = None) -> None:
        """
        Change how the batch is run, also while it runs.

        Raises:
            UsageError: A value is wrong.
        """
        check_budget_type(budget)
        bound = None if concurrency is None else concurrency_of(concurrency)
        with errors_for_people():
            if budget is not None:
                set_budget(self._store, self._current(), budget)
            if bound is not None:
                set_concurrency(self._store, self._batch, bound)

    def cancel(
        self,
        *,
        job: str | Collection[str] = (),
        host: str | Collection[str] = (),
        category: str | Collection[str] = (),
        api: ApiAddress | None = None,
    ) -> CancelResult:
        """
        Cancel jobs that are not final, all or those chosen, and their runs.

        Runs in flight are cancelled by the runner at work; where there is none, this call cancels
        them, and waits until the API has confirmed that they are over.

        Raises:
            UsageError: No such job is open.
        """
        chosen = JobFilter(
            keys=texts_of("job", job),
            hosts=texts_of("host", host),
            categories=_categories(category),
        )
        with errors_for_people():
            result = cancel_jobs(self._store, self._batch, chosen)
        if result.in_flight and not result.runner_at_work:
            access = self._access(api)
            in_own_thread(lambda control: self._finish_cancelling(access, control))
        return result

    def judge(
        self,
        *,
        expect_file: str | Path | None = None,
        job_file: str | Path | None = None,
        outliers_fail: bool = False,
        apply: bool = False,
    ) -> RejudgeResult:
        """
        Judge the stored results again, by other expectations; nothing is run, and nothing costs.

        With *apply*, jobs fail or succeed as they are judged now; else the changes are only listed.

        Raises:
            UsageError: Both files are given, or one of them has problems.
        """
        if expect_file is not None and job_file is not None:
            raise UsageError("expect_file and job_file exclude each other", next="give one of them")
        expect: ExpectByKey = {}
        with errors_for_people():
            if expect_file is not None:
                expect = read_expectations(path_of("expect_file", expect_file))
            elif job_file is not None:
                expect = expectations_of_job_file(read_job_file(path_of("job_file", job_file)))
            how = {"outliers_fail": outliers_fail, "apply": apply}
            return rejudge(self._store, self._batch, expect, **how)

    # ---- read ----

    def quality(self, against: BatchHandle | str | None = None) -> QualityReport:
        """
        Return how good the rows are, in one word with reasons, and the figures behind it.

        They are compared with those of *against*, else with those of the last good edition.

        Raises:
            UsageError: There is no such batch.
        """
        name = against.name if isinstance(against, BatchHandle) else against
        check_text("against", name)
        with errors_for_people():
            other = None if name is None else find_named_batch(self._store, name)
            return batch_quality(self._store, self._current(), other)

    def status(self) -> BatchStatus:
        """Return how the batch stands now."""
        with errors_for_people():
            return batch_status(self._store, self._current())

    def grounding(self) -> GroundingReport:
        """Return which values of the results are in the pages that their runs saw."""
        with errors_for_people():
            return grounding_report(self._store, self._batch)

    def runners(self) -> list[RunnerProcess]:
        """Return the processes that work on the database."""
        with errors_for_people():
            return runner_processes(self._store, self._batch)

    def jobs(self) -> Iterator[JobResult]:
        """Give all final jobs, in the order of the job file."""
        with errors_for_people():
            yield from job_results(finished_jobs(self._store, self._batch.id))

    def raw_result(self, job: str) -> str:
        """
        Return the result of a job as the API sent it, unparsed: also one that exports set aside.

        Raises:
            UsageError: There is no such job, or it has no result.
        """
        with errors_for_people():
            return raw_result(self._store, self._batch, job)

    def artifacts(self, job: str | None = None) -> list[Artifact]:
        """Return what was captured of the batch's runs, or of one job's."""
        with errors_for_people():
            return list(list_artifacts(self._store, self._batch, job))

    def fetch_artifacts(
        self, folder: str | Path, *, job: str | None = None, api: ApiAddress | None = None
    ) -> FetchResult:
        """
        Download what was captured of the batch's runs and is not there yet.

        Raises:
            BatchrunnerError: The folder or the API cannot be used.
        """
        access, path = self._access(api), checked_folder(path_of("folder", folder))
        return in_own_thread(
            lambda _: fetch_artifacts(self._store, self._batch, access, path, key=job)
        )

    def audit(self, *, api: ApiAddress | None = None) -> AuditReport:
        """
        Compare all runs of the batch with the API's own list.

        Unknown runs, of creates that this database sent, are adopted, or cancelled and counted.
        Runs of other databases are never touched.

        Raises:
            BatchrunnerError: The API's list cannot be read with this key.
        """
        access = self._access(api)
        return in_own_thread(lambda _: audit_batch(self._store, self._current(), access))

    def time_and_cost(self) -> TimeAndCostReport:
        """Return where the hours and the steps of the batch went."""
        with errors_for_people():
            return report_time_and_cost(self._store, self._batch)

    def _current(self) -> Batch:
        return self._store.read(find_batch, self.name) or self._batch

    def _access(self, given: ApiAddress | None) -> ApiAccess:
        return api_access(self._database, given)

    # ---- what a thread does ----

    def _finish_cancelling(self, api: ApiAccess, control: StopControl) -> BatchRunEnded:
        key = bind(self._store, self._batch, api)
        nobody = FinalJobs(None)
        return finish_cancelling(self._store, self._batch, api, nobody, key=key, control=control)

    def _prepared_run(self, how: RunArguments) -> tuple[Any, FinalJobs]:
        """Check the arguments, and return what runs the batch and what collects its jobs."""
        check_run_arguments(how)
        observer = how.get("observer")
        api = self._access(how.get("api"))
        refuse_sandbox_urls(self._sandbox_urls, api)
        options = replace(_options(how, api, observer), series=self._series_options)
        concurrency = how.get("concurrency")
        run = partial(
            _run,
            self._database,
            self.name,
            api,
            options,
            None if concurrency is None else concurrency_of(concurrency),
        )
        return run, FinalJobs(observer)


def _categories(given: str | Collection[str]) -> list[FailureCategory]:
    return categories_of(texts_of("category", given))


def api_access(place: DatabaseAddress, given: ApiAddress | None) -> ApiAccess:
    """Return the API that is given, else the one that goes with the database."""
    if given is not None:
        return access_to(given)
    return api_from_environment(place.api_url, place.api_key)


def in_own_thread(call: Callable[[StopControl], T]) -> T:
    """Return what a call returns; it has its own thread, as a notebook has its own event loop."""

    def work(control: StopControl) -> T:
        with errors_for_people():
            return call(control)

    thread = RunnerThread(work)
    thread.start()
    try:
        thread.wait()
    except BaseException:
        thread.control.leave()
        raise
    return thread.result()


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
        anew=how.get("anew", False),
        part=part_of(how.get("limit"), how.get("sample")),
    )


def _run(
    database: DatabaseAddress,
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

    store = open_store(database.address, say)
    try:
        batch = store.read(find_batch, name)
        if batch is None:
            raise UsageError(f"batch {name!r} is gone from {store.place}", next="load it again")
        if concurrency is not None:
            store.write(controls.set_concurrency, batch.id, concurrency)
            batch = store.read(find_batch, name) or batch
        prepared = prepare_run(store, batch, api, options, say)
        if prepared is None:
            return nothing_to_run(store, batch)
        if control.request is StopRequest.LEAVE:
            return BatchRunEnded(reason=None, counts=store.read(batch_counts, batch.id))
        cancelled_before = store.read(cancelled_job_ids, batch.id)
        final_jobs.prepared()
        key, batch = prepared.key, prepared.batch
        ended = run_edition(
            store, batch, api, final_jobs, key=key, control=control, options=options
        )
        if ended.reason is not None:  # it did not leave at once
            final_jobs.add_cancelled(store.read(cancelled_job_ids, batch.id) - cancelled_before)
        check_ended(store, batch, ended)
        return ended
    finally:
        store.close()
