"""A machine that is suspended, whose clock is set and whose disk fails, and a process on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio
import httpx
from sqlalchemy import Engine

from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from tests.simulator.simulated_batch import KillSwitch, T, now

#: Pages to which SQLite lets a file grow: without a bound; and no more than it already has.
NO_BOUND, NO_MORE = 2**31 - 2, 1


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A time span in seconds since the batch began."""

    begins: float
    ends: float

    def holds(self, moment: float) -> bool:
        """Return whether a moment lies in it."""
        return self.begins <= moment < self.ends


@dataclass(frozen=True, kw_only=True)
class MachineFaults:
    """The faults of a machine during a batch."""

    sleeps: Sequence[TimeSpan] = ()  #: it is suspended: nothing runs, and the monotonic clock stops
    steps: Sequence[tuple[float, float]] = ()  #: when its clock is set, and by how many seconds
    full: Sequence[TimeSpan] = ()  #: its disk is full
    locked: Sequence[TimeSpan] = ()  #: another program keeps the database locked
    unseen: Sequence[TimeSpan] = ()  #: transactions take effect, but some report an error


@dataclass
class SimulatedMachine:
    """A machine that all processes of a batch share."""

    store: Store
    faults: MachineFaults
    seed: int
    fired: Counter[str]
    _transactions: int = 0
    _limited: bool = False
    _fired_once: set[object] = field(default_factory=set)

    def wall(self) -> datetime:
        """Return the time on its clock."""
        moment = anyio.current_time()
        passed = [step for step in self.faults.steps if step[0] <= moment]
        for step in passed:
            self.fire_once("clock set forward" if step[1] > 0 else "clock set back", step)
        return now() + timedelta(seconds=sum(by for _, by in passed))

    def monotonic(self) -> float:
        """Return the seconds for which it was awake."""
        moment = anyio.current_time()
        slept = [min(span.ends, moment) - span.begins for span in self.faults.sleeps]
        return moment - sum(max(seconds, 0.0) for seconds in slept)

    async def awake(self) -> None:
        """Wait until it is not suspended."""
        await self.over(self.faults.sleeps, "suspended")

    async def over(self, spans: Sequence[TimeSpan], name: str) -> None:
        """Wait until the time is in none of these *spans*; the fault *name* fires."""
        for span in spans:
            if span.holds(anyio.current_time()):
                self.fire_once(name, span)
                await anyio.sleep_until(span.ends)

    def transact(self, call: Callable[[], T]) -> T:
        """Run a transaction on its disk."""
        self._transactions += 1
        if self._is_in(self.faults.locked):
            self.fired["database locked"] += 1
            raise StoreError("the database is locked", next="close that program", passing=True)
        self._limit(full=self._is_in(self.faults.full))
        try:
            result = call()
        except StoreError as error:
            self.fired["disk full"] += "disk is full" in error.message
            raise
        if (
            self._is_in(self.faults.unseen)
            and seeded_share(self.seed, "unseen", self._transactions) < 0.1
        ):
            self.fired["commit unseen"] += 1
            raise StoreError("the server went away", next="try again", passing=True)
        return result

    def fire_once(self, name: str, what: object) -> None:
        """Count a fault once for each *what*."""
        if (name, what) not in self._fired_once:
            self._fired_once.add((name, what))
            self.fired[name] += 1

    def _is_in(self, spans: Sequence[TimeSpan]) -> bool:
        moment = anyio.current_time()
        return any(span.holds(moment) for span in spans)

    def _limit(self, *, full: bool) -> None:
        if full != self._limited:
            self._limited = full
            limit_pages(self.store._database._engine, NO_MORE if full else NO_BOUND)


def limit_pages(engine: Engine, pages: int) -> None:
    """Let an SQLite database grow to this many pages; if it has more, not at all."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute(f"PRAGMA max_page_count = {pages}")
    finally:
        connection.close()


@dataclass
class SimulatedProcess(KillSwitch):
    """A process on a machine: suspended with it, and stopped by itself."""

    machine: SimulatedMachine = field(kw_only=True)
    stops: Sequence[TimeSpan] = ()

    async def offload(self, call: Callable[[], T], /) -> T:
        """Run a transaction when the process is awake."""
        await self._wake()
        return await super().offload(lambda: self.machine.transact(call))

    async def send(self) -> None:
        """Let a request go when the process is awake."""
        await self._wake()
        await super().send()

    async def receive(self, response: httpx.Response) -> None:
        """Receive an answer; a suspension breaks the connection."""
        slept = self._asleep()
        await self._wake()
        await super().receive(response)
        if slept:
            raise httpx.ReadError("the connection was lost while the machine slept")

    def _asleep(self) -> bool:
        moment = anyio.current_time()
        return any(span.holds(moment) for span in (*self.machine.faults.sleeps, *self.stops))

    async def _wake(self) -> None:
        """Wait until the machine is awake and this process is not stopped."""
        while self._asleep():
            await self.machine.awake()
            await self.machine.over(self.stops, "stopped and woken")
