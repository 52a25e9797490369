"""Reconciles: looks for the runs of submissions that got no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, ApiFault, Submission
from batchrunner.policy.create_outcome import (
    control_run_ages,
    next_control_search,
    next_late_check,
    next_search,
    settle_unanswered,
    settle_unconfirmed,
)
from batchrunner.runner.context import RunnerContext, is_permanent
from batchrunner.runner.run_search import SearchResult, finds_control_run, search_runs
from batchrunner.store.schema import SubmissionState

#: When to search again after a search that failed.
SEARCH_RETRY_AFTER = timedelta(seconds=5)


class Reconciler:
    """The loop that finds out whether runs exist, before anything else happens to their jobs."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._doubted: dict[int, datetime] = {}  # submissions, since when looks tell nothing sure

    async def run(self) -> None:
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
                await shift.unanswered_added.wait(wait)

    async def _search(self, submission: Submission, why: str) -> None:
        if not submission.marked:
            await self._undecided(submission, why)
            return
        shift = self._shift
        await shift.poll_gate.wait_until_open()
        try:
            sought = await search_runs(shift.api, submission, shift.now())
        except ApiError as error:
            await self._not_searched(submission, error.fault, why)
            return
        shift.poll_gate.record_success()
        await shift.add_orphans(submission, sought.spare)
        await self._found(submission, sought, why)

    async def _found(self, submission: Submission, sought: SearchResult, why: str) -> None:
        """Take what was found; weigh what it means for the rides that are left."""
        runless = await self._shift.record_runs(submission, sought.runs)
        left = tuple(ride for ride in submission.attempts if ride.attempt_id in runless)
        if not left:
            self._doubted.pop(submission.id, None)
            return
        rest = replace(submission, attempts=left)
        if runless & sought.runs.keys():
            await self._doubt(rest, why, "the API names its run for another job as well")
        elif sought.doubt is not None:
            await self._doubt(rest, why, sought.doubt)
        else:
            await self._missed(rest, sought, why)

    async def _missed(self, submission: Submission, sought: SearchResult, why: str) -> None:
        """Count a look in vain, unless searches do not even find what is known to exist."""
        try:
            proved = await self._is_proved(submission, sought)
        except ApiError as error:
            await self._not_searched(submission, error.fault, why)
            return
        if proved is False:
            await self._doubt(submission, why, "the API's search does not find runs that exist")
        else:
            await self._not_found(submission, why, proved=proved is True)

    async def _is_proved(self, submission: Submission, sought: SearchResult) -> bool | None:
        """Whether searches find a run that is known to exist; None: no run is known yet."""
        if sought.echoed:
            return True
        shift = self._shift
        for before in control_run_ages(submission, shift.now()):
            known = partial(shift.store.landmark, shift.batch.id, before)
            landmark = await shift.offload(known)
            if landmark is not None:
                return await finds_control_run(shift.api, landmark)
        return None

    async def _doubt(self, submission: Submission, why: str, reason: str) -> None:
        """
        Search again after a look that tells nothing for sure, for a while.

        The looks in vain before it count for nothing: searches that do not always work have to
        work each time, as often as it takes.
        """
        shift, now = self._shift, self._shift.now()
        since = self._doubted.setdefault(submission.id, now)
        search_at = next_control_search(max(since, shift.clock.jumped_at or since), now)
        if search_at is not None:
            await shift.mark_unanswered(replace(submission, fruitless_searches=0), search_at, why)
        else:
            await self._undecided(submission, f"{why}; and {reason}")

    async def _not_found(self, submission: Submission, why: str, *, proved: bool) -> None:
        """Search again after a look in vain; after enough of them the runs are absent."""
        shift = self._shift
        rest = replace(submission, fruitless_searches=submission.fruitless_searches + 1)
        search_at = next_search(rest, shift.now(), shift.clock.jumped_at)
        if search_at is not None:
            await shift.mark_unanswered(rest, search_at, why)
            return
        self._doubted.pop(submission.id, None)
        jobs = [ride.job.id for ride in rest.attempts]
        before = frozenset() if proved else await self._given_back(jobs)
        verdicts = settle_unconfirmed(rest, before, shift.now())
        if before.issuperset(jobs):
            await shift.close_submission(rest, SubmissionState.UNDECIDED, verdicts, why)
        else:
            watch_at = next_late_check(rest, shift.now())
            await shift.close_submission(rest, SubmissionState.ABSENT, verdicts, why, watch_at)

    async def _given_back(self, job_ids: Sequence[int]) -> frozenset[int]:
        shift = self._shift
        return await shift.offload(lambda: shift.store.given_back(job_ids))

    async def _not_searched(self, submission: Submission, fault: ApiFault, why: str) -> None:
        shift = self._shift
        if not shift.stop_if_not_api(fault) and is_permanent(fault):
            # It may be a gateway that says so, for a while.
            refused = f"the API does not let us search: {fault.message}"
            await self._doubt(submission, why, refused)
            return
        shift.apply_backpressure([classify_fault(fault)], shift.poll_gate)
        await shift.mark_unanswered(submission, shift.now() + SEARCH_RETRY_AFTER, why)

    async def _undecided(self, submission: Submission, why: str) -> None:
        self._doubted.pop(submission.id, None)
        verdicts = settle_unanswered(submission, why)
        await self._shift.close_submission(submission, SubmissionState.UNDECIDED, verdicts, why)
