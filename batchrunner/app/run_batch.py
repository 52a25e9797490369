"""Runs a batch to its end: its account, its budget, artifacts beside it, the exit reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from batchrunner.app.account_check import bind, check_origin
from batchrunner.app.api_access import ApiAccess
from batchrunner.app.budget import set_up
from batchrunner.app.choose_edition import SeriesOptions
from batchrunner.app.clock import now
from batchrunner.app.fetch_artifacts import (
    ARTIFACT_WAIT_SECONDS,
    check_pages,
    checking,
    fetch,
    fetching,
)
from batchrunner.app.process_identity import exited_owners, this_process
from batchrunner.app.run_observer import CountsRead, Notice, RunObserver, Say, StopRequested
from batchrunner.app.runs_elsewhere import refuse_runs_elsewhere
from batchrunner.app.sibling_check import flag_odd_results
from batchrunner.app.stop_control import StopControl, StopRequest
from batchrunner.app.webhook_listener import WebhookOptions, listen_for_webhooks
from batchrunner.classify import classify_fault
from batchrunner.errors import ApiError, CannotContinue, LeftEarly, UsageError
from batchrunner.model import (
    Batch,
    BatchCounts,
    Failed,
    FailureCategory,
    JobState,
    RequestFailed,
)
from batchrunner.model.audit import AuditReport, AuditStop
from batchrunner.model.part import Part
from batchrunner.policy.schedule import Window
from batchrunner.runner.artifact_fetcher import ArtifactFetcher, ArtifactSelection
from batchrunner.runner.grounding_checker import GroundingChecker
from batchrunner.runner.runner import ExitReason, Runner, in_thread, innermost
from batchrunner.store.artifacts import want_artifacts
from batchrunner.store.batch_reads import artifact_counts, parked_hosts
from batchrunner.store.database import StoreError
from batchrunner.store.editions import newest_result_at
from batchrunner.store.grounding import unchecked_results
from batchrunner.store.part import choose_part
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from batchrunner.text.terminal import SHOWN, shorten, term_safe
from batchrunner.tinyfish.client import TinyFishClient


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a batch is run this time."""

    budget: str | None = None  #: as a job file spells it, or `none`; None: as before
    window: Window = field(default_factory=Window)
    folder: Path | None = None  #: where artifacts go; None: none are fetched
    webhook: WebhookOptions | None = None
    leave_runs: bool = False  #: give up runs of another account
    anew: bool = False  #: pay for jobs although the API has fresh runs of them
    files: str = ""  #: the files that are loaded, as they are given to a shell
    series: SeriesOptions = field(default_factory=SeriesOptions)
    part: Part | None = None  #: run only so many jobs of the batch; None: all


@dataclass(frozen=True, kw_only=True)
class PreparedBatch:
    """A batch that may be run now, and the digest by which the store knows the key."""

    batch: Batch
    key: str


@dataclass(frozen=True, kw_only=True)
class BatchRunEnded:
    """Why a runner returned, and how the batch stood then."""

    reason: ExitReason | None  #: None: it was asked to leave at once
    counts: BatchCounts
    failure: Failed | None = None  #: what stopped it early
    api_url: str = ""  #: the API that it worked with
    audit: AuditReport | None = None  #: what the newest comparison with the API's list found
    audit_stop: AuditStop | None = None  #: what an audit found that stopped it early
    #: Nothing was run because every job was final: when the newest of them became so.
    newest_result_at: datetime | None = None

    @property
    def nothing_run(self) -> bool:
        """Whether every job was final already."""
        return self.newest_result_at is not None


def prepare_run(
    store: Store, batch: Batch, api: ApiAccess, options: RunOptions, say: Say
) -> PreparedBatch | None:
    """
    Check the batch's account, set its budget and rate; None where every job is final.

    With a part, its jobs are chosen, and the result is None where all of these are final. Artifacts
    that an earlier run left are fetched then.

    Raises:
        BatchrunnerError: The batch cannot be run with this key on this API.
    """
    if options.folder is not None:
        store.write(want_artifacts, batch.id, lasting=True)
    if not _has_work(store, batch, options.part):
        check_origin(batch, batch.api_origin, api)
        if store.read(unchecked_results, batch.id):
            bind(store, batch, api, say=say)
            check_pages(store, batch, api, this_process().id)
        if options.folder is not None and store.read(artifact_counts, batch.id).left:
            bind(store, batch, api, say=say)
            fetch(store, batch, api, options.folder)
        return None
    key = bind(store, batch, api, leave_runs=options.leave_runs, say=say)
    if not options.anew:
        try:
            refuse_runs_elsewhere(store, batch, api, say, options.files)
        except RequestFailed as error:
            raise stopped(classify_fault(error.fault), api.url) from error
    return PreparedBatch(batch=set_up(store, batch, api, options.budget, say), key=key)


