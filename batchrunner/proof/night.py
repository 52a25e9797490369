"""A night in virtual time: the real runner, store, client and sandbox, and a power switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import httpx
from trio.testing import MockClock

from batchrunner.api import Api
from batchrunner.model import Batch, JobFile, JobSpec, JobState, Owner, Settings
from batchrunner.proof.promises import (
    check_account,
    check_always,
    check_creates,
    check_end,
    check_waits,
)
from batchrunner.runner import Ending, Runner
from batchrunner.runner.events import Event
from batchrunner.sandbox import Sandbox, World
from batchrunner.store import Store

EPOCH = datetime(2026, 11, 21, 22, tzinfo=UTC)

T = TypeVar("T")


def now() -> datetime:
    """Return the virtual time."""
    return EPOCH + timedelta(seconds=anyio.current_time())


class Killed(BaseException):
    """The process was killed here."""


@dataclass
class Power:
    """Kills a runner at its n-th step: before or after a transaction or a request."""

    fuse: int | None = None  #: steps left; None: it never blows
    steps: int = 0
    dead: bool = False

    def step(self) -> None:
        """Take one step, or be dead from here on."""
        self.steps += 1
        if self.fuse is not None and self.steps >= self.fuse:
            self.dead = True
        if self.dead:
            raise Killed

    async def offload(self, call: Callable[[], T], /) -> T:
        """Run a transaction; the process may die before it or after it."""
        self.step()
        result = call()
        self.step()
        return result

    async def receive(self, response: httpx.Response) -> None:
        """Take the answer to a request; the process may die while it waits for it."""
        self.step()


class Line(httpx.AsyncBaseTransport):
    """The way to the sandbox; the process may die before a request or while it waits."""

    def __init__(self, inner: httpx.AsyncBaseTransport, power: Power) -> None:
        self._inner = inner
        self._power = power
        self.requests: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        self.requests[f"{request.method} {request.url.path}"] += 1
        self._power.step()
        response = await self._inner.handle_async_request(request)
        await self._power.receive(response)
        return response


@dataclass
class Night:
    """One batch on one sandbox, through as many runners as it takes."""

    sandbox: Sandbox
    store: Store
    batch: Batch
    loaded: int
    world: World = field(default_factory=World)
    events: list[Event] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    starts: int = 0

    @classmethod
    def of(
        cls,
        urls: Iterable[str],
        world: World,
        settings: Settings,
        keys: frozenset[str] | None = None,
        **job: Any,
    ) -> Night:
        """Load one job for each url; the sandbox takes the *keys*, or any."""
        specs = tuple(
            JobSpec(key=f"job-{n}", url=url, goal="Read the name and the price", **job)
            for n, url in enumerate(urls)
        )
        store = Store.open(":memory:")
        loaded = store.load(JobFile(name="night", settings=settings, specs=specs), now())
        sandbox = Sandbox.in_process(world, now, keys=keys)
        return cls(sandbox, store, loaded.batch, loaded.added, world)

    async def run(self, power: Power | None = None, **kwargs: Any) -> Ending:
        """Start a runner as a new process would; raises Killed if its power is cut."""
        self.starts += 1
        power = power or Power()
        line = Line(self.sandbox.transport(), power)
        me = Owner(id=f"owner-{self.starts}", machine="here", pid=self.starts, born="x")
        try:
            async with Api("http://127.0.0.1", "key", transport=line) as api:
                return await self.runner(api, me, power, **kwargs).run()
        except BaseExceptionGroup as group:
            killed, rest = group.split(Killed)
            if rest or killed is None:
                raise
            raise Killed from None
        finally:
            self.requests.update(line.requests)

    def runner(self, api: Api, me: Owner, power: Power, **kwargs: Any) -> Runner:
        """Return a runner on this machine, where all others are known to be dead unless told."""
        kwargs.setdefault("gone", lambda owners: [owner.id for owner in owners])
        return Runner(
            store=self.store,
            api=api,
            batch=self.batch,
            owner=me,
            now=now,
            offload=power.offload,
            notify=self.events.append,
            **kwargs,
        )

    def check_always(self) -> None:
        """Check every promise that holds at every instant."""
        check_always(self.store, self.batch.id, self.loaded)
        ledger = self.sandbox.ledger
        check_creates(self.store, self.batch, ledger.runs, self.world.late)
        check_waits(ledger.requests, self.world.retry_after)

    def check_end(self) -> None:
        """Check every promise, now that the batch has come to its end."""
        self.check_always()
        runs = self.sandbox.ledger.runs
        check_end(self.store, self.batch.id, self.loaded, runs)
        check_account(self.store, self.batch.id, runs)

    def jobs(self) -> Mapping[JobState, int]:
        """Count jobs by state, without the states that no job is in."""
        tally = self.store.tally(self.batch.id)
        return {state: count for state, count in tally.jobs.items() if count}

    @property
    def creates(self) -> int:
        """Create requests that were sent."""
        return sum(n for path, n in self.requests.items() if "/automation/" in path)


def pages(count: int) -> list[str]:
    """Return urls of the sample shop, each another one."""
    return [f"http://shop.test/products/{n % 26 + 1}?job={n}" for n in range(count)]


def simulate(night: Callable[[], Any]) -> Any:
    """Run an async function on trio's virtual clock, which jumps whenever nobody is busy."""
    clock = MockClock(autojump_threshold=0)
    return anyio.run(night, backend="trio", backend_options={"clock": clock})
