"""Reconciles: looks for the runs of submissions that got no answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, ApiFault, Submission, marker_prefix
from batchrunner.policy import (
    next_search,
    next_watch,
    settle_absent,
    settle_unanswered,
)
from batchrunner.runner.matching import match
from batchrunner.runner.shift import Shift, is_for_good
from batchrunner.schema import SubmissionState

#: When to search again after a search that failed.
AGAIN = timedelta(seconds=5)


class Searching:
    """The loop that finds out whether runs exist, before anything else happens to their jobs."""

    def __init__(self, shift: Shift) -> None:
        self._shift = shift

    async def keep(self) -> None:
        """Search for whatever is in doubt; for ever."""
        shift = self._shift
        while True:
            doubts = await shift.offload(
                lambda: shift.store.unanswered(shift.owner.id, shift.batch.id)
            )
            due = [(sub, why) for sub, search_at, why in doubts if search_at <= shift.now()]
            for submission, why in due:
                await self._search(submission, why)
            if not due:
                first = min((search_at for _, search_at, _ in doubts), default=None)
                wait = (first - shift.now()).total_seconds() if first else None
                await shift.doubts.wait(wait)

    async def _search(self, submission: Submission, why: str) -> None:
        if not submission.marked:
            await self._undecided(submission, why)
            return
        shift = self._shift
        await shift.looks.clear()
        try:
            found = await shift.api.search(marker_prefix(submission.token))
        except ApiError as error:
            await self._not_searched(submission, error.fault, why)
            return
        shift.looks.went_well()
        runs, spare = match(submission, found)
        await shift.disown(submission, spare)
        await self._found(submission, runs, why)

    async def _found(self, submission: Submission, runs: dict[int, str], why: str) -> None:
        shift = self._shift
        if await shift.record(submission, runs):
            return
        left = tuple(ride for ride in submission.rides if ride.attempt_id not in runs)
        rest = replace(submission, rides=left, searched=submission.searched + 1)
        search_at = next_search(rest, shift.now(), shift.clock.leapt_at)
        if search_at is not None:
            await shift.doubt(rest, search_at, why)
            return
        verdicts, watch_at = settle_absent(rest, shift.now()), next_watch(rest, shift.now())
        await shift.settle(rest, SubmissionState.ABSENT, verdicts, why, watch_at)

    async def _not_searched(self, submission: Submission, fault: ApiFault, why: str) -> None:
        shift = self._shift
        if is_for_good(fault):
            await self._undecided(
                submission, f"{why}; and the API does not let us search: {fault.message}"
            )
            return
        shift.hold([classify_fault(fault)], shift.looks)
        await shift.doubt(submission, shift.now() + AGAIN, why)

    async def _undecided(self, submission: Submission, why: str) -> None:
        verdicts = settle_unanswered(submission, why)
        await self._shift.settle(submission, SubmissionState.UNDECIDED, verdicts, why)
