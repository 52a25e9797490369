"""Reads many runs in few requests, and one by one those that the answers leave out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiFaultKind,
    FailureCategory,
    NotFound,
    RequestFailed,
    RunObservation,
    RunStatus,
)
from batchrunner.policy.run_decision import SINGLE_READ_INTERVAL
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import MAX_PARALLEL_REQUESTS, RunnerContext
from batchrunner.runner.offload import T
from batchrunner.tinyfish.client import result_bytes

#: Results that are held in memory at once; runs beyond them are left to the next fetch.
ENOUGH_RESULT_BYTES = 8 * 1024**2


class RunFetcher:
    """Reads runs, and measures for how long the API has said nothing about a run."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self.put_off: set[str] = set()  #: runs that the next fetch reads first: results were long
        self._unmentioned = ConditionTimer(context.now())
        self._fetched_singly_at: dict[str, datetime] = {}
        self._not_found: dict[str, NotFound] = {}  # by the newest request of their own

    def is_unmentioned(self, run_id: str, duration: timedelta) -> bool:
        """Return whether successful polls have said nothing about a run for *duration*."""
        return self._unmentioned.has_lasted(run_id, duration)

    async def fetch(self, run_ids: Sequence[str]) -> dict[str, RunObservation]:
        """Return what the API shows of the runs; raises RequestFailed if every request failed."""
        observations: dict[str, RunObservation] = {}
        unmentioned: list[str] = []
        errors: list[RequestFailed] = []
        first, self.put_off = self.put_off, set()

        async def fetch_chunk(chunk: Sequence[str]) -> None:
            if result_bytes(observations.values()) >= ENOUGH_RESULT_BYTES:
                self.put_off.update(chunk)
                return
            try:
                found = await self._context.api.get_many(chunk, ENOUGH_RESULT_BYTES)
            except RequestFailed as error:
                errors.append(error)
                if _is_refused(error):  # perhaps because of one run, and at each poll
                    unmentioned.extend(chunk)
            else:
                observations.update(found)
                missing = [run_id for run_id in chunk if run_id not in found]
                if result_bytes(found.values()) >= ENOUGH_RESULT_BYTES:
                    self.put_off.update(missing)
                else:
                    unmentioned.extend(missing)

        await _in_parallel(fetch_chunk, chunks(sorted(run_ids, key=lambda id: id not in first)))
        self._unmentioned.observe(unmentioned, self._context.now())
        singly = await self._fetch_singly(unmentioned)
        # Until a run is read again, what the API said of it stands.
        missing = {
            run_id: self._not_found[run_id] for run_id in unmentioned if run_id in self._not_found
        }
        observations |= missing | singly
        self._unmentioned.forget(observations.keys() - missing.keys())
        if errors and not observations:
            raise errors[0]
        return observations

    async def _fetch_singly(self, unmentioned: Iterable[str]) -> dict[str, RunObservation]:
        """Fetch each run that was not mentioned for long in a request of its own, now and then."""
        now, observations = self._context.now(), dict[str, RunObservation]()

        async def fetch_one(run_id: str) -> None:
            self._not_found.pop(run_id, None)
            try:
                observations[run_id] = await self._context.api.get(run_id)
            except RequestFailed as error:
                if error.fault.kind is ApiFaultKind.STATUS and error.fault.status == 404:
                    self._not_found[run_id] = observations[run_id] = NotFound(run_id=run_id)

        due = [run_id for run_id in unmentioned if self._is_due(run_id, now)]
        self._fetched_singly_at |= dict.fromkeys(due, now)
        await _in_parallel(fetch_one, due)
        return observations

    def _is_due(self, run_id: str, now: datetime) -> bool:
        fetched_at = self._fetched_singly_at.get(run_id)
        if fetched_at is not None and now - fetched_at < SINGLE_READ_INTERVAL:
            return False
        return self.is_unmentioned(run_id, SINGLE_READ_INTERVAL)


async def _in_parallel(call: Callable[[T], Awaitable[None]], arguments: Iterable[T]) -> None:
    """Make a request for each argument, some of them at once."""
    limiter = anyio.CapacityLimiter(MAX_PARALLEL_REQUESTS)

    async def limited(argument: T) -> None:
        async with limiter:
            await call(argument)

    async with anyio.create_task_group() as group:
        for argument in arguments:
            group.start_soon(limited, argument)


def _is_refused(error: RequestFailed) -> bool:
    return classify_fault(error.fault).category is FailureCategory.REJECTED


async def cancel(context: RunnerContext, run_ids: Sequence[str]) -> dict[str, RunStatus]:
    """
    Ask the API to cancel runs, and return the status of each that it names; polls show the effect.

    A refusal is no reason to stop: a key that may not cancel a run may still read it.
    """
    answers: dict[str, RunStatus] = {}
    for chunk in chunks(run_ids):
        try:
            answers |= await context.api.cancel_many(chunk)
        except RequestFailed as error:
            failure = classify_fault(error.fault)
            if failure.category is not FailureCategory.UNAUTHORIZED:
                context.gates.meet(error.fault, context.gates.poll)
    return answers


def chunks(entries: Sequence[T]) -> Iterator[Sequence[T]]:
    """Split run ids, or entries with one each, into as few requests as possible."""
    for start in range(0, len(entries), MAX_RUNS_PER_REQUEST):
        yield entries[start : start + MAX_RUNS_PER_REQUEST]
