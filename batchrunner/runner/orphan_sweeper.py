"""Watches for runs that turn up when their submission was given up: adopts or cancels them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, NotFound, Run, RunObservation, Submission
from batchrunner.policy.create_outcome import next_control_search, next_late_check
from batchrunner.policy.run_decision import GIVEN_UP_AFTER, LOST_AFTER
from batchrunner.runner.condition_timer import ConditionTimer
from batchrunner.runner.context import RunnerContext, is_permanent
from batchrunner.runner.events import LateRunsFound
from batchrunner.runner.run_fetcher import cancel, chunks
from batchrunner.runner.run_search import search_runs

#: Seconds between two looks into the ledger for what is to be watched.
SWEEP_SECONDS = 15.0
#: How long after a last look that failed another one is taken, at least.
FINAL_CHECK_RETRY_AFTER = timedelta(seconds=5)
#: Tries to have the last orphans cancelled before the end; after that the user is told.
FINAL_CHECKS = 5
#: Most that the time between two looks at orphans counts.
MAX_FINAL_CHECK_WAIT = timedelta(seconds=2 ** (FINAL_CHECKS - 1))


class OrphanSweeper:
    """The loop that keeps a run from being paid for and then forgotten."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._missing = ConditionTimer(
            shift.now(), MAX_FINAL_CHECK_WAIT
        )  # orphans that the API does not show
        self._endless = ConditionTimer(
            shift.now(), MAX_FINAL_CHECK_WAIT
        )  # orphans that are not over

    async def run(self) -> None:
        """Look for stragglers whenever it is time; for ever."""
        shift = self._shift
        while True:
            await anyio.sleep(SWEEP_SECONDS)
            due = await shift.offload(
                lambda: shift.store.absent(shift.owner.id, shift.batch.id, shift.now())
            )
            for submission in due:
                await self._look_for(submission)
            await self._cancel_orphans()

    async def final_check(self) -> None:
        """Look for all stragglers a last time, and see their ends, before the batch ends."""
        shift, tries = self._shift, 0
        watched = await shift.offload(lambda: shift.store.absent(shift.owner.id, shift.batch.id))
        for submission in watched:
            await self._look_for_the_last_time(submission)
        while tries < FINAL_CHECKS and not shift.polling_disabled:
            left = await self._cancel_orphans()
            if left == 0:
                return
            if left is not None:
                await anyio.sleep(2.0**tries)
                tries += 1

    async def _look_for_the_last_time(self, submission: Submission) -> None:
        begun = self._shift.now()
        while not self._shift.polling_disabled:
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
        await shift.poll_gate.wait_until_open()
        try:
            sought = await search_runs(shift.api, submission, shift.now())
        except ApiError as error:
            left = shift.stop_if_not_api(error.fault)
            shift.apply_backpressure([classify_fault(error.fault)], shift.poll_gate)
            return (
                None
                if not left and is_permanent(error.fault)
                else shift.now() + FINAL_CHECK_RETRY_AFTER
            )
        shift.poll_gate.record_success()
        await shift.add_orphans(submission, sought.spare)
        await self._take_in(submission, sought.runs)
        again_at = None
        if begun and not sought.complete:
            again_at = next_control_search(begun, shift.now())
        if again_at is None:
            watch_at = None if begun else next_late_check(submission, shift.now())
            await shift.offload(lambda: shift.store.watch(shift.owner.id, submission, watch_at))
        return again_at

    async def _take_in(self, submission: Submission, runs: Mapping[int, str]) -> None:
        """Adopt runs whose jobs wait; list the others, which are cancelled soon."""
        if not runs:
            return
        shift = self._shift
        take_in = partial(shift.store.take_in, shift.owner.id, shift.batch.id, submission, runs)
        adopted = await shift.offload(lambda: take_in(shift.now()))
        shift.notify(LateRunsFound(adopted=adopted, orphans=len(runs) - adopted))
        shift.work_changed.notify()

    async def _cancel_orphans(self) -> int | None:
        """Ask the API to cancel orphans; how many are not over yet, None where it did not say."""
        shift = self._shift
        living = await shift.offload(lambda: shift.store.living_orphans(shift.batch.id))
        seen: dict[str, RunObservation] = {}
        for chunk in chunks(living):
            await shift.poll_gate.wait_until_open()
            await cancel(shift, chunk)
            try:
                seen |= await shift.api.get_many(chunk)
            except ApiError as error:
                shift.apply_backpressure([classify_fault(error.fault)], shift.poll_gate)
                return len(living) if is_permanent(error.fault) else None
        now = shift.now()
        self._missing.observe([at for at in living if isinstance(seen.get(at), NotFound)], now)
        self._missing.forget(at for at in seen if not isinstance(seen[at], NotFound))
        self._endless.observe(living, now)
        ended = [(at, _as_run(seen.get(at))) for at in living if self._is_over(at, seen.get(at))]
        if ended:
            await shift.offload(lambda: shift.store.bury(ended, now))
        return len(living) - len(ended)

    def _is_over(self, run_id: str, sighting: RunObservation | None) -> bool:
        """Whether an orphan costs nothing more; one look that does not show it is no proof."""
        if isinstance(sighting, Run) and sighting.status.is_final:
            return True
        if isinstance(sighting, NotFound) and self._missing.has_lasted(run_id, LOST_AFTER):
            return True
        return self._endless.has_lasted(run_id, GIVEN_UP_AFTER)


def _as_run(sighting: RunObservation | None) -> Run | None:
    return sighting if isinstance(sighting, Run) else None
