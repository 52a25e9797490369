"""Looks at many runs in few requests, and by themselves at those that answers are silent about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    MAX_RUNS_PER_REQUEST,
    ApiError,
    FailureCategory,
    FaultKind,
    NotFound,
    RunObservation,
)
from batchrunner.policy.run_decision import LOST_AFTER
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import MAX_PARALLEL_REQUESTS, RunnerContext, T


class RunFetcher:
    """What can be seen of runs, and for how long nothing could."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._silence = ConditionTimer(context.now())
        self._asked: dict[str, datetime] = {}  # silent runs, when they were last asked for singly

    def is_missing(self, run_id: str, patience: timedelta) -> bool:
        """Whether looks that went well have told nothing of a run for as long as *patience*."""
        return self._silence.has_lasted(run_id, patience)

    async def fetch(self, run_ids: Sequence[str]) -> dict[str, RunObservation]:
        """Return what could be seen; raises ApiError if that is nothing at all."""
        seen: dict[str, RunObservation] = {}
        silent: list[str] = []
        errors: list[ApiError] = []

        async def look_at(chunk: Sequence[str]) -> None:
            try:
                found = await self._context.api.get_many(chunk)
            except ApiError as error:
                errors.append(error)
                if _is_refused(error):  # for all of them, again and again perhaps
                    silent.extend(chunk)
            else:
                seen.update(found)
                silent.extend(run_id for run_id in chunk if run_id not in found)

        await _in_parallel(look_at, chunks(run_ids))
        self._silence.observe(silent, self._context.now())
        seen |= await self._fetch_singly(silent)
        self._silence.forget(seen)
        if errors and not seen:
            raise errors[0]
        return seen

    async def _fetch_singly(self, silent: Iterable[str]) -> dict[str, RunObservation]:
        """Ask for each run by itself of which nothing was told for long; now and then."""
        now, seen = self._context.now(), dict[str, RunObservation]()

        async def ask(run_id: str) -> None:
            try:
                seen[run_id] = await self._context.api.get(run_id)
            except ApiError as error:
                if error.fault.kind is FaultKind.STATUS and error.fault.status == 404:
                    seen[run_id] = NotFound(run_id=run_id)

        due = [run_id for run_id in silent if self._is_due(run_id, now)]
        self._asked |= dict.fromkeys(due, now)
        await _in_parallel(ask, due)
        return seen

    def _is_due(self, run_id: str, now: datetime) -> bool:
        asked_at = self._asked.get(run_id)
        if asked_at is not None and now - asked_at < LOST_AFTER:
            return False
        return self.is_missing(run_id, LOST_AFTER)


async def _in_parallel(call: Callable[[T], Awaitable[None]], given: Iterable[T]) -> None:
    """Make requests of a kind, some of them at once."""
    limiter = anyio.CapacityLimiter(MAX_PARALLEL_REQUESTS)

    async def in_turn(each: T) -> None:
        async with limiter:
            await call(each)

    async with anyio.create_task_group() as group:
        for each in given:
            group.start_soon(in_turn, each)


def _is_refused(error: ApiError) -> bool:
    return classify_fault(error.fault).category is FailureCategory.REJECTED


async def cancel(context: RunnerContext, run_ids: Sequence[str]) -> None:
    """
    Ask the API to cancel runs; looks tell what became of that.

    A refusal ends nothing: who may not cancel a run may look at it all the same.
    """
    for chunk in chunks(run_ids):
        try:
            await context.api.cancel_many(chunk)
        except ApiError as error:
            failure = classify_fault(error.fault)
            if failure.category is not FailureCategory.UNAUTHORIZED:
                context.apply_backpressure([failure], context.poll_gate)


def chunks(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids into as few requests as can be."""
    for at in range(0, len(run_ids), MAX_RUNS_PER_REQUEST):
        yield run_ids[at : at + MAX_RUNS_PER_REQUEST]
