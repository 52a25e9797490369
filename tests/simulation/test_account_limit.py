"""An account that refuses runs above its limit: the runner finds the limit and keeps to it."""

from __future__ import annotations

import anyio
import httpx
import pytest

from batchrunner.model import Settings
from batchrunner.runner.events import AccountLimitMet
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.selftest.invariants import most_at_once
from batchrunner.store.account_limit import account_limit
from batchrunner.tinyfish.client import TinyFishClient
from benchmarks.account_limit import CONCURRENCIES, Case, measure
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import SimulatedBatch, simulate
from tests.sweeps import some

#: How much longer a batch may take than with a concurrency that is the limit.
MAX_RATIO = 1.15


CASES = [
    Case(jobs=6, durations=(30.0, 30.0)),
    Case(),
    Case(durations=(15.0, 300.0)),
    Case(durations=(15.0, 300.0), retry_after=30.0),
    Case(limit=1, jobs=12),
    Case(limit=5, jobs=60, durations=(15.0, 300.0)),
    Case(durations=(15.0, 300.0), schemas=5),
    Case(durations=(15.0, 300.0), jobs=60, answer="refused_in_detail"),
]


@pytest.mark.sweep
@pytest.mark.parametrize(
    "asked",
    some([(concurrency, case) for concurrency in CONCURRENCIES for case in CASES], 1),
    ids=str,
)
def test_a_concurrency_above_the_limit_takes_hardly_longer_than_the_limit(
    asked: tuple[int, Case],
) -> None:
    concurrency, case = asked
    base, figures = measure(case, case.limit), measure(case, concurrency)
    assert base.refused == 0
    assert figures.seconds <= MAX_RATIO * base.seconds, figures.line(base)
    assert 0 < figures.refused <= 14, figures.line(base)


@pytest.mark.sweep
def test_the_limit_is_stored_for_other_runners_and_the_next_start() -> None:
    async def run() -> None:
        simulated = Case(jobs=8).batch(100)
        with anyio.move_on_after(10):
            await simulated.run()
        known = simulated.store.read(account_limit, simulated.batch.id)
        assert known is not None
        assert known.bound == 2
        refusals = refused(simulated)
        with anyio.move_on_after(15):
            await simulated.run()
        assert refused(simulated) == refusals, "the next start found the limit anew"
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert most_at_once(simulated.sandbox.journal.runs) == 2
        assert AccountLimitMet(most=2) in simulated.events

    simulate(run)


def refused(simulated: SimulatedBatch) -> int:
    return sum(request.status == 429 for request in simulated.sandbox.journal.requests)


def in_use(simulated: SimulatedBatch) -> int:
    return sum(not run.status.is_final for run in simulated.sandbox.journal.runs)


@pytest.mark.sweep
@pytest.mark.parametrize(("before", "after"), [(2, 8), (8, 2)])
def test_a_limit_that_changes_during_the_batch_is_followed(before: int, after: int) -> None:
    async def run() -> None:
        simulated = Case(limit=before, jobs=120, durations=(40.0, 80.0)).batch(100)
        engine = simulated.sandbox._service.account
        seen: list[int] = []

        async def change() -> None:
            await anyio.sleep(600)
            engine._limit = after
            await anyio.sleep(600)
            for _ in range(20):
                seen.append(in_use(simulated))
                await anyio.sleep(20)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(change)
            await simulated.run()
            tasks.cancel_scope.cancel()
        simulated.check_end()
        assert sum(seen) / len(seen) >= 0.8 * after, seen
        assert max(seen) <= after

    simulate(run)


@pytest.mark.sweep
def test_a_limit_that_is_shared_with_other_programs_is_used_to_the_full() -> None:
    async def run() -> None:
        simulated = Case(limit=6, jobs=150, durations=(40.0, 80.0)).batch(50)
        busy: list[int] = []

        async def others() -> None:
            """Take slots for a while, again and again, whenever some are free."""
            transport = simulated.sandbox.transport()
            async with TinyFishClient("http://127.0.0.1", "key", transport=transport) as api:
                for number in range(40):
                    run = {"url": f"http://other.test/{number}", "goal": "Read"}
                    await api.create_one(run, None)
                    await anyio.sleep(37)
                    busy.append(in_use(simulated))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(others)
            await simulated.run()
            tasks.cancel_scope.cancel()
        assert simulated.store.read(account_limit, 1) is not None
        assert sum(busy) / len(busy) >= 0.8 * 6, busy
        assert all(run.status.is_final for run in simulated.sandbox.journal.runs if is_ours(run))

    def is_ours(run: object) -> bool:
        return "site.test" in run.url  # type: ignore[attr-defined]

    simulate(run)


class PerMinute(httpx.AsyncBaseTransport):
    """An API that answers so many requests in a minute, and 429 with details to all others."""

    def __init__(self, inner: httpx.AsyncBaseTransport, most: int) -> None:
        self._inner = inner
        self._most = most
        self._minute = 0
        self._count = self.refused = 0
        self.served: dict[str, bytes] = {}

    def may(self, faults: object) -> bool:
        """Report that no fault of the network may occur."""
        return False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Count the request, and pass it on or refuse it."""
        minute = int(anyio.current_time() // 60)
        self._count = self._count + 1 if minute == self._minute else 1
        self._minute = minute
        if self._count <= self._most:
            return await self._inner.handle_async_request(request)
        self.refused += 1
        left = 60 - int(anyio.current_time() % 60)
        error = {"code": "RATE_LIMIT_EXCEEDED", "message": "m", "details": {"limit": self._most}}
        return httpx.Response(429, json={"error": error}, headers={"Retry-After": str(left)})


@pytest.mark.sweep
def test_a_limit_on_requests_slows_creates_and_polls_and_leaves_the_bound_alone() -> None:
    async def run() -> None:
        config = SandboxConfig(durations=(20.0, 40.0))
        urls = [f"http://site.test/{n}" for n in range(60)]
        simulated = SimulatedBatch.of(urls, config, Settings(concurrency=10), agent=FixtureAgent())
        simulated.network = limiter = PerMinute(simulated.sandbox.transport(), 6)  # type: ignore[assignment]
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert limiter.refused >= 3
        assert simulated.store.read(account_limit, simulated.batch.id) is None
        assert most_at_once(simulated.sandbox.journal.runs) == 10

    simulate(run)
