"""The pool: keeps slots full, watches runs, hands what happened to the core."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

import anyio

from batchrunner.model import Batch, Failed, Owner, WorkLeft
from batchrunner.policy.schedule import Phase, Window
from batchrunner.runner.context import Offload, RunnerContext, StreamedCreate, T
from batchrunner.runner.events import Event
from batchrunner.runner.heartbeat import Heartbeat
from batchrunner.runner.monotonic_clock import MonotonicClock
from batchrunner.runner.orphan_sweeper import OrphanSweeper
from batchrunner.runner.poller import Poller
from batchrunner.runner.reconciler import Reconciler
from batchrunner.runner.submitter import Submitter
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient


class ExitReason(StrEnum):
    """Why a runner came back."""

    FINISHED = "finished"  #: every job of the batch is final
    DRAINED = "drained"  #: asked to stop; nothing of ours is in flight
    OUT_OF_TIME = "out of time"  #: the deadline is near; nothing of ours is in flight
    PARKED = "parked"  #: what is left is on hosts that are broken
    GATED = "gated"  #: the canary has brought too little to go on
    SPENT = "spent"  #: the budget is used up; nothing of anybody's is in flight
    STOPPED = "stopped"  #: the key is refused: going on is no use


def in_thread() -> Offload:
    """Return an offload to a worker thread; one call at a time, as the store wants it."""
    limiter = anyio.CapacityLimiter(1)

    async def offload(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    return offload


class Runner:
    """
    One process's work on one batch.

    Crash-only: starting up *is* recovering, and everything it knows is in the store. Cancel it at
    any moment; runs go on remotely and the next one adopts them.
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
        gone: Callable[[Sequence[Owner]], Collection[str]] = lambda _: (),
        notify: Callable[[Event], None] = lambda _: None,
        key: str | None = None,
        submitting: bool = True,
        submit_once: bool = False,
        streamed_create: StreamedCreate | None = None,
        window: Window | None = None,
        hints: WebhookWakeUp | None = None,
    ) -> None:
        self._context = RunnerContext(
            store=store,
            api=api,
            batch=batch,
            owner=owner,
            clock=MonotonicClock(now, monotonic),
            offload_once=offload,
            notify=notify,
            key_digest=key,
            draining=not submitting,
            submit_once=submit_once,
            streamed_create=streamed_create,
            window=window or Window(),
            webhook_wakeup=hints or WebhookWakeUp(),
        )
        self._living = Heartbeat(self._context, gone)
        self._straying = OrphanSweeper(self._context)

    @property
    def stop_failure(self) -> Failed | None:
        """Why nothing more could be submitted, if so."""
        return self._context.stop.failure if self._context.stop else None

    def drain(self) -> None:
        """Submit nothing more, and come back when nothing of ours is in flight."""
        self._context.draining = True
        self._context.work_changed.notify()

    async def run(self) -> ExitReason:
        """
        Work until every job is final, or until drained, stopped or out of time.

        Raises:
            LeaseLost: This process was taken for dead, and others went on with its jobs.
            KeyReplaced: The batch is run with another account's key since.
            StoreError: The database cannot be used any more.
        """
        context = self._context
        await self._living.start()
        try:
            return await self._work()
        except BaseExceptionGroup as group:
            raise innermost(group) from None
        finally:
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await context.offload_once(
                    lambda: context.store.retire(context.owner.id, context.now())
                )

    async def _work(self) -> ExitReason:
        await self._living.rescue()
        submitter = Submitter(self._context)
        async with anyio.create_task_group() as loops:
            loops.start_soon(self._living.run)
            loops.start_soon(submitter.run)
            loops.start_soon(Reconciler(self._context).run)
            loops.start_soon(self._straying.run)
            ending = await self._watch()
            await submitter.finish_streams()
            loops.cancel_scope.cancel()
        return ending

    async def _watch(self) -> ExitReason:
        watching = Poller(self._context)
        while True:
            ending = self._ending(await self._context.work_left())
            if ending is ExitReason.FINISHED:
                await self._straying.final_check()  # which may bring a job back
                ending = self._ending(await self._context.work_left())
            if ending is not None:
                return ending
            while await watching.poll() and not self._context.polling_disabled:
                pass  # what is watched is not at its end

    def _ending(self, standing: WorkLeft) -> ExitReason | None:
        if self._context.polling_disabled:
            return ExitReason.STOPPED
        if standing.in_flight_here:
            return None
        if standing.due_at is None and not standing.in_flight_elsewhere:
            return ExitReason.FINISHED
        if self._context.stop is not None:
            return ExitReason.STOPPED
        if self._context.draining:
            return ExitReason.DRAINED
        if not standing.in_flight_elsewhere and (ending := self._nothing_more(standing)):
            return ending
        late = self._context.phase in (Phase.LANDING, Phase.OVER)
        return ExitReason.OUT_OF_TIME if late else None

    def _nothing_more(self, standing: WorkLeft) -> ExitReason | None:
        """Say why no runner of the batch can do more, though jobs are left."""
        if standing.canary_failed:
            return ExitReason.GATED
        if standing.given_up:
            return ExitReason.PARKED
        return ExitReason.SPENT if self._context.budget_used_up else None


def innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception that a task group wrapped: the one that ended it."""
    first = group.exceptions[0]
    return innermost(first) if isinstance(first, BaseExceptionGroup) else first
