"""Watches for runs that turn up when their submission was given up: adopts or cancels them."""

from __future__ import annotations

from datetime import datetime

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    MOST_RUNS,
    ApiError,
    NotFound,
    Run,
    Sighting,
    Submission,
    marker_prefix,
)
from batchrunner.policy import LOST_AFTER, next_watch
from batchrunner.runner.events import Strayed
from batchrunner.runner.matching import match
from batchrunner.runner.shift import Shift, is_for_good

#: Seconds between two looks into the ledger for what is to be watched.
PAUSE = 15.0
#: Seconds until a last look that failed is taken again, at least.
AGAIN = 5.0
#: Tries to have the last orphans cancelled before the end; after that the user is told.
TRIES = 5


class Straying:
    """The loop that keeps a run from being paid for and then forgotten."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift
        self._missing: dict[str, datetime] = {}  # orphans that the API does not show, since when

    async def keep(self) -> None:
        """Look for stragglers whenever it is time; for ever."""
        shift = self._shift
        while True:
            await anyio.sleep(PAUSE)
            due = await shift.offload(
                lambda: shift.store.absent(shift.owner.id, shift.batch.id, shift.now())
            )
            for submission in due:
                await self._look_for(submission, last=False)
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
        while True:
            if await self._look_for(submission, last=True) or self._shift.blind:
                return
            await anyio.sleep(AGAIN)

    async def _look_for(self, submission: Submission, *, last: bool) -> bool:
        """Look for a submission's runs; False: it is worth another try."""
        shift = self._shift
        await shift.looks.clear()
        try:
            found = await shift.api.search(marker_prefix(submission.token))
        except ApiError as error:
            shift.hold([classify_fault(error.fault)], shift.looks)
            return is_for_good(error.fault)
        shift.looks.went_well()
        runs, spare = match(submission, found)
        await shift.disown(submission, spare)
        if runs:
            adopted = await shift.offload(
                lambda: shift.store.take_in(
                    shift.owner.id, shift.batch.id, submission, runs, shift.now()
                )
            )
            shift.notify(Strayed(adopted=adopted, orphans=len(runs) - adopted))
            shift.news.ring()
        watch_at = None if last else next_watch(submission, shift.now())
        await shift.offload(lambda: shift.store.watch(shift.owner.id, submission, watch_at))
        return True

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
            ended = [
                (run_id, _as_run(s)) for run_id, s in sightings.items() if self._is_over(s, now)
            ]
            await shift.offload(lambda: shift.store.bury(ended, now))  # noqa: B023 - awaited here
        return len(await shift.offload(lambda: shift.store.living_orphans(shift.batch.id)))

    def _is_over(self, sighting: Sighting, now: datetime) -> bool:
        """Whether an orphan costs nothing more; one look that does not show it is no proof."""
        if isinstance(sighting, NotFound):
            return now - self._missing.setdefault(sighting.run_id, now) >= LOST_AFTER
        self._missing.pop(sighting.run_id, None)
        return isinstance(sighting, Run) and sighting.status.is_final


def _as_run(sighting: Sighting) -> Run | None:
    return sighting if isinstance(sighting, Run) else None
