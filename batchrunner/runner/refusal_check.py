"""Searches for runs that a refused create may have created, before its jobs are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from batchrunner.classify import classify_fault
from batchrunner.model import FailureCategory, RequestFailed, Run, RunListing, Submission
from batchrunner.policy.create_outcome import refusal_searches
from batchrunner.runner.backpressure import is_permanent
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import LateRunsFound
from batchrunner.runner.run_matching import match_runs
from batchrunner.store.orphans import add_orphans, adopt_late_runs
from batchrunner.store.refusals import confirm_refusals, unconfirmed_refusals

#: How much older than the refused requests a listed run must be for the search to end.
MARGIN = timedelta(minutes=2)
#: When to search again after a search that failed.
RETRY_AFTER = timedelta(seconds=5)


class RefusalCheck:
    """
    Believes a refusal when nothing else was created.

    A gateway may answer in the API's place after the API created runs. So one search of the list
    comes before the jobs are sent again: as late as possible, and once for all that are waiting.
    """

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._retry_at: datetime | None = None

    async def confirm_due(self) -> None:
        """Search for what refused creates created if a job of one is due; take what is found."""
        now = self._context.now()
        if self._retry_at is None or now >= self._retry_at:
            await self._confirm(now)

    async def confirm_all(self) -> None:
        """Search for what refused creates created, at the end of the batch."""
        await self._confirm(None)

    async def _confirm(self, due: datetime | None) -> None:
        context, now = self._context, self._context.now()
        refused = await context.offload(
            lambda: context.store.read(unconfirmed_refusals, context.batch.id, due)
        )
        if not refused:
            return
        await context.gates.poll.wait_until_open()
        try:
            runs = await self._search(refused)
        except RequestFailed as error:
            failure = classify_fault(error.fault)
            if not is_permanent(error.fault) and (
                failure.category is not FailureCategory.UNAUTHORIZED
            ):
                context.gates.meet(error.fault, context.gates.poll)
                self._retry_at = now + RETRY_AFTER
                return
            runs = []  # this API lets nobody search, so there is nothing to wait for
        await self._take(refused, runs)

    async def _search(self, refused: Sequence[Submission]) -> list[Run]:
        """Return the listed runs of the batch that are as new as the refused creates."""
        api, now = self._context.api, self._context.now()
        age = now - min(submission.intended_at for submission in refused) + MARGIN

        def is_enough(page: RunListing) -> bool:
            dated = [run for run in page.runs if run.created_at and run.shown_at]
            return any(run.shown_at - run.created_at > age for run in dated)  # type: ignore[operator]

        found: list[Run] = []
        for text in refusal_searches(refused):
            listed = await api.search(text, newest_first=True, is_enough=is_enough)
            found += listed.runs
        return found

    async def _take(self, refused: Sequence[Submission], runs: Sequence[Run]) -> None:
        """Adopt the runs whose jobs wait; the refusals are confirmed after that."""
        context, adopted, late = self._context, 0, 0
        for submission in refused:
            matched, spare = match_runs(submission, runs)
            if matched or spare:
                adopted += await self._adopt(submission, matched, sorted(spare))
                late += len(matched) + len(spare)
        ids = [submission.id for submission in refused]
        await context.offload(lambda: context.store.write(confirm_refusals, ids))
        if late:
            context.notify(LateRunsFound(adopted=adopted, orphans=late - adopted))
            context.work_changed.notify()

    async def _adopt(
        self, submission: Submission, matched: dict[int, str], spare: Sequence[str]
    ) -> int:
        context, now = self._context, self._context.now()
        await context.offload(
            lambda: context.store.write(add_orphans, context.batch.id, submission, spare, now)
        )
        return await context.offload(
            lambda: context.store.write(
                adopt_late_runs,
                context.owner.id,
                context.batch.id,
                submission,
                matched,
                now,
                new_token=context.store.new_token,
            )
        )