def nothing_to_run(store: Store, batch: Batch) -> BatchRunEnded:
    """Return the end of a run for which `prepare_run` found nothing to do."""
    counts = store.read(batch_counts, batch.id)
    reason = ExitReason.PART_DONE if counts.open else ExitReason.FINISHED
    newest = store.read(newest_result_at, batch.id)
    return BatchRunEnded(reason=reason, counts=counts, newest_result_at=newest)


def part_of(limit: int | None, sample: int | None) -> Part | None:
    """
    Return the part that these options ask for; None: all jobs.

    Raises:
        UsageError: Both are given, or a number is less than 1.
    """
    if limit is not None and sample is not None:
        raise UsageError(
            "limit and sample exclude each other", next="give one: the first jobs, or a sample"
        )
    jobs = sample if limit is None else limit
    if jobs is None:
        return None
    if jobs < 1:
        raise UsageError(f"{jobs} jobs are no part of a batch", next="give a number from 1 on")
    return Part(jobs=jobs, spread=limit is None)


def _has_work(store: Store, batch: Batch, part: Part | None) -> bool:
    """Choose the part; return whether one of its jobs is open, or any run is in flight."""
    counts = store.read(batch_counts, batch.id)
    if part is None:
        return counts.open > 0 or counts.leaving > 0
    chosen = store.write(choose_part, batch.id, part)
    return chosen.open > 0 or counts.jobs[JobState.RUNNING] + counts.leaving > 0


def stopped(failure: Failed, where: str = "") -> CannotContinue:
    """Return why a runner of the API at *where* stopped, and what to check before it goes on."""
    said = shorten(term_safe(failure.message), SHOWN)
    if failure.advice:
        what, check = said, failure.advice
    elif failure.category is FailureCategory.UNREACHABLE:
        what, check = said, "check the API's address (--api-url, TINYFISH_BASE_URL)"
    else:
        what, check = f"the API answered {said!r}", "check the key and its rights"
    return ApiError(
        f"stopped: {what}",
        next=f"{check}, then run the same command again: no attempt was used up",
        where=where,
        why=said,
    )


def work(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    observer: RunObserver,
    *,
    key: str,
    control: StopControl | None = None,
    submit: bool = True,
    options: RunOptions | None = None,
) -> BatchRunEnded:
    """
    Run the batch until its end or that of its window, or until *control* stops it.

    *key* is the digest by which the store knows the API key. The budget is not set here.
    """
    options, control = options or RunOptions(), control or StopControl()

    async def run() -> BatchRunEnded:
        return await _work(store, batch, api, observer, control, options, key, submit)

    try:
        with store.short_lock_timeout():  # a thread that waits for a lock cannot be stopped
            return anyio.run(run)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _work(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    observer: RunObserver,
    control: StopControl,
    options: RunOptions,
    key: str,
    submit: bool,
) -> BatchRunEnded:
    offload, owner, say = in_thread(), this_process(), partial(_say, observer)
    async with TinyFishClient(access.url, access.key) as api, AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(listen_for_webhooks(options.webhook, api, say))
        runner = Runner(
            store=store,
            api=api,
            owner=owner,
            batch=batch,
            now=now,
            monotonic=time.monotonic,  # anyio's cannot be read in the thread of the store
            exited_owners=exited_owners,
            offload=offload,
            notify=observer.notify,
            key_digest=key,
            webhook_wakeup=webhook,
            submit=submit,
            part=options.part is not None,
            window=options.window,
        )
        beside: list[ArtifactFetcher | GroundingChecker] = []
        if options.folder is not None:
            selection = ArtifactSelection(batch_id=batch.id, owner_id=owner.id)
            fetcher = fetching(store, access, options.folder, offload, selection)
            beside.append(await stack.enter_async_context(fetcher))
        if batch.settings.grounding.sample:
            checker = checking(store, access, offload, batch.id, owner.id)
            beside.append(await stack.enter_async_context(checker))
        stop, report = _Stop(runner, observer, control), partial(_report_counts, store, batch)
        reason = await _until_end(runner, stop, beside, partial(report, observer))
    return _ended(store, batch, runner, reason, access.url)


