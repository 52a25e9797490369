"""Adopts runs that another program started into a batch; starts none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.app.account_check import bind
from batchrunner.app.api_call import call_api
from batchrunner.app.clock import store_now
from batchrunner.app.registered_owner import registered_owner
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.errors import UsageError
from batchrunner.inputs.yaml import NAME
from batchrunner.model import (
    Batch,
    Finish,
    JobFile,
    JobState,
    OpenAttempt,
    Run,
    RunObservation,
    Settings,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import decide_run
from batchrunner.store.adoption import adopt_runs as adopt_runs_in_store
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.leases import renew_lease
from batchrunner.store.store import Store

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.tinyfish.console_client import ConsoleClient

#: The query of a list of runs, as `tinyfish.console_client.query_of` returns it.
Query = Mapping[str, str]


@dataclass(kw_only=True)
class AdoptResult:
    """What adopting has done."""

    has_batch: bool = True  #: no batch is made if there is nothing to adopt
    seen: int = 0  #: runs that the API showed
    added: int = 0  #: runs that are new in the database
    missing: list[str] = field(default_factory=list)  #: named runs that the API does not know
    ends: Counter[str] = field(default_factory=Counter)  #: states of the jobs that ended now
    going_on: int = 0  #: runs of adopted jobs that are not over


def adopt_runs(
    store: Store,
    api: ApiAccess,
    name: str,
    run_ids: Sequence[str],
    query: Query | None = None,
    *,
    say: Say = say_nothing,
) -> AdoptResult:
    """
    Adopt the named runs, and those that *query* finds, into the batch *name*.

    The batch is made if need be. Each new run becomes a job with one attempt, and its result is
    judged like others. Runs that the database has already stay as they are. Runs that go on belong
    to the batch from now on.

    Raises:
        BatchrunnerError: The name is no name of a batch, or the API refused a request.
    """
    check_batch_name(name)
    named = list(dict.fromkeys(run_ids))
    if store.read(find_batch, name) is None and not _finds_run_to_adopt(api, named, query):
        return AdoptResult(missing=named, has_batch=False)
    batch = _batch(store, name)
    bind(store, batch, api, say=say)
    with registered_owner(store, batch.id) as owner_id:
        adoption = _Adoption(store, batch, owner_id)
        call_api(api, lambda client: adoption.run(client, named, query), about="the runs")
    return adoption.result


def check_batch_name(name: str) -> None:
    """Refuse a name that no batch can have."""
    if len(name) > NAME.max_length or not re.fullmatch(NAME.pattern or "", name):
        raise UsageError(
            f"--batch {name!r} is no name of a batch",
            next=f"use {NAME.expected}, at most {NAME.max_length}",
        )


def _finds_run_to_adopt(api: ApiAccess, run_ids: Sequence[str], query: Query | None) -> bool:
    """Whether there is a run to adopt: a new batch would be empty otherwise."""

    async def finds_any(client: ConsoleClient) -> bool:
        async for chunk in _chunks(client, run_ids, query):
            if any(isinstance(run, Run) for run in (await client.get_many(chunk)).values()):
                return True
        return False

    return call_api(api, finds_any, about="the runs")


def _batch(store: Store, name: str) -> Batch:
    """Return the batch of this name, or a new one."""
    found = store.read(find_batch, name)
    if found is not None:
        return found
    empty = JobFile(name=name, settings=Settings(), specs=())
    return store.write(load_jobs, empty, store_now(store)).batch


class _Adoption:
    """Reads each run once: adds new ones, and closes attempts whose runs are over."""

    def __init__(self, store: Store, batch: Batch, owner_id: str) -> None:
        self._store = store
        self._batch = batch
        self._owner_id = owner_id
        self.result = AdoptResult()

    async def run(self, client: ConsoleClient, run_ids: Sequence[str], query: Query | None) -> None:
        """Adopt what is chosen, and update what was adopted before and was not over then."""
        open_ids = [attempt.run_id for attempt in self._open_attempts()]
        async for chunk in _chunks(client, open_ids, None):
            self._close_ended(await client.get_many(chunk))
        async for chunk in _chunks(client, run_ids, query):
            seen = await client.get_many(chunk)
            runs = [run for run in seen.values() if isinstance(run, Run)]
            self._add(runs)
            self._count(chunk, runs)
            self._close_ended(seen)
        self.result.going_on = len(self._open_attempts())

    def _count(self, chunk: Sequence[str], runs: Sequence[Run]) -> None:
        known = {run.run_id for run in runs}
        self.result.seen += len(runs)
        self.result.missing += [run_id for run_id in chunk if run_id not in known]

    def _add(self, runs: Sequence[Run]) -> None:
        now = store_now(self._store)
        self._store.write(renew_lease, self._owner_id, now)
        self.result.added += self._store.write(
            adopt_runs_in_store,
            self._owner_id,
            self._batch.id,
            runs,
            now,
            new_token=self._store.new_token,
        )

    def _open_attempts(self) -> list[OpenAttempt]:
        """Return open attempts of adopted runs; others may be matched to the wrong jobs yet."""
        attempts = self._store.read(runs_in_flight, self._owner_id, self._batch.id)
        return [attempt for attempt in attempts if not attempt.url]

    def _close_ended(self, seen: Mapping[str, RunObservation]) -> None:
        """Close the attempts whose runs are over; store what was seen of the others."""
        now, policy = store_now(self._store), Policy.of(self._batch.settings)
        decisions, going_on = [], []
        for attempt in self._open_attempts():
            observation = seen.get(attempt.run_id)
            if observation is None:
                continue
            decision = decide_run(policy, attempt, observation, now)
            if decision is None:
                going_on.append((attempt, observation))
            else:
                decisions.append(decision)
        for applied in apply_poll(self._store, self._owner_id, decisions, going_on, now):
            end = applied.transition
            self.result.ends[end.state if isinstance(end, Finish) else JobState.CANCELLED] += 1


async def _chunks(
    client: ConsoleClient, run_ids: Sequence[str], query: Query | None
) -> AsyncIterator[list[str]]:
    """Yield the named run ids and those that a query finds, as many as one request takes."""
    for start in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        yield list(run_ids[start : start + MAX_RUNS_PER_REQUEST])
    if query is None:
        return
    async for page in client.pages(query):
        if page.runs:
            yield [details.run.run_id for details in page.runs]
