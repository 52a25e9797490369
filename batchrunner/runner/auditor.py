"""Audits the batch again and again, takes runs that it did not know, and stops at losses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio

from batchrunner.classify import classify_fault
from batchrunner.model import FailureCategory, RequestFailed
from batchrunner.model.audit import (
    AuditReport,
    AuditStop,
    DifferenceKind,
    ForeignRunsFound,
    Taken,
)
from batchrunner.policy.audit import audit_interval
from batchrunner.policy.stop_loss import stop_loss_reached
from batchrunner.runner.batch_audit import BatchAudit, T, may_pass
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import SubmittingStopped, UnknownRunsFound
from batchrunner.store.audit import losses

#: Seconds between two checks of what orphans and lost runs have cost.
LOSS_CHECK_SECONDS = 30.0
#: Times that a request of an audit is sent before the audit is put off.
MAX_TRIES = 3
#: Seconds for which the first audit may delay submitting.
FIRST_AUDIT_SECONDS = 30.0
#: How often the last audit is repeated while the list does not show all runs; each wait is twice
#: the one before, in all two minutes.
MAX_LAST_AUDITS, FIRST_WAIT_SECONDS = 7, 2.0


class Auditor:
    """The loop that compares the batch's runs with the API's own list of them."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._newest: datetime | None = None  # by the API's clock, of the last audit
        self._audits = 0
        self._lock = anyio.Lock()
        self._next_at = context.now()
        self.report: AuditReport | None = None  #: of the newest audit

    @property
    def took_runs(self) -> bool:
        """Whether the newest audit adopted or cancelled runs, so that its numbers are old."""
        return self.report is not None and any(each.taken for each in self.report.differences)

    async def run(self) -> None:
        """Audit the newest runs when it is time, and check the stop-loss; forever."""
        context = self._context
        with anyio.move_on_after(FIRST_AUDIT_SECONDS):
            await self.audit()
        await self._check_losses()
        context.stop.audited.set()
        while True:
            await anyio.sleep(LOSS_CHECK_SECONDS)
            if context.now() >= self._next_at:
                await self.audit()
            await self._check_losses()

    async def audit(self, *, full: bool = False) -> AuditReport | None:
        """Compare the newest runs, or all, and take those that are unknown; None if it failed."""
        async with self._lock:
            self._next_at = self._context.now() + audit_interval(self._audits)
            self._audits += 1
            return await self._audit(full=full)

    async def _audit(self, *, full: bool) -> AuditReport | None:
        audit = BatchAudit(
            api=self._context.api,
            ask=self._ask,
            read=self._context.read,
            write=self._context.write,
            batch_id=self._context.batch.id,
            now=self._context.now,
        )
        try:
            report = await (audit.full() if full else audit.newest_runs(self._newest))
            report = await self._take(audit, report)
        except RequestFailed:
            return None
        self._newest = audit.newest or self._newest
        self.report = report
        return report

    async def last_audit(self) -> None:
        """Compare all runs, and wait for a while for those that the list does not show yet."""
        if self.report is not None and not self.report.differences:
            self.report = None  # that some runs agree does not say that all do
        for number in range(MAX_LAST_AUDITS):
            report = await self.audit(full=True)
            if report is not None and not report.not_yet_shown and not report.unlisted:
                return
            if self._context.stop.polling_disabled or number + 1 == MAX_LAST_AUDITS:
                return
            await anyio.sleep(FIRST_WAIT_SECONDS * 2**number)

    # ---- requests ----

    async def _ask(self, request: Callable[[], Awaitable[T]], /) -> T:
        """
        Send a request when requests may pass; repeat one that failed for now.

        Only a rate limit concerns other requests: a gateway may pass polls and not the list.
        """
        gates, failed = self._context.gates, 0
        while True:
            await gates.poll.wait_until_open()
            try:
                return await request()
            except RequestFailed as error:
                failed += 1
                failure = classify_fault(error.fault)
                if failed == MAX_TRIES or not may_pass(failure):
                    raise
                if failure.category is FailureCategory.THROTTLED:
                    gates.apply_backpressure([failure], gates.poll)
            await anyio.sleep(FIRST_WAIT_SECONDS * 2**failed)

    # ---- what was found ----

    async def _take(self, audit: BatchAudit, report: AuditReport) -> AuditReport:
        """Adopt unknown runs or list them as orphans; stop submitting if another database runs."""
        context = self._context
        foreign = [each for each in report.differences if each.kind is DifferenceKind.FOREIGN]
        if foreign:
            # Creates of unknown runs may be older than the copy of the database: leave all alone.
            self._stop(ForeignRunsFound(run_ids=tuple(each.run_id for each in foreign)))
            return report
        report = await audit.take(report, context.owner.id, context.store.new_token)
        taken = [each.taken for each in report.differences if each.taken]
        if taken:
            adopted = taken.count(Taken.ADOPTED)
            context.notify(UnknownRunsFound(adopted=adopted, orphans=len(taken) - adopted))
            context.work_changed.notify()
        return report

    async def _check_losses(self) -> None:
        """Stop submitting if orphans and lost runs exceed the stop-loss."""
        context = self._context
        if context.stop.audit_stop is not None:
            return
        found = await self._context.read(losses, context.batch.id)
        rule, rate = context.batch.settings.stop_loss, context.batch.step_price
        if reached := stop_loss_reached(rule, found, rate):
            self._stop(reached)

    def _stop(self, reason: AuditStop) -> None:
        context = self._context
        if context.stop.audit_stop is None:
            context.stop.stop_for_audit(reason)
            context.notify(SubmittingStopped(reason=reason))
