"""Runs one process's work on a batch: starts the loops, and decides when the work has ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

import anyio

from batchrunner.model import Batch, Failed, Owner, WorkLeft
from batchrunner.model.audit import AuditReport, AuditStop
from batchrunner.policy.schedule import Phase, Window
from batchrunner.runner.auditor import Auditor
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import Event
from batchrunner.runner.heartbeat import Heartbeat
from batchrunner.runner.monotonic_clock import MonotonicClock
from batchrunner.runner.offload import Offload, T
from batchrunner.runner.orphan_sweeper import OrphanSweeper
from batchrunner.runner.poller import Poller
from batchrunner.runner.quality_watch import QualityWatch
from batchrunner.runner.reconciler import Reconciler
from batchrunner.runner.streamed_create import StreamedCreate
from batchrunner.runner.submitter import Submitter
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.store.database import StoreError
from batchrunner.store.leases import end_owner
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient


class ExitReason(StrEnum):
    """Why a runner returned."""

    FINISHED = "finished"  #: every job of the batch is final
    PART_DONE = "part done"  #: every job of the chosen part is final, and others are left
    DRAINED = "drained"  #: asked to stop; none of our runs is in flight
    OUT_OF_TIME = "out of time"  #: the deadline is near; none of our runs is in flight
    PARKED = "parked"  #: all jobs that are left are on parked hosts
    CANARY_FAILED = "gated"  #: too few of the canary's jobs succeeded
    BAD_QUALITY = "bad quality"  #: the data went bad; it waits until the user resumes it
    BUDGET_USED_UP = "spent"  #: the budget covers no other run; no run is in flight
    STOPPED = "stopped"  #: a failure that waiting cannot fix, such as a refused key


def in_thread() -> Offload:
    """Return an offload to a worker thread, one call at a time, as the store requires."""
    limiter = anyio.CapacityLimiter(1)

    async def offload(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    return offload


class Runner:
    """
    One process's work on one batch.

    Crash-only: starting up *is* recovering, and everything that matters is in the store. It may be
    cancelled at any moment: runs go on remotely, and the next runner adopts them.
    """

    def __init__(
        self,
        *,
        store: Store,
        api: TinyFishClient,
        batch: Batch,
        owner: Owner,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        offload: Offload,
        exited_owners: Callable[[Sequence[Owner]], Collection[str]] = lambda _: (),
        notify: Callable[[Event], None] = lambda _: None,
        key_digest: str | None = None,
        submit: bool = True,
        part: bool = False,
        submit_once: bool = False,
        streamed_create: StreamedCreate | None = None,
        window: Window | None = None,
        webhook_wakeup: WebhookWakeUp | None = None,
    ) -> None:
        self._context = RunnerContext(
            store=store,
            api=api,
            batch=batch,
            owner=owner,
            clock=MonotonicClock(now, monotonic),
            offload_once=offload,
            notify=notify,
            key_digest=key_digest,
            part=part,
            submit_once=submit_once,
            streamed_create=streamed_create,
            window=window or Window(),
            webhook_wakeup=webhook_wakeup or WebhookWakeUp(),
        )
        self._context.stop.draining = not submit
        self._heartbeat = Heartbeat(self._context, exited_owners)
        self._orphan_sweeper = OrphanSweeper(self._context)
        self._auditor = Auditor(self._context)

    @property
    def stop_failure(self) -> Failed | None:
        """The failure after which nothing more could be submitted, if any."""
        return self._context.stop.failure

    @property
    def audit_stop(self) -> AuditStop | None:
        """What an audit found, after which nothing more was submitted."""
        return self._context.stop.audit_stop

    @property
    def audit_report(self) -> AuditReport | None:
        """What the newest audit found; None without one."""
        return self._auditor.report

    def drain(self) -> None:
        """
        Submit nothing more, and return when none of our runs is in flight.

        Runs that have not started are cancelled; their jobs are available again.
        """
        self._context.stop.drain_as_asked()
        self._context.webhook_wakeup.wake()

    async def run(self) -> ExitReason:
        """
        Work until every job is final, or until drained, stopped or out of time.

        Raises:
            LeaseLost: Other processes took this one for dead, and have taken over its jobs.
            KeyReplaced: The batch now runs with the key of another account.
            StoreError: The database cannot be used any more.
        """
        context = self._context
        await self._heartbeat.start()
        try:
            return await self._work()
        except BaseExceptionGroup as group:
            raise innermost(group) from None
        finally:
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await context.offload_once(
                    lambda: context.store.write(end_owner, context.owner.id, context.now())
                )

    async def _work(self) -> ExitReason:
        await self._heartbeat.rescue()
        async with anyio.create_task_group() as loops:
            loops.start_soon(self._heartbeat.run)
            loops.start_soon(Submitter(self._context).run)
            loops.start_soon(Reconciler(self._context).run)
            loops.start_soon(self._orphan_sweeper.run)
            loops.start_soon(self._auditor.run)
            loops.start_soon(QualityWatch(self._context).run)
            exit_reason = await self._poll_to_the_end()
            if self._context.streamed_create is not None:
                await self._context.streamed_create.finish()
            loops.cancel_scope.cancel()
        return exit_reason

    async def _poll_to_the_end(self) -> ExitReason:
        poller = Poller(self._context)
        while True:
            exit_reason = self._exit_reason(await self._context.work_left())
            if exit_reason is not None:
                await self._check_all_runs(exit_reason)  # may adopt a run
                exit_reason = self._exit_reason(await self._context.work_left_now())
            if exit_reason is not None:
                return exit_reason
            while await poller.poll() and not self._context.stop.polling_disabled:
                pass  # the batch cannot end while runs are in flight

    async def _check_all_runs(self, exit_reason: ExitReason) -> None:
        """Leave no run behind: search for late runs, audit, and wait until orphans have ended."""
        if self._context.stop.polling_disabled:
            return
        if exit_reason is ExitReason.FINISHED:
            await self._orphan_sweeper.final_check()
            await self._auditor.last_audit()
        else:
            await self._auditor.audit()
        await self._orphan_sweeper.finish_orphans()
        if self._auditor.took_runs:
            await self._auditor.audit(full=exit_reason is ExitReason.FINISHED)

    def _exit_reason(self, work_left: WorkLeft) -> ExitReason | None:
        """Return why there is nothing more to do here; None if there is."""
        stop = self._context.stop
        if stop.polling_disabled:
            return ExitReason.STOPPED
        if work_left.in_flight_here:
            return None
        if work_left.due_at is None and not work_left.in_flight_elsewhere:
            return ExitReason.FINISHED
        if stop.failure is not None or stop.audit_stop is not None:
            return ExitReason.STOPPED
        if stop.draining:
            return ExitReason.DRAINED
        if not work_left.in_flight_elsewhere and (blocked := self._blocked_reason(work_left)):
            return blocked
        is_late = self._context.phase in (Phase.LANDING, Phase.OVER)
        return ExitReason.OUT_OF_TIME if is_late else None

    def _blocked_reason(self, work_left: WorkLeft) -> ExitReason | None:
        """Return why no runner of the batch can submit the jobs that are left; None if one can."""
        if work_left.canary_failed:
            return ExitReason.CANARY_FAILED
        if work_left.quality_stop is not None:
            return ExitReason.BAD_QUALITY
        if work_left.given_up:
            return ExitReason.PARKED
        return ExitReason.BUDGET_USED_UP if self._context.stop.budget_used_up else None


def innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the exception that ended a task group: the first one that it wrapped."""
    first = group.exceptions[0]
    return innermost(first) if isinstance(first, BaseExceptionGroup) else first
