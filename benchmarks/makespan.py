"""Simulates a batch run and sets its length and its requests beside what cannot be beaten.

python -m benchmarks.makespan [--jobs 2000] [--concurrency 50]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from batchrunner.model import Settings
from batchrunner.policy.poll_interval import MAX_POLL_INTERVAL, POLLS_PER_RUN
from batchrunner.sandbox import SandboxConfig
from benchmarks.figures import Figure
from tests.simulator.simulated_batch import EPOCH, SimulatedBatch, now, pages, simulate


@dataclass(frozen=True)
class Figures:
    """What a simulated batch run took, in virtual seconds, and its floors."""

    jobs: int
    concurrency: int
    makespan: float
    durations: list[float]
    requests: int
    creates: int

    @property
    def floor(self) -> float:
        """No schedule is shorter: all slots busy, or the longest run alone."""
        return max(sum(self.durations) / self.concurrency, max(self.durations))

    @property
    def ratio(self) -> float:
        """How much longer it took than the floor."""
        return self.makespan / self.floor

    @property
    def requests_per_job(self) -> float:
        """API requests of all kinds."""
        return self.requests / self.jobs

    @property
    def formula(self) -> float:
        """Requests per job: a poll every p seconds, and a create after each that frees slots."""
        mean = sum(self.durations) / len(self.durations)
        interval = min(mean / POLLS_PER_RUN, MAX_POLL_INTERVAL.total_seconds())
        polls = mean / self.concurrency / interval * -(-self.concurrency // 100)
        return 2 * polls


def measure(jobs: int, concurrency: int, seed: int = 1) -> Figures:
    """Run a batch of *jobs* runs of 15 to 300 s on virtual time."""

    async def run() -> Figures:
        batch = SimulatedBatch.of(
            pages(jobs), SandboxConfig(seed=seed), Settings(concurrency=concurrency)
        )
        await batch.run()
        makespan = (now() - EPOCH).total_seconds()
        batch.check_end()
        runs = batch.sandbox.journal.runs
        spans = [(r.finished_at or now()) - (r.started_at or now()) for r in runs]
        return Figures(
            jobs=jobs,
            concurrency=concurrency,
            makespan=makespan,
            durations=[span / timedelta(seconds=1) for span in spans],
            requests=batch.requests.total(),
            creates=batch.creates,
        )

    figures: Figures = simulate(run)
    return figures


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield how long a simulated batch run takes beside the shortest possible, in virtual time."""
    sizes = ((20, 5),) if small else ((200, 10), (1000, 50))
    for jobs, concurrency in sizes:
        found = measure(jobs, concurrency)
        yield Figure(
            part="makespan",
            name=f"{jobs:,} jobs, {concurrency} in flight",
            unit="virtual s",
            ours=found.makespan,
            floor=found.floor,
            floor_name="all slots busy, or the longest run",
            cpu=False,
        )


def main() -> None:
    """Print the figures of one batch run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    started = time.perf_counter()
    figures = measure(given.jobs, given.concurrency, given.seed)
    took = time.perf_counter() - started
    mean = sum(figures.durations) / len(figures.durations)
    print(
        f"{figures.jobs} jobs, {figures.concurrency} in flight, "
        f"runs of 15-300 s (mean {mean:.1f} s)"
    )
    print(
        f"makespan  {figures.makespan:8.0f} s   floor {figures.floor:8.0f} s   {figures.ratio:.3f}"
    )
    print(
        f"requests  {figures.requests_per_job:8.3f} a job, formula {figures.formula:.3f}   "
        f"{figures.requests_per_job / figures.formula:.3f}"
    )
    print(f"simulated in {took:.1f} s: {figures.makespan / took:.0f} x real time")


if __name__ == "__main__":
    main()
