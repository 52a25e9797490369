"""When unanswered creates are searched for, and until when; `run_search` does the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from batchrunner.model import ApiFault, RequestFailed, Submission
from batchrunner.policy.create_outcome import (
    control_run_ages,
    next_control_search,
    next_late_check,
    next_search,
    settle_unanswered,
    settle_unconfirmed,
)
from batchrunner.runner.backpressure import is_permanent
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.run_search import SearchResult, finds_control_run, search_runs
from batchrunner.runner.submission_record import (
    add_orphans,
    mark_unanswered,
    record_runs,
    settle_submission,
)
from batchrunner.store import search_checks
from batchrunner.store.schema import SubmissionState
from batchrunner.store.search_checks import jobs_given_back
from batchrunner.store.submissions import unanswered_submissions

#: When to search again after a search that failed.
SEARCH_RETRY_AFTER = timedelta(seconds=5)


class Reconciler:
    """The loop that searches for possible runs before anything else happens to their jobs."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._inconclusive_since: dict[int, datetime] = {}  # by submission

    async def run(self) -> None:
        """Search for the runs of every unanswered submission; forever."""
        context = self._context
        while True:
            unanswered = await context.offload(
                lambda: context.store.read(
                    unanswered_submissions, context.owner.id, context.batch.id
                )
            )
            due = [(sub, reason) for sub, at, reason in unanswered if at <= context.now()]
            for submission, reason in due:
                await self._search(submission, reason)
            if not due:
                next_at = min((search_at for _, search_at, _ in unanswered), default=None)
                wait = (next_at - context.now()).total_seconds() if next_at else None
                await context.unanswered_added.wait(wait)

    async def _search(self, submission: Submission, reason: str) -> None:
        """Search once; *reason* says why the submission has no answer."""
        if not submission.marked:
            await self._close_undecided(submission, reason)
            return
        context = self._context
        await context.gates.poll.wait_until_open()
        try:
            found = await search_runs(context.api, submission, context.now())
        except RequestFailed as error:
            await self._search_failed(submission, error.fault, reason)
            return
        context.gates.poll.record_success()
        await add_orphans(context, submission, found.spare)
        await self._take_result(submission, found, reason)

    async def _take_result(self, submission: Submission, found: SearchResult, reason: str) -> None:
        """Record the runs that were found; decide what follows for the other attempts."""
        without_run = await record_runs(self._context, submission, found.runs)
        left = tuple(each for each in submission.attempts if each.attempt_id in without_run)
        if not left:
            self._inconclusive_since.pop(submission.id, None)
            return
        rest = replace(submission, attempts=left)
        if without_run & found.runs.keys():
            problem = "the API names its run for another job as well"
            await self._search_inconclusive(rest, reason, problem)
        elif found.inconclusive is not None:
            await self._search_inconclusive(rest, reason, found.inconclusive)
        else:
            await self._not_found(rest, found, reason)

    async def _not_found(self, submission: Submission, found: SearchResult, reason: str) -> None:
        """Count a fruitless search, unless the control search fails too."""
        try:
            proved = await self._is_proved(submission, found)
        except RequestFailed as error:
            await self._search_failed(submission, error.fault, reason)
            return
        if proved is False:
            problem = "the API's search does not find runs that exist"
            await self._search_inconclusive(submission, reason, problem)
        else:
            await self._search_fruitless(submission, reason, proved=proved is True)

    async def _is_proved(self, submission: Submission, found: SearchResult) -> bool | None:
        """Return whether a search finds a run known to exist; None if no such run is known yet."""
        if found.echoed:
            return True
        context = self._context
        for before in control_run_ages(submission, context.now()):
            read_control_run = partial(
                context.store.read, search_checks.control_run, context.batch.id, before
            )
            control_run = await context.offload(read_control_run)
            if control_run is not None:
                return await finds_control_run(context.api, control_run)
        return None

    async def _search_inconclusive(self, submission: Submission, reason: str, problem: str) -> None:
        """
        Search again after a search that proves nothing, for a while.

        Earlier fruitless searches count for nothing: an unreliable search must succeed each time
        from now on, as often as required.
        """
        context, now = self._context, self._context.now()
        since = self._inconclusive_since.setdefault(submission.id, now)
        search_at = next_control_search(max(since, context.clock.jumped_at or since), now)
        if search_at is not None:
            again = replace(submission, fruitless_searches=0)
            await mark_unanswered(context, again, search_at, reason)
        else:
            await self._close_undecided(submission, f"{reason}; and {problem}")

    async def _search_fruitless(self, submission: Submission, reason: str, *, proved: bool) -> None:
        """Search again after a fruitless search; after enough of them the runs do not exist."""
        context = self._context
        rest = replace(submission, fruitless_searches=submission.fruitless_searches + 1)
        search_at = next_search(rest, context.now(), context.clock.jumped_at)
        if search_at is not None:
            await mark_unanswered(context, rest, search_at, reason)
            return
        self._inconclusive_since.pop(submission.id, None)
        jobs = [each.job.id for each in rest.attempts]
        given_back = frozenset() if proved else await self._given_back(jobs)
        decisions = settle_unconfirmed(rest, given_back, context.now())
        if given_back.issuperset(jobs):
            undecided = SubmissionState.UNDECIDED
            await settle_submission(context, rest, undecided, decisions, reason)
        else:
            check_at = next_late_check(rest, context.now())
            absent = SubmissionState.ABSENT
            await settle_submission(context, rest, absent, decisions, reason, check_at)

    async def _given_back(self, job_ids: Sequence[int]) -> frozenset[int]:
        """Return the jobs that became available once before without proof."""
        context = self._context
        return await context.offload(lambda: context.store.read(jobs_given_back, job_ids))

    async def _search_failed(self, submission: Submission, fault: ApiFault, reason: str) -> None:
        context, gates = self._context, self._context.gates
        if not gates.stop_if_not_api(fault) and is_permanent(fault):
            # A gateway may answer like this for a while.
            problem = f"the API does not let us search: {fault.message}"
            await self._search_inconclusive(submission, reason, problem)
            return
        gates.meet(fault, gates.poll)
        await mark_unanswered(context, submission, context.now() + SEARCH_RETRY_AFTER, reason)

    async def _close_undecided(self, submission: Submission, reason: str) -> None:
        self._inconclusive_since.pop(submission.id, None)
        decisions = settle_unanswered(submission, reason)
        undecided = SubmissionState.UNDECIDED
        await settle_submission(self._context, submission, undecided, decisions, reason)
