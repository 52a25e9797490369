"""When unanswered creates are searched for, and until when; `run_search` does the search."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from batchrunner.model import ApiFault, RequestFailed, Submission, WorkLeft
from batchrunner.policy.control_runs import MissingRuns
from batchrunner.policy.create_outcome import (
    UNANSWERED_PATIENCE,
    next_late_check,
    next_search,
    next_unanswered_search,
    settle_absent,
    settle_unanswered,
    unanswered_since,
)
from batchrunner.policy.schedule import Phase
from batchrunner.runner.backpressure import is_permanent
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.control_search import ControlSearch
from batchrunner.runner.run_search import SearchResult, search_newest_runs, search_runs
from batchrunner.runner.submission_record import (
    add_orphans,
    mark_unanswered,
    record_runs,
    settle_submission,
)
from batchrunner.store.schema import SubmissionState
from batchrunner.store.submissions import unanswered_submissions

#: When to search again after a search that failed.
SEARCH_RETRY_AFTER = timedelta(seconds=5)
#: When to search again after runs were created that may be control runs.
NEW_RUN_SEARCH_AFTER = timedelta(seconds=5)
#: Said of an absence that was shown by the whole list, and by no search for a marker as deep.
SHALLOW_REMARK = (
    " (no search has found a marker as deep in its goal: the deepest that was found is after {} "
    "characters; the newest runs were read one by one instead)"
)


class Reconciler:
    """
    The loop that searches for possible runs before anything else happens to their jobs.

    A submission stays unanswered until its runs are found, or control runs show that it has none.
    When nothing is left that could show it, the runner waits for a while and leaves it to the user.
    """

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._controls = ControlSearch(context)
        self._searched_at: dict[int, datetime] = {}  # by submission
        self._progress_at = context.now()  # when something last went on that could decide

    async def run(self) -> None:
        """Search for the runs of every unanswered submission; forever."""
        context = self._context
        while True:
            unanswered = await context.offload(
                lambda: context.store.read(
                    unanswered_submissions, context.owner.id, context.batch.id
                )
            )
            await self._note_progress(bool(unanswered))
            due_at = [(self._due_at(sub, at), sub, reason) for sub, at, reason in unanswered]
            due = [(sub, reason) for at, sub, reason in due_at if at <= context.now()]
            for submission, reason in due:
                await self._search(submission, reason)
            if not due:
                next_at = min((at for at, _, _ in due_at), default=None)
                wait = (next_at - context.now()).total_seconds() if next_at else None
                await context.unanswered_added.wait(wait)

    def _due_at(self, submission: Submission, search_at: datetime) -> datetime:
        """Return when to search: soon after new runs, which may be control runs."""
        recorded_at = self._context.runs_recorded_at
        searched_at = self._searched_at.get(submission.id)
        if recorded_at is None or searched_at is None or recorded_at < searched_at:
            return search_at
        return min(search_at, max(searched_at, recorded_at) + NEW_RUN_SEARCH_AFTER)

    async def _note_progress(self, unanswered: bool) -> None:
        """Note whether anything goes on that could show what became of the submissions."""
        context = self._context
        if not unanswered or await self._may_be_decided(await context.work_left()):
            self._progress_at = context.now()

    async def _may_be_decided(self, work_left: WorkLeft) -> bool:
        """Return whether control runs may still be created, or are in flight."""
        context, stop = self._context, self._context.stop
        if work_left.in_flight_here + work_left.in_flight_elsewhere > work_left.unanswered:
            return True
        stopped = stop.draining or stop.budget_used_up or context.phase is not Phase.OPEN
        blocked = work_left.is_blocked
        if work_left.due_at is None or stopped or blocked:
            return False
        waits = work_left.due_at > context.now() or work_left.pause is not None
        return waits or context.gates.create.is_delayed

    async def _search(self, submission: Submission, reason: str) -> None:
        """Search once; *reason* says why the submission has no answer."""
        if not submission.marked:
            await self._close_undecided(submission, reason)
            return
        context = self._context
        await context.gates.poll.wait_until_open()
        began = self._searched_at[submission.id] = context.now()
        try:
            found = await search_runs(context.api, submission, began)
            await self._take_result(submission, found, reason)
        except RequestFailed as error:
            await self._search_failed(submission, error.fault, reason)

    async def _take_result(self, submission: Submission, found: SearchResult, reason: str) -> None:
        """Record the runs that were found; decide what follows for the other attempts."""
        context = self._context
        context.gates.poll.record_success()
        await add_orphans(context, submission, found.spare)
        without_run = await record_runs(context, submission, found.runs)
        left = tuple(each for each in submission.attempts if each.attempt_id in without_run)
        if not left:
            self._forget(submission)
            return
        rest = replace(submission, attempts=left)
        if without_run & found.runs.keys():
            problem = "the API names its run for another job as well"
            await self._stay_unanswered(rest, reason, problem)
        elif found.inconclusive is not None:
            await self._stay_unanswered(rest, reason, found.inconclusive)
        else:
            await self._not_found(rest, reason)

    async def _not_found(self, submission: Submission, reason: str) -> None:
        """
        Count a fruitless search; after enough of them, believe it if control runs are found.

        Control runs that are found after this search count for the next one.
        """
        context, began = self._context, self._searched_at[submission.id]
        rest = replace(submission, fruitless_searches=submission.fruitless_searches + 1)
        search_at = next_search(rest, context.now(), context.clock.jumped_at)
        missing, evidence = MissingRuns.of(rest), self._controls.evidence(rest)
        if search_at is None and evidence.proves_absence(missing, began):
            await self._close_absent(rest, reason)
            return
        if search_at is None and evidence.lacks_only_depth(missing, began):
            depth = evidence.depth.characters if evidence.depth else 0
            await self._search_newest(rest, reason, SHALLOW_REMARK.format(depth))
            return
        await self._controls.test(rest, began)
        if search_at is None:
            await self._search_later(rest, reason, self._controls.evidence(rest).problem())
        else:
            await mark_unanswered(context, rest, search_at, reason)

    async def _search_newest(self, submission: Submission, reason: str, remark: str) -> None:
        """
        Search in the list of all new runs, where the marker's depth does not matter.

        It is believed only if it shows a run that was created later.
        """
        context = self._context
        later = {run.run_id for run in await self._controls.later_runs(submission)}
        found = await search_newest_runs(context.api, submission, context.now())
        if found.runs or found.spare:
            await add_orphans(context, submission, found.spare)
            await record_runs(context, submission, found.runs)
            await mark_unanswered(context, submission, context.now(), reason)
        elif found.inconclusive is not None or later.isdisjoint(found.listed):
            problem = found.inconclusive or "the API's list does not show runs that exist"
            await self._search_later(submission, reason, problem)
        else:
            await self._close_absent(submission, reason, remark)

    async def _stay_unanswered(self, submission: Submission, reason: str, problem: str) -> None:
        """
        Search again after a search that proves nothing.

        Earlier fruitless searches count for nothing: an unreliable search must succeed each time
        from now on, as often as required.
        """
        await self._search_later(replace(submission, fruitless_searches=0), reason, problem)

    async def _search_later(self, submission: Submission, reason: str, problem: str) -> None:
        """Search again later, unless nothing has gone on for long that could decide."""
        context, now = self._context, self._context.now()
        since = unanswered_since(submission)
        waits_since = max(since, self._progress_at, context.clock.jumped_at or since)
        if now - waits_since >= UNANSWERED_PATIENCE:
            await self._close_undecided(submission, f"{reason}; and {problem}")
        else:
            search_at = next_unanswered_search(since, now)
            await mark_unanswered(context, submission, search_at, reason)

    async def _search_failed(self, submission: Submission, fault: ApiFault, reason: str) -> None:
        context, gates = self._context, self._context.gates
        if not gates.stop_if_not_api(fault) and is_permanent(fault):
            # A gateway may answer like this for a while.
            problem = f"the API does not let us search: {fault.message}"
            await self._stay_unanswered(submission, reason, problem)
            return
        gates.meet(fault, gates.poll)
        await mark_unanswered(context, submission, context.now() + SEARCH_RETRY_AFTER, reason)

    async def _close_absent(self, submission: Submission, reason: str, remark: str = "") -> None:
        """Put back the jobs: no runs were created."""
        self._forget(submission)
        now = self._context.now()
        decisions = settle_absent(submission, now, remark)
        check_at, absent = next_late_check(submission, now), SubmissionState.ABSENT
        await settle_submission(self._context, submission, absent, decisions, reason, check_at)

    async def _close_undecided(self, submission: Submission, reason: str) -> None:
        self._forget(submission)
        decisions = settle_unanswered(submission, reason)
        undecided = SubmissionState.UNDECIDED
        await settle_submission(self._context, submission, undecided, decisions, reason)

    def _forget(self, submission: Submission) -> None:
        self._controls.forget(submission)
        self._searched_at.pop(submission.id, None)
