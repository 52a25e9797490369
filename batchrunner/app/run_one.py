"""Runs one (url, goal) as a batch of one job, and reports what its run does."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

from batchrunner.app.account_check import bind
from batchrunner.app.clock import now, store_now
from batchrunner.app.follow_run import follow_run
from batchrunner.app.process_identity import exited_owners, this_process
from batchrunner.errors import CannotContinue, InputError
from batchrunner.inputs.yaml import JobFileErrors, parse, report
from batchrunner.model import Batch, JobFile, JobState, RetryRule, Settings
from batchrunner.model.categories import CONFIGURABLE, RuleKey
from batchrunner.runner.events import Event, RunsSubmitted
from batchrunner.runner.runner import Runner, in_thread
from batchrunner.runner.streamed_create import StreamedCreate
from batchrunner.store.batches import load_jobs
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts, newest_run
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.event_stream import StreamEvent

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_views import RunDetails

#: Each failure is final: another run costs money, and the user decides on that.
_ONE_ATTEMPT: dict[RuleKey, RetryRule] = {
    category: RetryRule(attempts=1, then=()) for category in CONFIGURABLE
}


class OneRunObserver(Protocol):
    """Receives what happens while one job is run."""

    def waiting(self, line: str) -> None:
        """Nothing has begun yet, for a reason."""

    def runner_event(self, event: Event) -> None:
        """The runner reports something while no run is known."""

    def run_event(self, event: StreamEvent, *, is_first: bool) -> None:
        """The run reports something; its id is in the database already."""


@dataclass(frozen=True, kw_only=True)
class OneRun:
    """The run of one job, and what the job came to."""

    details: RunDetails
    is_new: bool  #: it was started or was still open in this call
    succeeded: bool


def run_one(store: Store, api: ApiAccess, url: str, goal: str, observer: OneRunObserver) -> OneRun:
    """
    Run a pair unless it was run before, and return its run.

    Called again, it goes on where it was, and pays for no second run.

    Raises:
        BatchrunnerError: There is no run that is over; the message says why.
    """
    job_file = _job_file(url, goal)
    batch = store.write(load_jobs, job_file, store_now(store)).batch
    key, job = bind(store, batch, api, say=observer.waiting), next(iter(job_file.specs)).key
    is_new = bool(store.read(batch_counts, batch.id).open)
    if is_new:
        _finish_job(store, batch, api, key, job, observer)
    run_id = store.read(newest_run, batch.id, job)
    if run_id is None or store.read(batch_counts, batch.id).open:
        raise _no_ended_run(store, batch)
    succeeded = store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED] == 1
    return OneRun(details=follow_run(api, run_id), is_new=is_new, succeeded=succeeded)


def _job_file(url: str, goal: str) -> JobFile:
    """Return the batch for a pair; the same pair always gives the same batch."""
    digest = hashlib.sha256(json.dumps([url, goal]).encode()).hexdigest()[:12]
    try:
        found = parse(json.dumps([{"url": url, "goal": goal}]), file="--url", name=digest)
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors
    (spec,) = found.specs
    return JobFile(
        name=f"watch-{digest}",
        settings=Settings(concurrency=1),
        from_file=False,
        specs=(spec._replace(policy=_ONE_ATTEMPT),),
    )


def _finish_job(
    store: Store, batch: Batch, api: ApiAccess, key: str, job: str, observer: OneRunObserver
) -> None:
    """Submit the job if it is due, and wait until its run is over."""
    progress = _Progress(observer, run_is_known=store.read(newest_run, batch.id, job) is not None)
    with store.short_lock_timeout():  # a long wait for a lock would delay Ctrl-C
        anyio.run(_work, store, batch, api, key, progress)
        run_id = store.read(newest_run, batch.id, job)
        if run_id is not None and store.read(batch_counts, batch.id).open:
            # Another process has the run open: wait for its end, then settle what that one left.
            follow_run(api, run_id)
            anyio.run(_work, store, batch, api, key, progress, False)


async def _work(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    key: str,
    progress: _Progress,
    submit: bool = True,
) -> None:
    """Let a runner submit the job if it is due, at most once, and follow its run to the end."""
    async with ConsoleClient(access.url, access.key) as client:
        runner = Runner(
            store=store,
            api=client,
            batch=batch,
            owner=this_process(),
            now=now,
            monotonic=time.monotonic,  # anyio's clock cannot be read in the store's thread
            offload=in_thread(),
            exited_owners=exited_owners,
            notify=progress.runner_event,
            key_digest=key,
            submit=submit,
            submit_once=True,
            streamed_create=StreamedCreate(api=client, on_event=progress.run_event),
        )
        await runner.run()


class _Progress:
    """Passes the events of a stream on once the run's id is in the database."""

    def __init__(self, observer: OneRunObserver, *, run_is_known: bool) -> None:
        self._observer = observer
        self._waiting: list[StreamEvent] = []
        self._passed_on = 0
        self._run_is_known = run_is_known

    def runner_event(self, event: Event) -> None:
        """Take an event of the runner; none is passed on once the run is known."""
        if isinstance(event, RunsSubmitted) and self._waiting:
            self._run_is_known = True
            for each in self._waiting:
                self._pass_on(each)
        elif not self._run_is_known:
            self._observer.runner_event(event)

    def run_event(self, event: StreamEvent) -> None:
        """Take an event of the stream."""
        if self._run_is_known:
            self._pass_on(event)
        else:
            self._waiting.append(event)

    def _pass_on(self, event: StreamEvent) -> None:
        self._observer.run_event(event, is_first=not self._passed_on and bool(event.run_id))
        self._passed_on += bool(event.run_id)


def _no_ended_run(store: Store, batch: Batch) -> CannotContinue:
    """Say why there is no run that is over."""
    final = not store.read(batch_counts, batch.id).open
    failures = store.read(failed_attempts, batch.id, final=final, most=1)
    why = term_safe(failures[0].message) if failures else "it may be on its way"
    return CannotContinue(
        f"the job has no run that is over: {why}",
        why=why,
        next=f"batchrunner retry {batch.name}, then the same command"
        if final
        else "give the same command again: it searches before it starts anything",
    )
