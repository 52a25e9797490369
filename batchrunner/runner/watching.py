"""Follows runs to their end: look, classify, decide, apply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    MOST_RUNS,
    ApiError,
    FailureCategory,
    OpenAttempt,
    Run,
    RunStatus,
    Sighting,
    Verdict,
)
from batchrunner.policy import excused, is_overdue, judge, look_interval
from batchrunner.policy.windows import Phase
from batchrunner.runner.events import Judged, Recalled
from batchrunner.runner.matching import mismatched
from batchrunner.runner.shift import AT_ONCE, GLANCE, Shift, of_the_pool


class Watching:
    """The loop that looks at runs in flight, all of them in as few requests as can be."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._typical: timedelta | None = None

    async def look(self) -> bool:
        """
        Look once, and wait until the next look is worth it.

        Returns whether there was anything to look at.
        """
        shift = self._shift
        await shift.looks.clear()
        watched = await self._watched()
        if not watched:
            await shift.news.wait(GLANCE)
            return False
        try:
            sightings = await self._see([attempt.run_id for attempt in watched])
        except ApiError as error:
            # A lost look is not a lost run: nothing follows but to look again.
            shift.hold([classify_fault(error.fault)], shift.looks)
        else:
            shift.looks.went_well()
            seen = [(a, sightings[a.run_id]) for a in watched if a.run_id in sightings]
            if not await self._rematch(seen):
                await self._cancel(await self._judge(seen))
        oldest = shift.now() - min(attempt.opened_at for attempt in watched)
        await shift.alarm.wait(look_interval(self._typical, oldest).total_seconds())
        return True

    async def _watched(self) -> list[OpenAttempt]:
        shift = self._shift
        watched = await shift.offload(lambda: shift.store.watched(shift.owner.id, shift.batch.id))
        leapt_at = shift.clock.leapt_at
        return [excused(attempt, leapt_at) for attempt in watched]

    async def _cancel(self, going_on: Sequence[tuple[OpenAttempt, Sighting]]) -> None:
        """Ask the API to cancel what is over its limit and what the user gave up."""
        shift, why = self._shift, FailureCategory.TIMED_OUT
        now = shift.now()
        overdue = [a.attempt_id for a, seen in going_on if is_overdue(shift.policy, a, seen, now)]
        if overdue:
            await shift.offload(lambda: shift.store.ask_to_cancel(shift.owner.id, overdue, why))
        late = await self._recall([a for a, _ in going_on if a.attempt_id not in overdue])
        asked = [a.run_id for a, _ in going_on if a.cancelling or a.attempt_id in overdue + late]
        for chunk in _chunks(asked):
            try:
                await shift.api.cancel_many(chunk)
            except ApiError as error:
                shift.hold([classify_fault(error.fault)], shift.looks)

    async def _recall(self, going_on: Sequence[OpenAttempt]) -> list[int]:
        """Note which runs are cancelled for the deadline; return their attempts."""
        shift, why = self._shift, FailureCategory.TIMED_OUT
        late = [attempt.attempt_id for attempt in going_on if not attempt.cancelling]
        if shift.phase is not Phase.OVER or not late:
            return []
        ask = partial(shift.store.ask_to_cancel, shift.owner.id, late, why, recalled=True)
        await shift.offload(ask)
        shift.notify(Recalled(runs=len(late)))
        return late

    async def _see(self, run_ids: Sequence[str]) -> dict[str, Sighting]:
        """Return what could be seen; raises ApiError if that is nothing at all."""
        limiter = anyio.CapacityLimiter(AT_ONCE)
        sightings: dict[str, Sighting] = {}
        errors: list[ApiError] = []

        async def look_at(chunk: Sequence[str]) -> None:
            async with limiter:
                try:
                    sightings.update(await self._shift.api.get_many(chunk))
                except ApiError as error:
                    errors.append(error)

        async with anyio.create_task_group() as group:
            for chunk in _chunks(run_ids):
                group.start_soon(look_at, chunk)
        if errors and not sightings:
            raise errors[0]
        return sightings

    async def _rematch(self, seen: Sequence[tuple[OpenAttempt, Sighting]]) -> bool:
        """Put right which run is whose, before any result lands in a wrong row."""
        shift = self._shift
        wrong = mismatched((a, sighting) for a, sighting in seen if isinstance(sighting, Run))
        for submission_id, runs in wrong.items():
            rematch = partial(shift.store.rematch, shift.owner.id, submission_id, runs, shift.now())
            await shift.offload(rematch)
        if wrong:
            shift.doubts.ring()
        return bool(wrong)

    async def _judge(
        self, seen: Sequence[tuple[OpenAttempt, Sighting]]
    ) -> list[tuple[OpenAttempt, Sighting]]:
        """Apply what follows from a look; return the attempts whose runs go on, as seen."""
        shift, now = self._shift, self._shift.now()
        judged = [(a, s, judge(shift.policy, a, s, now)) for a, s in seen]
        verdicts = [verdict for _, _, verdict in judged if verdict]
        going_on = [(a, s) for a, s, verdict in judged if verdict is None]
        applied = await shift.offload(
            lambda: shift.store.apply(shift.owner.id, verdicts, going_on, now)
        )
        if applied:
            self._learn(applied)
            shift.hold(of_the_pool(applied), shift.creates)
            shift.notify(Judged(verdicts=tuple(applied)))
            shift.news.ring()
        return [(_as_seen(attempt, sighting, now), sighting) for attempt, sighting in going_on]

    def _learn(self, applied: Sequence[Verdict]) -> None:
        """Learn how long runs take: an average in which the last dozens count most."""
        for verdict in applied:
            if isinstance(verdict.attempt, OpenAttempt):
                took = self._shift.now() - verdict.attempt.opened_at
                if not verdict.attempt.cancelling:
                    self._shift.pace = self._shift.pace.learned(took)
                before = took if self._typical is None else self._typical
                self._typical = before + (took - before) / 32


def _as_seen(attempt: OpenAttempt, sighting: Sighting, now: datetime) -> OpenAttempt:
    if not isinstance(sighting, Run):
        return attempt
    starts = sighting.status is RunStatus.RUNNING and attempt.started_at is None
    return replace(
        attempt, status=sighting.status, started_at=now if starts else attempt.started_at
    )


def _chunks(run_ids: Sequence[str]) -> list[Sequence[str]]:
    return [run_ids[at : at + MOST_RUNS] for at in range(0, len(run_ids), MOST_RUNS)]
