"""Runs one (url, goal) and shows it: a batch of one job, whose run is followed as a stream."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import click

from batchrunner.app.api_call import call_api
from batchrunner.app.clock import ledger_now
from batchrunner.app.follow_run import Follower, conclude
from batchrunner.app.process_identity import this_process
from batchrunner.app.run_batch import ApiAccess, bind, work
from batchrunner.cli.options import opened
from batchrunner.cli.output.progress import make_display
from batchrunner.errors import CannotContinue, InputError
from batchrunner.inputs.yaml import JobFileErrors, parse, report
from batchrunner.model import (
    Batch,
    CreateAnswer,
    JobFile,
    JobState,
    Refused,
    RetryRule,
    Settings,
    Submission,
)
from batchrunner.policy.create_outcome import settle_refusal
from batchrunner.policy.retry_rules import CONFIGURABLE, Policy
from batchrunner.runner.run_matching import output_schema_of, run_request
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.text.terminal import term_safe
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.console_views import RunDetails
from batchrunner.tinyfish.event_stream import StreamEvent

#: The job ends with its run: who wants to pay for another one says so.
_ONCE = {category: RetryRule(attempts=1, then=()) for category in CONFIGURABLE}


def run_one(api: ApiAccess, db: str, url: str, goal: str) -> bool:
    """
    Run the pair unless it has been, and show what its run did; whether the job succeeded.

    Given again it goes on where it was, and pays for no second run.

    Raises:
        BatchrunnerError: There is no run, and why.
    """
    job_file = _job_file(url, goal)
    with opened(db, must_exist=False) as store:
        batch = store.load(job_file, ledger_now(store)).batch
        key, job = bind(store, batch, api), job_file.specs[0].key
        was_open = bool(store.tally(batch.id).open)
        if was_open:
            _submit(store, batch, api, key)
            if run_id := store.newest_run(batch.id, job):
                _look(api, run_id)
            display = make_display(batch.name, quiet=run_id is not None)
            with display.shown():
                work(store, batch, api, display, key=key, submitting=False)
        run_id = store.newest_run(batch.id, job)
        if run_id is None or store.tally(batch.id).open:
            raise _not_run(store, batch)
        conclude(_look(api, run_id), steps=not was_open)
        return store.tally(batch.id).jobs[JobState.SUCCEEDED] == 1


def _job_file(url: str, goal: str) -> JobFile:
    """Return the batch of one job that the pair is; the same pair is always the same batch."""
    digest = hashlib.sha256(json.dumps([url, goal]).encode()).hexdigest()[:12]
    try:
        found = parse(json.dumps([{"url": url, "goal": goal}]), file="--url", name=digest)
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors
    (spec,) = found.specs
    return JobFile(
        name=f"watch-{digest}",
        settings=Settings(concurrency=1),
        specs=(replace(spec, policy=_ONCE),),
    )


def _submit(store: Store, batch: Batch, api: ApiAccess, key: str) -> None:
    """Start the job's run if it is due, and tell what it does for as long as the stream lasts."""
    me = this_process()
    store.enlist(me, ledger_now(store))
    try:
        for submission in store.claim(me.id, batch.id, 1, ledger_now(store), key):
            told = _StreamText(store, me.id, submission)
            answer = call_api(api, told.stream, about="a run")
            if isinstance(answer, Refused):
                now = ledger_now(store)
                policy = Policy.of(batch.settings)
                verdicts = settle_refusal(policy, submission, answer.fault, now)
                refused = SubmissionState.REFUSED
                store.settle(me.id, submission, refused, verdicts, now, answer.fault.message)
    finally:
        # What is open now is adopted by whoever comes next: that is what starting up means.
        store.retire(me.id, ledger_now(store))


class _StreamText:
    """Writes down the run as soon as the stream names it, and shows what happens."""

    def __init__(self, store: Store, owner_id: str, submission: Submission) -> None:
        self._store = store
        self._owner_id = owner_id
        self._submission = submission
        self._known = False

    async def stream(self, reader: ConsoleClient) -> CreateAnswer:
        """Send the create request, once, and follow its answer."""
        (ride,) = self._submission.attempts
        request = run_request(self._submission, ride)
        return await reader.stream(request, output_schema_of(self._submission), self._tell)

    def _tell(self, event: StreamEvent) -> None:
        if event.run_id is not None and not self._known:
            self._known = True
            runs = {self._submission.attempts[0].attempt_id: event.run_id}
            now = ledger_now(self._store)
            self._store.record(self._owner_id, self._submission, runs, now)
            click.echo(term_safe(f"run {event.run_id} has begun"))
        if event.address is not None:
            click.echo(term_safe(f"live view, while it runs: {event.address}"))
        if event.kind == "PROGRESS" and event.says is not None:
            click.echo(term_safe(f"  {event.says}"))


def _look(api: ApiAccess, run_id: str) -> RunDetails:
    async def followed(reader: ConsoleClient) -> RunDetails:
        return await Follower(quiet=True).follow(reader, run_id)

    return call_api(api, followed, about=f"run {term_safe(run_id)}")


def _not_run(store: Store, batch: Batch) -> CannotContinue:
    """Say why there is no run, or none that is over."""
    final = not store.tally(batch.id).open
    failures = store.failures(batch.id, final=final, most=1)
    why = term_safe(failures[0].message) if failures else "it may be on its way"
    return CannotContinue(
        f"the job has no run that is over: {why}",
        next=f"batchrunner retry {batch.name}, then the same command"
        if final
        else "give the same command again: it looks before it starts anything",
    )
