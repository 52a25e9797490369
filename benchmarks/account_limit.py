"""Simulates batches on an account that refuses runs above its limit, whatever concurrency is asked.

python -m benchmarks.account_limit [--jobs 24] [--limit 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from batchrunner.model import AUTO, JobFile, JobSpec, Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.batches import load_jobs
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import EPOCH, SimulatedBatch, now, simulate

#: The concurrency that batches ask for; AUTO: none.
CONCURRENCIES = (10, 100, AUTO)
HEAD = f"{'concurrency':>11} {'time':>8} {'ratio':>7} {'requests':>9} {'creates':>8} {'refused':>8}"


@dataclass(frozen=True)
class Case:
    """An account and a batch on it."""

    limit: int = 2
    jobs: int = 24
    durations: tuple[float, float] = (60.0, 60.0)
    answer: str = "refused"  #: of the sandbox's variant `over_limit`
    retry_after: float = 2.0
    schemas: int = 1  #: jobs of different schemas are never in one request

    def batch(self, concurrency: int) -> SimulatedBatch:
        """Return the batch on a sandbox with this limit."""
        config = SandboxConfig(
            limit=self.limit,
            durations=self.durations,
            retry_after=self.retry_after,
            variants={"over_limit": self.answer},
        )
        settings = Settings(concurrency=concurrency, queued_limit=timedelta(hours=10))
        simulated = SimulatedBatch.of([], config, settings, agent=FixtureAgent())
        specs = tuple(
            JobSpec(key=f"job-{n}", url=f"http://site.test/{n}", goal="Read", options=self._of(n))
            for n in range(self.jobs)
        )
        file = JobFile(name="batch", settings=settings, specs=specs)
        simulated.loaded = simulated.store.write(load_jobs, file, now()).added
        return simulated

    def _of(self, number: int) -> dict[str, Any]:
        if self.schemas == 1:
            return {}
        properties = {"name": {"type": "string"}, f"v{number % self.schemas}": {"type": "string"}}
        return {"output_schema": {"type": "object", "properties": properties}}


@dataclass(frozen=True)
class Figures:
    """What a simulated batch took, in virtual seconds."""

    concurrency: int
    seconds: float
    requests: int
    creates: int
    refused: int

    def line(self, base: Figures) -> str:
        """Set the figures beside those of a batch whose concurrency is the limit."""
        asked = "auto" if self.concurrency == AUTO else str(self.concurrency)
        return (
            f"{asked:>11} {self.seconds:>6.0f} s {self.seconds / base.seconds:>7.3f} "
            f"{self.requests:>9} {self.creates:>8} {self.refused:>8}"
        )


def measure(case: Case, concurrency: int) -> Figures:
    """Run a case on virtual time; every promise is checked."""

    async def run() -> Figures:
        simulated = case.batch(concurrency)
        await simulated.run()
        seconds = (now() - EPOCH).total_seconds()
        simulated.check_end()
        journal = simulated.sandbox.journal
        return Figures(
            concurrency=concurrency,
            seconds=seconds,
            requests=simulated.requests.total(),
            creates=simulated.creates,
            refused=sum(request.status == 429 for request in journal.requests),
        )

    figures: Figures = simulate(run)
    return figures


def table(case: Case) -> Iterator[str]:
    """Yield the figures of a case for each concurrency, line by line."""
    base = measure(case, case.limit)
    yield HEAD
    yield base.line(base)
    for concurrency in CONCURRENCIES:
        yield measure(case, concurrency).line(base)


def main() -> None:
    """Print the figures of one account."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--limit", type=int, default=2)
    parser.add_argument("--retry-after", type=float, default=30.0)
    given = parser.parse_args()
    case = Case(
        limit=given.limit,
        jobs=given.jobs,
        durations=(15.0, 300.0),
        retry_after=given.retry_after,
    )
    for line in table(case):
        print(line)


if __name__ == "__main__":
    main()
