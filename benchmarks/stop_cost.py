"""Stops a simulated batch run in the middle, and sets what was paid after that beside the least.

python -m benchmarks.stop_cost [--jobs 400] [--slots 50]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio

from batchrunner.model import AUTO, Settings
from batchrunner.runner.runner import Runner
from batchrunner.sandbox import SandboxConfig
from benchmarks.figures import Figure
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import SimulatedBatch, now, pages, simulate

#: Virtual seconds until the stop: the slots have been found, and jobs are left.
STOP_AFTER = 600


@dataclass(frozen=True)
class StopCost:
    """What a stop in the middle of a batch cost."""

    running: int  #: runs at the moment of the stop
    waiting: int  #: runs that waited for a slot then
    paid: int  #: steps of runs that ended after the stop
    least: int  #: steps of those of them that were running at the stop
    seconds: float  #: until the runner returned


class _Stopped(SimulatedBatch):
    """A batch whose runner is known."""

    latest: Runner

    def runner(self, *args: Any, **kwargs: Any) -> Runner:
        self.latest = super().runner(*args, **kwargs)
        return self.latest


def measure(jobs: int, slots: int, seed: int = 1) -> StopCost:
    """Stop a batch that finds the account's slots by itself."""

    async def run() -> StopCost:
        config = SandboxConfig(seed=seed, limit=slots, durations=(30, 200))
        settings = Settings(concurrency=AUTO, queued_limit=timedelta(hours=10))
        batch = _Stopped.of(pages(jobs), config, settings, agent=FixtureAgent())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(batch.run)
            await anyio.sleep(STOP_AFTER)
            stopped_at = now()
            batch.latest.drain()
        seconds = (now() - stopped_at).total_seconds()
        late = [
            r for r in batch.sandbox.journal.runs if r.finished_at and r.finished_at > stopped_at
        ]
        running = [r for r in late if r.started_at and r.started_at <= stopped_at]
        return StopCost(
            running=len(running),
            waiting=len(late) - len(running),
            paid=sum(r.steps or 0 for r in late),
            least=sum(r.steps or 0 for r in running),
            seconds=seconds,
        )

    cost: StopCost = simulate(run)
    return cost


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield what is paid after a stop, beside what the runs cost that were running then."""
    for jobs, slots in ((60, 5),) if small else ((400, 10), (1500, 50)):
        found = measure(jobs, slots)
        yield Figure(
            part="stop",
            name=f"paid after a stop, {slots} slots, {found.waiting} runs waiting",
            unit="steps",
            ours=found.paid,
            floor=found.least,
            floor_name="the runs that were running",
            cpu=False,
        )


def main() -> None:
    """Print the cost of one stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--slots", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(measure(given.jobs, given.slots, given.seed))


if __name__ == "__main__":
    main()
