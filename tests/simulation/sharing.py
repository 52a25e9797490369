"""Several runners of one batch on virtual time, of which some are slow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import anyio
from sqlalchemy import select

from batchrunner.model import Settings
from batchrunner.runner.runner import Runner
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.schema import attempts
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import KillSwitch, SimulatedBatch, T

#: How long a request and a transaction of a usual runner take.
REQUEST_SECONDS, STORE_SECONDS = 0.1, 0.005


class SlowSwitch(KillSwitch):
    """A process whose transactions and requests take *factor* times as long as usual."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.transactions = 0

    async def offload(self, call: Callable[[], T], /) -> T:
        """Run a transaction, and wait."""
        self.transactions += 1
        result = await super().offload(call)
        await anyio.sleep(STORE_SECONDS * self.factor)
        return result

    async def send(self) -> None:
        """Let a request go late."""
        await anyio.sleep(REQUEST_SECONDS * self.factor)
        await super().send()


class SharedBatch(SimulatedBatch):
    """A batch on which several runners work at once."""

    switches: tuple[SlowSwitch, ...] = ()
    seconds = 0.0

    @classmethod
    def with_jobs(
        cls, jobs: int, concurrency: int, durations: tuple[float, float] = (20, 60)
    ) -> SharedBatch:
        """Load jobs whose runs take a while."""
        return cls.of(
            [f"http://site.test/{n}" for n in range(jobs)],
            SandboxConfig(limit=1000, durations=durations),
            Settings(concurrency=concurrency, queued_limit=timedelta(hours=10)),
            agent=FixtureAgent(),
        )

    def runner(self, *args: Any, **kwargs: Any) -> Runner:
        """Return a runner that knows which other processes run."""
        return super().runner(*args, exited_owners=self.exited, **kwargs)

    async def run_all(self, factors: Sequence[float], pause: float = 0.0) -> float:
        """Run until the end, with a runner for each factor of slowness; return the seconds."""
        began = anyio.current_time()
        self.switches = tuple(map(SlowSwitch, factors))
        async with anyio.create_task_group() as tasks:
            for switch in self.switches:
                tasks.start_soon(self.run, switch)
                await anyio.sleep(pause)
        self.seconds = anyio.current_time() - began
        return self.seconds

    def most_transactions_per_second(self) -> float:
        """Return how many transactions the busiest runner made in a second."""
        return max(switch.transactions for switch in self.switches) / self.seconds

    def attempts_by_owner(self) -> Counter[str]:
        """Count the attempts that each runner opened."""
        with self.store._database.read() as tx:
            return Counter(tx.execute(select(attempts.c.owner_id)).scalars())
