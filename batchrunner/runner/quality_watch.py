"""Checks the newest results while a batch runs, and stops it if its data has gone bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from batchrunner.model.quality import OnBad, QualityReason
from batchrunner.policy import quality_watch as policy
from batchrunner.policy.quality_watch import CHECK_AFTER, MAX_REASONS, MAX_RESULTS, Shift
from batchrunner.policy.watched_results import WatchedResult
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import BadDataFound
from batchrunner.store.quality_watch import (
    LATE_COMMIT,
    READ_PAGE,
    newest_results,
    open_jobs_by_host,
    quality_since,
    results_since,
    stop_for_quality,
)

#: Seconds after which new results are checked, even if they are few.
CHECK_SECONDS = 60.0
#: How often the jobs that are left are counted for a finding that does not stop the batch.
RECOUNT_INTERVAL = timedelta(seconds=30)

P = ParamSpec("P")
T = TypeVar("T")


class QualityWatch:
    """The loop that reads each new result once, and compares the newest with those before."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._stops = context.batch.settings.quality.on_bad is OnBad.STOP
        self._checked = 0  # attempts that this runner had closed at the newest check
        self._baseline: int | None = None
        self._since: datetime | None = None  # results of runs that began earlier do not count
        self._results: list[WatchedResult] | None = None  # in order; None: not read yet
        self._newest: datetime | None = None  # when the newest of them was recorded
        self._reported: set[tuple[str, str]] = set()
        self._recount_at = context.now()

    async def run(self) -> None:
        """Check when there are enough new results, or some after a while; forever."""
        context = self._context
        while True:
            began = context.now()
            while not self._is_due(began):
                left = CHECK_SECONDS - (context.now() - began).total_seconds()
                await context.results_added.wait(left if left > 0 else CHECK_SECONDS)
            self._checked = context.closed_attempts
            await self.check()

    def _is_due(self, began: datetime) -> bool:
        new = self._context.closed_attempts - self._checked
        waited = (self._context.now() - began).total_seconds() >= CHECK_SECONDS
        return new >= CHECK_AFTER or (new > 0 and waited)

    async def check(self) -> None:
        """Read what is new, report what is bad, and stop the batch if that is what the user set."""
        await self._read_new()
        found = self._shifts()
        if not found:
            return
        if self._stops and await self._concern_most(found) and await self._stop():
            return
        new = [shift for shift in found if (shift.kind, shift.column) not in self._reported]
        if new:
            self._reported.update((shift.kind, shift.column) for shift in new)
            self._context.notify(BadDataFound(reasons=_reasons(new), stopped=False))

    # ---- reading ----

    async def _read_new(self) -> None:
        """Read the results that are new; all that count where the batch was resumed meanwhile."""
        since = await self._read(quality_since, self._context.batch.id)
        if self._results is None or since != self._since:
            self._since = since
            await self._read_all()
            return
        while await self._read_page() == READ_PAGE:
            pass

    async def _read_all(self) -> None:
        batch_id = self._context.batch.id
        found = await self._read(newest_results, batch_id, self._since, MAX_RESULTS, self._baseline)
        self._results, self._newest = [], None
        self._add(found)

    async def _read_page(self) -> int:
        known = self._results or []
        newest = self._newest or self._context.now() - LATE_COMMIT
        late = newest - 2 * LATE_COMMIT
        ids = [each.attempt_id for each in known if each.closed_at >= late]
        batch_id = self._context.batch.id
        found = await self._read(results_since, batch_id, self._since, newest, ids, self._baseline)
        self._add(found)
        return len(found)

    def _add(self, found: Sequence[WatchedResult]) -> None:
        if found:
            self._results = policy.in_order([*(self._results or ()), *found])
            newest = max(each.closed_at for each in found)
            self._newest = newest if self._newest is None else max(newest, self._newest)

    def _shifts(self) -> list[Shift]:
        return policy.shifts(self._results or [], resumed=self._since is not None)

    # ---- stopping ----

    async def _concern_most(self, found: Sequence[Shift]) -> bool:
        """Return whether a finding is about most of what is left; counted now and then."""
        if self._context.now() < self._recount_at:
            return False
        left = await self._read(open_jobs_by_host, self._context.batch.id)
        if any(policy.stops(shift, left) for shift in found):
            return True
        self._recount_at = self._context.now() + RECOUNT_INTERVAL
        return False

    async def _stop(self) -> bool:
        """Stop the batch for what its results are now: some may be judged or asked anew."""
        context = self._context
        await self._read_all()
        left = await self._read(open_jobs_by_host, context.batch.id)
        found = [shift for shift in self._shifts() if policy.stops(shift, left)]
        if not found:
            return False
        reasons = _reasons(found)
        results_of = {attempt_id for shift in found for attempt_id in shift.attempts}
        stopped = await context.offload(
            lambda: context.store.write(
                stop_for_quality,
                context.owner.id,
                context.batch.id,
                reasons,
                results_of,
                self._since,
                context.now(),
            )
        )
        if stopped:
            context.notify(BadDataFound(reasons=reasons, stopped=True))
            context.work_changed.notify()
        return stopped

    async def _read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        context = self._context
        return await context.offload(partial(context.store.read, function, *args, **kwargs))


def _reasons(found: Sequence[Shift]) -> tuple[QualityReason, ...]:
    return tuple(shift.reason for shift in found[:MAX_REASONS])
