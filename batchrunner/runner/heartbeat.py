"""Keeps this owner alive, notices when it slept, and takes over from those who died."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.model import Owner
from batchrunner.runner.context import RunnerContext, T
from batchrunner.runner.events import AttemptsRescued, ClockJumped
from batchrunner.store.claims import LEASE

#: Seconds between two looks at the clock.
HEARTBEAT_SECONDS = 2.0
#: How often it is asked whether others still live, at least.
CLOCK_PROBE_SECONDS = timedelta(seconds=5)


class Heartbeat:
    """The loop without which others would take this process for dead."""

    def __init__(
        self, shift: RunnerContext, gone: Callable[[Sequence[Owner]], Collection[str]]
    ) -> None:
        self._shift = shift
        self._gone = gone
        self._leapt_at: datetime | None = None
        self._cut_off: tuple[datetime, datetime] | None = None  # from when to when, the last time
        self._renewed_at = self._probed_at = self._rescued_at = shift.now()

    async def start(self) -> None:
        """Enlist, by the ledger's time."""
        shift = self._shift
        clock = shift.clock
        clock.start_at(await shift.offload(lambda: shift.store.time(clock.wall)))
        await shift.offload(lambda: shift.store.enlist(shift.owner, shift.now()))
        self._renewed_at = shift.now()

    async def run(self) -> None:
        """Renew the lease, and look after others; for ever."""
        shift = self._shift
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            now = shift.now()
            if shift.clock.jumped_at != self._leapt_at:
                await self._wake()
            elif now - self._renewed_at >= LEASE / 3:
                await self._renew()
            if now - self._rescued_at >= LEASE / 3:
                await self.rescue()
            elif now - self._probed_at >= CLOCK_PROBE_SECONDS:
                await self._probe()

    async def rescue(self) -> None:
        """Take over what other owners left behind when they died."""
        shift = self._shift
        others = await self._ask(lambda: shift.store.others(shift.owner.id))
        await self._take_over(self._gone([owner for owner, _ in others]))

    async def _probe(self) -> None:
        """Take over from others as soon as they are known to be dead."""
        shift = self._shift
        self._probed_at = shift.now()
        others = await self._ask(lambda: shift.store.others(shift.owner.id))
        gone = self._gone([owner for owner, _ in others])
        ended_by = self._ended_by()
        if gone or any(lease_until <= ended_by for _, lease_until in others):
            await self._take_over(gone)

    async def _take_over(self, gone: Collection[str]) -> None:
        shift = self._shift
        self._rescued_at = self._probed_at = shift.now()
        ended_by = self._ended_by()  # before the call: the database may go away under it
        taken = await self._ask(
            lambda: shift.store.rescue(
                shift.owner.id, shift.batch.id, shift.now(), gone, ended_by, shift.key_digest
            )
        )
        if taken:
            shift.notify(AttemptsRescued(attempts=taken))
            shift.work_changed.notify()
            shift.unanswered_added.notify()

    def _ended_by(self) -> datetime:
        """Return by when a lease must have ended for its owner to be dead."""
        # Who slept while we did has yet to say that it lives.
        moment = self._shift.clock.before_jumps(LEASE)
        if self._cut_off is None:
            return moment
        begun, ended = self._cut_off
        # So has who was cut off from the database as we were.
        return min(moment, begun) if self._shift.now() - ended < LEASE else moment

    async def _ask(self, call: Callable[[], T]) -> T:
        """Run a call of the store's, and notice if the database was away for long."""
        asked_at = self._shift.now()
        answer = await self._shift.offload(call)
        if self._shift.now() - asked_at > CLOCK_PROBE_SECONDS:
            self._cut_off = asked_at, self._shift.now()
        return answer

    async def _renew(self) -> None:
        shift = self._shift
        clock = shift.clock
        clock.follow(await self._ask(lambda: shift.store.time(clock.wall)))
        self._renewed_at = shift.now()
        await self._ask(lambda: shift.store.renew(shift.owner.id, shift.now()))

    async def _wake(self) -> None:
        """Go on after a sleep: first of all say that this owner lives, if it still does."""
        clock = self._shift.clock
        self._leapt_at = clock.jumped_at
        await self._renew()
        self._shift.notify(ClockJumped(seconds=clock.jumped_by.total_seconds()))
        self._shift.wake_all()