def _ended(
    store: Store, batch: Batch, runner: Runner, reason: ExitReason | None, api_url: str
) -> BatchRunEnded:
    if reason is ExitReason.FINISHED:
        flag_odd_results(store, batch)
    counts = _final_counts(store, batch, left=reason is None)
    part_done = reason is ExitReason.FINISHED and counts.open
    return BatchRunEnded(
        reason=ExitReason.PART_DONE if part_done else reason,
        counts=counts,
        failure=runner.stop_failure,
        api_url=api_url,
        audit=runner.audit_report,
        audit_stop=runner.audit_stop,
    )


def _say(observer: RunObserver, line: str) -> None:
    observer.notify(Notice(text=line))


#: Ends after which what the runs captured is waited for.
_WAITS_FOR_PAGES = (ExitReason.FINISHED, ExitReason.BUDGET_USED_UP, ExitReason.BAD_QUALITY)


async def _until_end(
    runner: Runner,
    stop: _Stop,
    beside: Sequence[ArtifactFetcher | GroundingChecker],
    count: Callable[[], Coroutine[Any, Any, None]],
) -> ExitReason | None:
    """Run to the end, and read what runs captured a while longer; None: it left at once."""
    reason: ExitReason | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        tasks.start_soon(stop.pass_on_requests)
        for reader in beside:
            tasks.start_soon(reader.run)
        with stop.scope:
            reason = await runner.run()
            if beside and reason in _WAITS_FOR_PAGES:
                stop.nothing_in_flight = True
                for reader in beside:
                    await reader.finish(ARTIFACT_WAIT_SECONDS)
        stop.control.close()
        tasks.cancel_scope.cancel()
    return reason


def _final_counts(store: Store, batch: Batch, *, left: bool) -> BatchCounts:
    """Count the batch; a runner that *left* at once does not wait for the database."""
    try:
        return store.read(batch_counts, batch.id)
    except StoreError as error:
        if not left:
            raise
        raise LeftEarly(
            f"left while {error.message}: nothing is lost, and nothing was exported",
            next="the same command goes on; runs in flight go on meanwhile and may cost money",
            where=error.where,
            why=error.message,
        ) from error


async def _report_counts(store: Store, batch: Batch, observer: RunObserver) -> None:
    """Report the batch's numbers again and again; in another thread, so that it delays nothing."""
    while (seconds := observer.count_seconds) is not None:
        with suppress(StoreError):  # the runner waits for the database, and reports that
            counts = await anyio.to_thread.run_sync(store.read, batch_counts, batch.id)
            parked = await anyio.to_thread.run_sync(store.read, parked_hosts, batch.id)
            observer.notify(CountsRead(counts=counts, at=now(), parked=parked))
        await anyio.sleep(seconds)


class _Stop:
    """Passes stop requests on to the runner."""

    def __init__(self, runner: Runner, observer: RunObserver, control: StopControl) -> None:
        self._runner = runner
        self._observer = observer
        self.control = control
        self.scope = anyio.CancelScope()
        self.nothing_in_flight = False  #: only artifacts are waited for

    async def pass_on_requests(self) -> None:
        """Drain at the first request, leave at the second."""
        limiter, known = anyio.CapacityLimiter(1), StopRequest.NONE
        while known < StopRequest.LEAVE:
            wait = partial(self.control.wait_for_more, known)
            known = await anyio.to_thread.run_sync(wait, abandon_on_cancel=True, limiter=limiter)
            if known is StopRequest.LEAVE or (known and self.nothing_in_flight):
                self.scope.cancel()
            elif known is StopRequest.DRAIN:
                self._runner.drain()
                self._observer.notify(StopRequested(at=now()))
