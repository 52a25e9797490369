"""Searches for runs that a refused create may have created, before its jobs are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import (
    ApiFault,
    FailureCategory,
    RequestFailed,
    Run,
    RunListing,
    Submission,
)
from batchrunner.policy.control_runs import (
    LISTED_AFTER,
    ControlRun,
    sees_refused,
    shows_refused,
)
from batchrunner.policy.create_outcome import refusal_searches
from batchrunner.runner.backpressure import is_permanent
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import LateRunsFound
from batchrunner.runner.run_matching import match_runs
from batchrunner.store.orphans import add_orphans, adopt_late_runs
from batchrunner.store.refusals import confirm_refusals, unconfirmed_refusals
from batchrunner.store.search_checks import later_runs

#: How much older than the refused requests a listed run must be for the search to end.
MARGIN = timedelta(minutes=2)
#: When to search again after a search that failed, and after one that proved nothing.
RETRY_AFTER, UNPROVED_RETRY_AFTER = timedelta(seconds=5), timedelta(seconds=2)
#: For how long searches may be refused before they count as not offered.
UNSEARCHABLE_AFTER = timedelta(minutes=1)


class RefusalCheck:
    """
    Believes a refusal when nothing else was created.

    A gateway may answer in the API's place after the API created runs. So a search of the list
    comes before the jobs are sent again: as late as possible, and once for all that are waiting. It
    is repeated while the list is late.
    """

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._retry_at: datetime | None = None
        self._unsearchable_since: datetime | None = None
        self._taken = set[str]()  # runs that an earlier search has found

    async def confirm_due(self) -> None:
        """Search for what refused creates created if a job of one is due; take what is found."""
        now = self._context.now()
        if self._retry_at is None or now >= self._retry_at:
            await self._confirm(now)

    async def confirm_all(self) -> None:
        """Search for what refused creates created, at the end of the batch."""
        self._retry_at = None
        await self._confirm(None)
        while self._retry_at is not None and not self._context.stop.polling_disabled:
            await anyio.sleep(max((self._retry_at - self._context.now()).total_seconds(), 0))
            await self._confirm(None)

    async def _confirm(self, due: datetime | None) -> None:
        """Search once; set when to search again for those refusals that stay unconfirmed."""
        context, now = self._context, self._context.now()
        self._retry_at = None
        refused = await context.offload(
            lambda: context.store.read(unconfirmed_refusals, context.batch.id, due)
        )
        if not refused:
            return
        ripe_at = min(submission.intended_at for submission in refused) + LISTED_AFTER
        if now < ripe_at:
            self._retry_at = ripe_at
            return
        await context.gates.poll.wait_until_open()
        began = context.now()
        since = min(submission.intended_at for submission in refused) - MARGIN
        known = await context.offload(
            lambda: context.store.read(later_runs, context.batch.id, since)
        )
        try:
            runs = await self._search(refused, known)
        except RequestFailed as error:
            if not self._may_never_search(error.fault):
                self._retry_at = context.now() + RETRY_AFTER
                return
            await self._take(refused, [], refused)  # there is nothing to wait for
            return
        self._unsearchable_since = None
        listed = {run.run_id for run in runs}
        proved = [each for each in refused if shows_refused(each, known, listed, began)]
        await self._take(refused, runs, proved)
        if len(proved) < len(refused):
            self._retry_at = context.now() + UNPROVED_RETRY_AFTER

    def _may_never_search(self, fault: ApiFault) -> bool:
        """Note that a search failed; return whether this API lets nobody search."""
        context = self._context
        unauthorized = classify_fault(fault).category is FailureCategory.UNAUTHORIZED
        if not is_permanent(fault) and not unauthorized:
            context.gates.meet(fault, context.gates.poll)
            return False
        # It may be a hiccup of a gateway, but it may not delay the jobs for ever.
        self._unsearchable_since = self._unsearchable_since or context.now()
        return context.now() - self._unsearchable_since >= UNSEARCHABLE_AFTER

    async def _search(
        self, refused: Sequence[Submission], known: Sequence[ControlRun]
    ) -> list[Run]:
        """
        Return the listed runs that are as new as the refused creates, or newer.

        Where the search shows no run of *known* with a marker as deep in its goal, it may not see
        such markers: then the list of all new runs is read as well.
        """
        api, now = self._context.api, self._context.now()
        age = now - min(submission.intended_at for submission in refused) + MARGIN

        def is_enough(page: RunListing) -> bool:
            times = [(run.created_at, run.shown_at) for run in page.runs]
            dated = [(at, shown_at) for at, shown_at in times if at and shown_at]
            created = [at for at, _ in dated]
            if created != sorted(created, reverse=True) or len(set(created)) < 2:
                return False  # a list in another order may show new runs after old ones
            oldest, shown_at = dated[-1]
            return shown_at - oldest > age

        found: list[Run] = []
        for text in refusal_searches(refused):
            listed = await api.search(text, newest_first=True, is_enough=is_enough)
            found += listed.runs
        listed_ids = {run.run_id for run in found}
        if not all(sees_refused(each, known, listed_ids) for each in refused):
            found += (await api.search(None, newest_first=True, is_enough=is_enough)).runs
        return found

    async def _take(
        self, refused: Sequence[Submission], runs: Sequence[Run], proved: Sequence[Submission]
    ) -> None:
        """Adopt the runs whose jobs wait; the refusals that are *proved* are confirmed then."""
        context, adopted, late = self._context, 0, 0
        fresh = [run for run in runs if run.run_id not in self._taken]
        for submission in refused:
            matched, spare = match_runs(submission, fresh)
            if matched or spare:
                adopted += await self._adopt(submission, matched, sorted(spare))
                late += len(matched) + len(spare)
        self._taken.update(run.run_id for run in fresh)
        ids = [submission.id for submission in proved]
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
