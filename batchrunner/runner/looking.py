"""Looks at many runs in few requests, and by themselves at those that answers are silent about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    MOST_RUNS,
    ApiError,
    FailureCategory,
    FaultKind,
    NotFound,
    Sighting,
)
from batchrunner.policy import LOST_AFTER
from batchrunner.runner.patience import Patience
from batchrunner.runner.shift import AT_ONCE, Shift, T


class Looking:
    """What can be seen of runs, and for how long nothing could."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._silence = Patience(shift.now())
        self._asked: dict[str, datetime] = {}  # silent runs, when they were last asked for singly

    def is_silent(self, run_id: str, patience: timedelta) -> bool:
        """Whether looks that went well have told nothing of a run for as long as *patience*."""
        return self._silence.is_over(run_id, patience)

    async def see(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        """Return what could be seen; raises ApiError if that is nothing at all."""
        seen: dict[str, Sighting] = {}
        silent: list[str] = []
        errors: list[ApiError] = []

        async def look_at(chunk: Sequence[str]) -> None:
            try:
                found = await self._shift.api.get_many(chunk)
            except ApiError as error:
                errors.append(error)
                if _is_refused(error):  # for all of them, again and again perhaps
                    silent.extend(chunk)
            else:
                seen.update(found)
                silent.extend(run_id for run_id in chunk if run_id not in found)

        await _each(look_at, chunks(run_ids))
        self._silence.note(silent, self._shift.now())
        seen |= await self._ask_for(silent)
        self._silence.forget(seen)
        if errors and not seen:
            raise errors[0]
        return seen

    async def _ask_for(self, silent: Iterable[str]) -> dict[str, Sighting]:
        """Ask for each run by itself of which nothing was told for long; now and then."""
        now, seen = self._shift.now(), dict[str, Sighting]()

        async def ask(run_id: str) -> None:
            try:
                seen[run_id] = await self._shift.api.get(run_id)
            except ApiError as error:
                if error.fault.kind is FaultKind.STATUS and error.fault.status == 404:
                    seen[run_id] = NotFound(run_id=run_id)

        due = [run_id for run_id in silent if self._is_due(run_id, now)]
        self._asked |= dict.fromkeys(due, now)
        await _each(ask, due)
        return seen

    def _is_due(self, run_id: str, now: datetime) -> bool:
        asked_at = self._asked.get(run_id)
        if asked_at is not None and now - asked_at < LOST_AFTER:
            return False
        return self.is_silent(run_id, LOST_AFTER)


async def _each(call: Callable[[T], Awaitable[None]], given: Iterable[T]) -> None:
    """Make requests of a kind, some of them at once."""
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def in_turn(each: T) -> None:
        async with limiter:
            await call(each)

    async with anyio.create_task_group() as group:
        for each in given:
            group.start_soon(in_turn, each)


def _is_refused(error: ApiError) -> bool:
    return classify_fault(error.fault).category is FailureCategory.REJECTED


async def cancel(shift: Shift, run_ids: Sequence[str]) -> None:
    """
    Ask the API to cancel runs; looks tell what became of that.

    A refusal ends nothing: who may not cancel a run may look at it all the same.
    """
    for chunk in chunks(run_ids):
        try:
            await shift.api.cancel_many(chunk)
        except ApiError as error:
            failure = classify_fault(error.fault)
            if failure.category is not FailureCategory.UNAUTHORIZED:
                shift.hold([failure], shift.looks)


def chunks(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut ids into as few requests as can be."""
    for at in range(0, len(run_ids), MOST_RUNS):
        yield run_ids[at : at + MOST_RUNS]
