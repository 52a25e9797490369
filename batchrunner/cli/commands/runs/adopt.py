"""`batchrunner runs adopt`: take runs into a batch that something else started; costs nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from batchrunner.cli.exit_codes import SOME_MISSED
from batchrunner.cli.options import api_options, db_option, help_option, opened
from batchrunner.cli.run_filters import filter_options, filters
from batchrunner.errors import UsageError
from batchrunner.text.format import counted

if TYPE_CHECKING:
    from batchrunner.app.run_batch import ApiAccess
    from batchrunner.model import Batch, RunObservation
    from batchrunner.store.store import Store
    from batchrunner.tinyfish.console_client import ConsoleClient


@click.command("adopt")
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@click.option(
    "--batch",
    "name",
    required=True,
    metavar="NAME",
    help="The batch; created if it does not exist.",
)
@filter_options
@api_options
@db_option
@help_option
def command(
    run_ids: tuple[str, ...],
    name: str,
    status: str | None,
    goal: str | None,
    created_after: str | None,
    created_before: str | None,
    db: str,
    **given: Any,
) -> None:
    """
    Add runs that another program started to a batch: those named, or those that the filters match.

    Each becomes a job with one attempt. Its result is judged and exported like any other. No run is
    started: a job that fails here stays failed, because the API does not show its url. Runs that
    the database already has are not changed. Active runs belong to the batch from now on: the next
    run of the batch polls them within its limits, and so does this command if it is given again.

    Exit code 1 says that the API does not know some of the runs that were named.

    \b
    Examples:
      batchrunner runs adopt --batch rescued --goal linkedin --created-after 2026-09-01
      batchrunner runs adopt --batch rescued 6f1f0c3e-7a57-4b2c-9d0e-2f7f4c1e8a11
    """
    from batchrunner.app.api_call import api_of
    from batchrunner.tinyfish.console_client import query_of

    chosen = filters(
        status=status, goal=goal, created_after=created_after, created_before=created_before
    )
    if bool(run_ids) == any(value is not None for value in chosen.values()):
        raise click.UsageError("name runs, or choose them by filters")
    query = None if run_ids else query_of(**chosen, oldest_first=True)
    _check_name(name)
    named = list(dict.fromkeys(run_ids))
    with api_of(db=db, **given) as api, opened(db, must_exist=False) as store:
        if store.batch(name) is None and _none_found(api, named, query):
            adopted = Adopted(missing=named, batch=False)
        else:
            adopted = _adopt(store, _batch(store, name), api, named, query)
    _tell(adopted, name)
    if adopted.missing:
        raise SystemExit(SOME_MISSED)


def _check_name(name: str) -> None:
    from batchrunner.inputs.job_fields import NAME

    if len(name) > NAME.max_length or not re.fullmatch(NAME.pattern or "", name):
        raise UsageError(
            f"--batch {name!r} is no name of a batch",
            next=f"use {NAME.expected}, at most {NAME.max_length}",
        )


def _none_found(api: ApiAccess, run_ids: list[str], query: dict[str, str] | None) -> bool:
    """Say whether there is nothing to adopt, so that a new batch would be an empty one."""
    from batchrunner.app.api_call import call_api
    from batchrunner.model import Run

    async def none(reader: ConsoleClient) -> bool:
        async for chunk in _chunks(reader, run_ids, query):
            if any(isinstance(run, Run) for run in (await reader.get_many(chunk)).values()):
                return False
        return True

    return call_api(api, none, about="the runs")


def _batch(store: Store, name: str) -> Batch:
    """Return the batch of this name, which may be a new one."""
    from batchrunner.app.clock import ledger_now
    from batchrunner.model import JobFile, Settings

    found = store.batch(name)
    if found is not None:
        return found
    empty = JobFile(name=name, settings=Settings(), specs=())
    return store.load(empty, ledger_now(store)).batch


@dataclass
class Adopted:
    """What adopting did."""

    batch: bool = True  #: there is one; for nothing, none is made
    seen: int = 0  #: runs that the API showed
    added: int = 0  #: those that the ledger did not know
    missing: list[str] = field(default_factory=list)  #: named, and not known to the API
    ends: Counter[str] = field(default_factory=Counter)  #: states of the jobs that ended now
    going_on: int = 0  #: runs of adopted jobs that are not over


def _adopt(
    store: Store, batch: Batch, api: ApiAccess, run_ids: list[str], query: dict[str, str] | None
) -> Adopted:
    from batchrunner.app.api_call import call_api
    from batchrunner.app.clock import ledger_now
    from batchrunner.app.process_identity import exited_owners, this_process
    from batchrunner.app.run_batch import bind

    bind(store, batch, api)
    me = this_process()
    adopting = _Adopting(store, batch, me.id)
    store.enlist(me, ledger_now(store))
    try:
        others = [owner for owner, _ in store.others(me.id)]
        store.rescue(me.id, batch.id, ledger_now(store), exited_owners(others))
        call_api(api, lambda reader: adopting.all(reader, run_ids, query), about="the runs")
    finally:
        store.retire(me.id, ledger_now(store))
    return adopting.done


class _Adopting:
    """One look at each run: what is new gets a job, and what is over is judged."""

    def __init__(self, store: Store, batch: Batch, owner_id: str) -> None:
        self._store = store
        self._batch = batch
        self._owner_id = owner_id
        self.done = Adopted()

    async def all(
        self, reader: ConsoleClient, run_ids: Sequence[str], query: dict[str, str] | None
    ) -> None:
        """Take in what was chosen, and what was adopted before and was not over then."""
        from batchrunner.model import Run

        async for chunk in _chunks(reader, [each.run_id for each in self._watched()], None):
            self._judge(await reader.get_many(chunk))
        async for chunk in _chunks(reader, run_ids, query):
            seen = await reader.get_many(chunk)
            runs = [run for run in seen.values() if isinstance(run, Run)]
            self.done.seen += len(runs)
            known = {run.run_id for run in runs}
            self.done.missing += [each for each in chunk if each not in known]
            self._take(runs)
            self._judge(seen)
        self.done.going_on = len(self._watched())

    def _take(self, runs: Sequence[Any]) -> None:
        from batchrunner.app.clock import ledger_now

        now = ledger_now(self._store)
        self._store.renew(self._owner_id, now)
        self.done.added += self._store.adopt(self._owner_id, self._batch.id, runs, now)

    def _watched(self) -> list[Any]:
        """Return what is open of adopted runs; of others nobody knows whether they are mixed up."""
        watched = self._store.watched(self._owner_id, self._batch.id)
        return [attempt for attempt in watched if not attempt.url]

    def _judge(self, seen: dict[str, RunObservation]) -> None:
        from batchrunner.app.clock import ledger_now
        from batchrunner.model import Finish, JobState
        from batchrunner.policy.retry_rules import Policy
        from batchrunner.policy.run_decision import decide_run

        now, policy = ledger_now(self._store), Policy.of(self._batch.settings)
        judged = [
            (attempt, seen[attempt.run_id], decide_run(policy, attempt, seen[attempt.run_id], now))
            for attempt in self._watched()
            if attempt.run_id in seen
        ]
        verdicts = [verdict for _, _, verdict in judged if verdict]
        going_on = [(attempt, sighting) for attempt, sighting, verdict in judged if not verdict]
        for verdict in self._store.apply(self._owner_id, verdicts, going_on, now):
            end = verdict.transition
            self.done.ends[end.state if isinstance(end, Finish) else JobState.CANCELLED] += 1


async def _chunks(
    reader: ConsoleClient, run_ids: Sequence[str], query: dict[str, str] | None
) -> AsyncIterator[list[str]]:
    """Give the runs that are named and those that a query finds, as many as one look shows."""
    from batchrunner.model import MAX_RUNS_PER_REQUEST

    for start in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        yield list(run_ids[start : start + MAX_RUNS_PER_REQUEST])
    if query is None:
        return
    async for page in reader.pages(query):
        if page.runs:
            yield [shown.run.run_id for shown in page.runs]


def _tell(adopted: Adopted, name: str) -> None:
    from batchrunner.text.terminal import term_safe

    known = adopted.seen - adopted.added
    done = f"batch {name!r}: {counted(adopted.added, 'run')} adopted, {known} left alone"
    nothing = f"there is nothing to adopt: no batch {name!r} was made"
    click.echo(done if adopted.batch else nothing, err=True)
    for state, count in sorted(adopted.ends.items()):
        click.echo(f"  {count} {state}", err=True)
    if adopted.going_on:
        click.echo(
            f"  {counted(adopted.going_on, 'run')} not over: the next run of the batch watches "
            "them, or the same command collects them",
            err=True,
        )
    for run_id in adopted.missing:
        click.echo(term_safe(f"  not known to the API: {run_id}"), err=True)
