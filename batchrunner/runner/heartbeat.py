"""Sends this process's heartbeat, notices clock jumps, and has attempts of dead owners rescued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import anyio

from batchrunner.model import Owner
from batchrunner.policy.schedule import Phase
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import AttemptsRescued, ClockJumped
from batchrunner.runner.offload import T
from batchrunner.store.damage import Damage, damaged
from batchrunner.store.leases import other_owners, register_owner, renew_lease, rescue_attempts
from batchrunner.store.store_time import LEASE, store_time

#: Seconds between two readings of the clock.
HEARTBEAT_SECONDS = 2.0
#: Longest time between two checks whether other owners are alive.
OWNER_CHECK_INTERVAL = timedelta(seconds=5)
#: A store call that takes longer means that the database was unavailable.
SLOW_STORE_CALL = timedelta(seconds=5)


class Heartbeat:
    """The loop that shows other processes that this one is alive, and takes over from dead ones."""

    def __init__(
        self, context: RunnerContext, exited_owners: Callable[[Sequence[Owner]], Collection[str]]
    ) -> None:
        self._context = context
        self._exited_owners = exited_owners
        self._handled_jump_at: datetime | None = None
        self._store_outage: tuple[datetime, datetime] | None = None  # start and end of the newest
        self._rescued: set[int] = set()  # attempts that this owner took over
        self._renewed_at = self._checked_at = self._rescued_at = context.now()

    async def start(self) -> None:
        """Register this owner, by the store's time."""
        context = self._context
        clock = context.clock
        clock.start_at(await context.offload(lambda: context.store.read(store_time, clock.wall)))
        submits = not context.stop.draining and context.phase is Phase.OPEN
        batch_id = context.batch.id if submits else None
        await context.write(register_owner, context.owner, context.now(), batch_id)
        self._renewed_at = context.now()

    async def run(self) -> None:
        """Watch the database's file, renew the lease, rescue attempts of dead owners; forever."""
        context = self._context
        while True:
            await anyio.sleep(HEARTBEAT_SECONDS)
            context.store.check_file()
            now = context.now()
            if context.clock.jumped_at != self._handled_jump_at:
                await self._handle_jump()
            elif now - self._renewed_at >= LEASE / 3:
                await self._renew()
            if now - self._rescued_at >= LEASE / 3:
                await self.rescue()
            elif now - self._checked_at >= OWNER_CHECK_INTERVAL:
                await self._check_owners()

    async def rescue(self) -> None:
        """Take over the open attempts of owners that have died."""
        context = self._context
        others = await self._timed(lambda: context.store.read(other_owners, context.owner.id))
        await self._take_over(self._exited_owners([owner for owner, _ in others]))

    async def _check_owners(self) -> None:
        """Take over from other owners as soon as they are known to be dead."""
        context = self._context
        self._checked_at = context.now()
        others = await self._timed(lambda: context.store.read(other_owners, context.owner.id))
        exited = self._exited_owners([owner for owner, _ in others])
        cutoff = self._lease_cutoff()
        if exited or any(lease_until <= cutoff for _, lease_until in others):
            await self._take_over(exited)

    async def _take_over(self, exited: Collection[str]) -> None:
        context = self._context
        self._rescued_at = self._checked_at = context.now()
        cutoff = self._lease_cutoff()  # before the call: the database may fail during it
        rescued = await self._timed(
            lambda: context.store.write(
                rescue_attempts,
                context.owner.id,
                context.batch.id,
                context.now(),
                exited,
                cutoff,
                context.key_digest,
            )
        )
        if rescued:
            self._note_rescued(rescued)
            context.notify(AttemptsRescued(attempts=len(rescued)))
            context.work_changed.notify()
            context.unanswered_added.notify()

    def _note_rescued(self, attempt_ids: Sequence[int]) -> None:
        """
        Remember what was taken over.

        Raises:
            StoreError: This owner had some of it already, so the database does not keep what is
                written to it.
        """
        if not self._rescued.isdisjoint(attempt_ids):
            raise damaged(self._context.store.place, Damage.RESCUE)
        self._rescued.update(attempt_ids)

    def _lease_cutoff(self) -> datetime:
        """Return the cutoff: owners whose leases ended before it are dead."""
        # Owners that slept while this one slept have not had the time to renew their leases.
        moment = self._context.clock.before_jumps(LEASE)
        if self._store_outage is None:
            return moment
        began, ended = self._store_outage
        # Neither have owners that could not reach the database while this one could not.
        return min(moment, began) if self._context.now() - ended < LEASE else moment

    async def _timed(self, call: Callable[[], T]) -> T:
        """Run a store call, and note an outage if the database took long to answer."""
        began = self._context.now()
        answer = await self._context.offload(call)
        if self._context.now() - began > SLOW_STORE_CALL:
            self._store_outage = began, self._context.now()
        return answer

    async def _renew(self) -> None:
        context = self._context
        clock = context.clock
        clock.follow(await self._timed(lambda: context.store.read(store_time, clock.wall)))
        self._renewed_at = context.now()
        await self._timed(lambda: context.store.write(renew_lease, context.owner.id, context.now()))

    async def _handle_jump(self) -> None:
        """Go on after a clock jump: renew the lease first, if this owner still holds it."""
        clock = self._context.clock
        self._handled_jump_at = clock.jumped_at
        await self._renew()
        self._context.notify(ClockJumped(seconds=clock.jumped_by.total_seconds()))
        self._context.wake_all()
