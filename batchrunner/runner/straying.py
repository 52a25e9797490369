"""Watches for runs that turn up when their submission was given up: adopts or cancels them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    MOST_RUNS,
    ApiError,
    NotFound,
    Run,
    Sighting,
    Submission,
)
from batchrunner.policy import LOST_AFTER, next_trial, next_watch
from batchrunner.runner.events import Strayed
from batchrunner.runner.patience import Patience
from batchrunner.runner.seeking import seek
from batchrunner.runner.shift import Shift, is_for_good

#: Seconds between two looks into the ledger for what is to be watched.
PAUSE = 15.0
#: How long after a last look that failed another one is taken, at least.
AGAIN = timedelta(seconds=5)
#: Tries to have the last orphans cancelled before the end; after that the user is told.
TRIES = 5
#: Most that the time between two looks at orphans counts.
MOST = timedelta(seconds=2 ** (TRIES - 1))


class Straying:
    """The loop that keeps a run from being paid for and then forgotten."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._missing = Patience(shift.now(), MOST)  # orphans that the API does not show

    async def keep(self) -> None:
        """Look for stragglers whenever it is time; for ever."""
        shift = self._shift
        while True:
            await anyio.sleep(PAUSE)
            due = await shift.offload(
                lambda: shift.store.absent(shift.owner.id, shift.batch.id, shift.now())
            )
            for submission in due:
                await self._look_for(submission)
            await self._cancel_orphans()

    async def finish(self) -> None:
        """Look for all stragglers a last time, and see their ends, before the batch ends."""
        shift, tries = self._shift, 0
        watched = await shift.offload(lambda: shift.store.absent(shift.owner.id, shift.batch.id))
        for submission in watched:
            await self._look_for_the_last_time(submission)
        while tries < TRIES and not shift.blind:
            left = await self._cancel_orphans()
            if left == 0:
                return
            if left is not None:
                await anyio.sleep(2.0**tries)
                tries += 1

    async def _look_for_the_last_time(self, submission: Submission) -> None:
        begun = self._shift.now()
        while not self._shift.blind:
            again_at = await self._look_for(submission, begun)
            if again_at is None:
                return
            await anyio.sleep(max((again_at - self._shift.now()).total_seconds(), 0))

    async def _look_for(
        self, submission: Submission, begun: datetime | None = None
    ) -> datetime | None:
        """
        Look for a submission's runs; return when it is worth another try.

        *begun* is when the last looks of all began, None before those.
        """
        shift = self._shift
        await shift.looks.clear()
        try:
            sought = await seek(shift.api, submission)
        except ApiError as error:
            left = shift.leave(error.fault)
            shift.hold([classify_fault(error.fault)], shift.looks)
            return None if not left and is_for_good(error.fault) else shift.now() + AGAIN
        shift.looks.went_well()
        await shift.disown(submission, sought.spare)
        await self._take_in(submission, sought.runs)
        again_at = None
        if begun and not sought.whole:
            again_at = next_trial(begun, shift.now())
        if again_at is None:
            watch_at = None if begun else next_watch(submission, shift.now())
            await shift.offload(lambda: shift.store.watch(shift.owner.id, submission, watch_at))
        return again_at

    async def _take_in(self, submission: Submission, runs: Mapping[int, str]) -> None:
        """Adopt runs whose jobs wait; list the others, which are cancelled soon."""
        if not runs:
            return
        shift = self._shift
        take_in = partial(shift.store.take_in, shift.owner.id, shift.batch.id, submission, runs)
        adopted = await shift.offload(lambda: take_in(shift.now()))
        shift.notify(Strayed(adopted=adopted, orphans=len(runs) - adopted))
        shift.news.ring()

    async def _cancel_orphans(self) -> int | None:
        """Ask the API to cancel orphans; how many are not over yet, None where it did not say."""
        shift = self._shift
        living = await shift.offload(lambda: shift.store.living_orphans(shift.batch.id))
        for at in range(0, len(living), MOST_RUNS):
            chunk = living[at : at + MOST_RUNS]
            await shift.looks.clear()
            try:
                await shift.api.cancel_many(chunk)
                sightings = await shift.api.get_many(chunk)
            except ApiError as error:
                shift.hold([classify_fault(error.fault)], shift.looks)
                return len(living) if is_for_good(error.fault) else None
            now = shift.now()
            missing = [run_id for run_id, s in sightings.items() if isinstance(s, NotFound)]
            self._missing.note(missing, now)
            self._missing.forget(sightings.keys() - set(missing))
            ended = [(run_id, _as_run(s)) for run_id, s in sightings.items() if self._is_over(s)]
            await shift.offload(lambda: shift.store.bury(ended, now))  # noqa: B023 - awaited here
        return len(await shift.offload(lambda: shift.store.living_orphans(shift.batch.id)))

    def _is_over(self, sighting: Sighting) -> bool:
        """Whether an orphan costs nothing more; one look that does not show it is no proof."""
        if isinstance(sighting, NotFound):
            return self._missing.is_over(sighting.run_id, LOST_AFTER)
        return isinstance(sighting, Run) and sighting.status.is_final


def _as_run(sighting: Sighting) -> Run | None:
    return sighting if isinstance(sighting, Run) else None
