"""Keeps this owner alive, notices when it slept, and takes over from those who died."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.model import Owner
from batchrunner.runner.context import RunnerContext, T
from batchrunner.runner.events import AttemptsRescued, ClockJumped
from batchrunner.store.leases import LEASE

#: Seconds between two looks at the clock.
HEARTBEAT_SECONDS = 2.0
#: How often it is asked whether others still live, at least.
CLOCK_PROBE_SECONDS = timedelta(seconds=5)


class Heartbeat:
    """The loop without which others would take this process for dead."""

    def __init__(
        self, context: RunnerContext, gone: Callable[[Sequence[Owner]], Collection[str]]
    ) -> None:
        self._context = context
        self._gone = gone
        self._leapt_at: datetime | None = None
        self._cut_off: tuple[datetime, datetime] | None = None  # from when to when, the last time
        self._renewed_at = self._probed_at = self._rescued_at = context.now()

    async def start(self) -> None:
        """Enlist, by the ledger's time."""
        context = self._context
        clock = context.clock
        clock.start_at(await context.offload(lambda: context.store.time(clock.wall)))
        await context.offload(lambda: context.store.enlist(context.owner, context.now()))
        self._renewed_at = context.now()

    async def run(self) -> None:
        """Renew the lease, and look after others; for ever."""
        context = self._context
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            now = context.now()
            if context.clock.jumped_at != self._leapt_at:
                await self._wake()
            elif now - self._renewed_at >= LEASE / 3:
                await self._renew()
            if now - self._rescued_at >= LEASE / 3:
                await self.rescue()
            elif now - self._probed_at >= CLOCK_PROBE_SECONDS:
                await self._probe()

    async def rescue(self) -> None:
        """Take over what other owners left behind when they died."""
        context = self._context
        others = await self._ask(lambda: context.store.others(context.owner.id))
        await self._take_over(self._gone([owner for owner, _ in others]))

    async def _probe(self) -> None:
        """Take over from others as soon as they are known to be dead."""
        context = self._context
        self._probed_at = context.now()
        others = await self._ask(lambda: context.store.others(context.owner.id))
        gone = self._gone([owner for owner, _ in others])
        ended_by = self._ended_by()
        if gone or any(lease_until <= ended_by for _, lease_until in others):
            await self._take_over(gone)

    async def _take_over(self, gone: Collection[str]) -> None:
        context = self._context
        self._rescued_at = self._probed_at = context.now()
        ended_by = self._ended_by()  # before the call: the database may go away under it
        taken = await self._ask(
            lambda: context.store.rescue(
                context.owner.id,
                context.batch.id,
                context.now(),
                gone,
                ended_by,
                context.key_digest,
            )
        )
        if taken:
            context.notify(AttemptsRescued(attempts=taken))
            context.work_changed.notify()
            context.unanswered_added.notify()

    def _ended_by(self) -> datetime:
        """Return by when a lease must have ended for its owner to be dead."""
        # Who slept while we did has yet to say that it lives.
        moment = self._context.clock.before_jumps(LEASE)
        if self._cut_off is None:
            return moment
        begun, ended = self._cut_off
        # So has who was cut off from the database as we were.
        return min(moment, begun) if self._context.now() - ended < LEASE else moment

    async def _ask(self, call: Callable[[], T]) -> T:
        """Run a call of the store's, and notice if the database was away for long."""
        asked_at = self._context.now()
        answer = await self._context.offload(call)
        if self._context.now() - asked_at > CLOCK_PROBE_SECONDS:
            self._cut_off = asked_at, self._context.now()
        return answer

    async def _renew(self) -> None:
        context = self._context
        clock = context.clock
        clock.follow(await self._ask(lambda: context.store.time(clock.wall)))
        self._renewed_at = context.now()
        await self._ask(lambda: context.store.renew(context.owner.id, context.now()))

    async def _wake(self) -> None:
        """Go on after a sleep: first of all say that this owner lives, if it still does."""
        clock = self._context.clock
        self._leapt_at = clock.jumped_at
        await self._renew()
        self._context.notify(ClockJumped(seconds=clock.jumped_by.total_seconds()))
        self._context.wake_all()
