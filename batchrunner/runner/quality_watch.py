"""Checks the newest results while a batch runs, and stops it if its data has gone bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from batchrunner.model.quality import OnBad, QualityReason
from batchrunner.policy import quality_watch as policy
from batchrunner.policy.quality_bounds import BoundCounts
from batchrunner.policy.quality_watch import CHECK_AFTER, MAX_REASONS, MAX_RESULTS, Anomaly
from batchrunner.policy.watched_results import WatchedResult
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import BadDataFound
from batchrunner.store.quality import last_good_edition
from batchrunner.store.quality_watch import (
    LATE_COMMIT,
    READ_PAGE,
    all_results,
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


class QualityWatch:
    """The loop that reads each new result once, and compares the newest with those before."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._stops = context.batch.settings.quality.on_bad is OnBad.STOP
        self._checked = 0  # attempts that this runner had closed at the newest check
        self._baseline: int | None = None  # the last good edition
        self._counts: BoundCounts | None = None  # None: the job file has no such bounds
        self._since: datetime | None = None  # results of runs that began earlier do not count
        self._results: list[WatchedResult] | None = None  # in order; None: not read yet
        self._newest: datetime | None = None  # when the newest of them was recorded
        self._known: dict[int, datetime] = {}  # newest attempts, by when they were recorded
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
        found = self._anomalies()
        if self._stops and await self._must_stop(found) and await self._stop():
            return
        new = [anomaly for anomaly in found if (anomaly.kind, anomaly.column) not in self._reported]
        if new:
            self._reported.update((anomaly.kind, anomaly.column) for anomaly in new)
            self._context.notify(BadDataFound(reasons=_reasons(new), stopped=False))

    # ---- reading ----

    async def _read_new(self) -> None:
        """Read the results that are new; all that count where the batch was resumed meanwhile."""
        since = await self._context.read(quality_since, self._context.batch.id)
        if self._results is None or since != self._since:
            self._since = since
            await self._read_all()
            return
        while await self._read_page() == READ_PAGE:
            pass

    async def _read_all(self) -> None:
        """Read the newest results; for the bounds of the job file, all are counted."""
        context, batch_id = self._context, self._context.batch.id
        self._results, self._newest, self._known, self._counts = [], None, {}, None
        baseline = await context.read(last_good_edition, context.batch)
        self._baseline = baseline.id if baseline else None
        if self._stops and context.batch.settings.quality.demands_something:
            await context.offload(self._count_all)
        found = await context.read(
            newest_results, batch_id, self._since, MAX_RESULTS, self._baseline
        )
        self._add(found, counted=True)

    def _count_all(self) -> None:
        context = self._context
        counts = BoundCounts(context.batch.settings.quality)
        for result in all_results(context.store, context.batch.id, self._since):
            counts.add(result)
        self._counts = counts

    async def _read_page(self) -> int:
        newest = self._newest or self._context.now() - LATE_COMMIT
        which = (self._context.batch.id, self._since, newest, [*self._known], self._baseline)
        found = await self._context.read(results_since, *which)
        self._add(found)
        return len(found)

    def _add(self, found: Sequence[WatchedResult], *, counted: bool = False) -> None:
        if self._counts is not None and not counted:
            for result in found:
                self._counts.add(result)
        if found:
            self._results = policy.in_order([*(self._results or ()), *found])
            newest = max(each.closed_at for each in found)
            self._newest = newest if self._newest is None else max(newest, self._newest)
            self._known.update((each.attempt_id, each.closed_at) for each in found)
            late = self._newest - 2 * LATE_COMMIT
            self._known = {each: at for each, at in self._known.items() if at >= late}

    def _anomalies(self) -> list[Anomaly]:
        coverage = self._context.batch.settings.quality.coverage
        resumed = self._since is not None
        return policy.anomalies(self._results or [], resumed=resumed, coverage=coverage)

    # ---- stopping ----

    async def _must_stop(self, found: Sequence[Anomaly]) -> bool:
        """Return whether there is a reason to stop; what is left is counted now and then."""
        if (not found and self._counts is None) or self._context.now() < self._recount_at:
            return False
        left = await self._context.read(open_jobs_by_host, self._context.batch.id)
        if self._reasons_to_stop(found, left)[0]:
            return True
        if found:
            self._recount_at = self._context.now() + RECOUNT_INTERVAL
        return False

    def _reasons_to_stop(
        self, found: Sequence[Anomaly], left: Mapping[str, int]
    ) -> tuple[list[QualityReason], set[int]]:
        """Return why the batch is stopped, and the attempts whose results show it."""
        concerned = [anomaly for anomaly in found if policy.stops(anomaly, left)]
        reasons = [anomaly.reason for anomaly in concerned]
        if self._counts is not None:
            lost = self._counts.lost(sum(left.values()), all_rows=self._since is None)
            named = {reason.column for reason in reasons if reason.column}
            reasons += [reason for reason in lost if reason.column not in named]
        return reasons[:MAX_REASONS], {id for anomaly in concerned for id in anomaly.attempts}

    async def _stop(self) -> bool:
        """Stop the batch for what its results are now: some may be judged or asked anew."""
        context = self._context
        await self._read_all()
        left = await context.read(open_jobs_by_host, context.batch.id)
        reasons, results_of = self._reasons_to_stop(self._anomalies(), left)
        if not reasons:
            return False
        stopped = await context.write(
            stop_for_quality,
            context.owner.id,
            context.batch.id,
            reasons,
            results_of,
            self._since,
            context.now(),
        )
        if stopped:
            context.notify(BadDataFound(reasons=tuple(reasons), stopped=True))
            context.work_changed.notify()
        return stopped


def _reasons(found: Sequence[Anomaly]) -> tuple[QualityReason, ...]:
    return tuple(anomaly.reason for anomaly in found[:MAX_REASONS])
