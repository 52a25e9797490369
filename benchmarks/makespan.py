"""Simulates batch runs and sets their length and their requests beside what cannot be beaten.

python -m benchmarks.makespan [--jobs 1000 5000] [--concurrency 2 10 50 200] [--mode auto] [--full]
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import AUTO, Settings
from batchrunner.model.job_file import Looks
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from benchmarks.figures import Figure
from benchmarks.lean_batch import LeanBatch, Mode
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import EPOCH, SimulatedBatch, now, simulate

#: Hosts of the jobs; the runs of one host take about equally long.
HOSTS = 40
#: How much runs of one host differ, as a share.
SPREAD = 0.2
HEAD = (
    f"{'jobs':>6} {'C':>4} {'mode':>7} {'time':>8} {'to bound':>9} {'to list':>8} "
    f"{'requests/job':>13} {'list to bound':>14} {'CPU':>7}"
)


@dataclass(frozen=True, kw_only=True)
class RunsByHost(SandboxConfig):
    """Runs of 15 to 300 s that follow from their hosts: log-normal, as the sandbox's own are."""

    def duration(self, url: str, nth: int) -> float:
        """Return how many seconds a run takes."""
        low, high = (math.log(bound) for bound in self.durations)
        sigma = math.sqrt(((high - low) / 4) ** 2 - SPREAD**2)
        of_host = self._normal("host", urlsplit(url).netloc) * sigma
        drawn = (low + high) / 2 + of_host + self._normal("run", url, nth) * SPREAD
        return round(math.exp(min(max(drawn, low), high)), 3)

    def _normal(self, *names: object) -> float:
        shares = (seeded_share(self.seed, *names, n) for n in range(12))
        return sum(shares) - 6.0


def pages(count: int) -> list[str]:
    """Return one page for each job; hosts follow each other without order."""
    hosts = [int(seeded_share("host of job", n) * HOSTS) for n in range(count)]
    return [f"http://site-{host}.test/{n}" for n, host in enumerate(hosts)]


@dataclass(frozen=True)
class Figures:
    """What a simulated batch run took, in virtual seconds, and its floors."""

    jobs: int
    concurrency: int
    makespan: float
    durations: Sequence[float]  #: in file order
    requests: int
    creates: int

    @property
    def floor(self) -> float:
        """No schedule is shorter: all slots busy, or the longest run alone."""
        return max(sum(self.durations) / self.concurrency, max(self.durations))

    @property
    def list_scheduling(self) -> float:
        """How long it takes if the next job of the file starts the moment a slot is free."""
        free = [0.0] * self.concurrency
        for seconds in self.durations:
            heapq.heapreplace(free, free[0] + seconds)
        return max(free)

    @property
    def ratio(self) -> float:
        """How much longer it took than the floor."""
        return self.makespan / self.floor

    @property
    def ratio_to_list(self) -> float:
        """How much longer it took than list scheduling in file order; below 1: shorter."""
        return self.makespan / self.list_scheduling

    @property
    def requests_per_job(self) -> float:
        """API requests of all kinds."""
        return self.requests / self.jobs


def settings_of(mode: Mode, concurrency: int, looks: Looks = Looks.USUAL) -> Settings:
    """Return the settings of a batch on an account with as many slots as its concurrency."""
    asked = AUTO if mode is Mode.AUTO else concurrency * (2 if mode is Mode.REFUSED else 1)
    return Settings(concurrency=asked, looks=looks, queued_limit=timedelta(hours=10))


def measure(
    jobs: int, concurrency: int, mode: Mode = Mode.AUTO, looks: Looks = Looks.USUAL
) -> Figures:
    """Run a batch with the real runner, store and client on virtual time; check every promise."""
    answer = "refused" if mode is Mode.REFUSED else "queued"
    config = RunsByHost(limit=concurrency, variants={"over_limit": answer})
    settings, urls = settings_of(mode, concurrency, looks), pages(jobs)

    async def run() -> Figures:
        batch = SimulatedBatch.of(urls, config, settings, agent=FixtureAgent())
        await batch.run()
        batch.check_end()
        return Figures(
            jobs=jobs,
            concurrency=concurrency,
            makespan=(now() - EPOCH).total_seconds(),
            durations=[config.duration(url, 0) for url in urls],
            requests=batch.requests.total(),
            creates=batch.creates,
        )

    figures: Figures = simulate(run)
    return figures


def measure_lean(
    jobs: int, concurrency: int, mode: Mode = Mode.AUTO, looks: Looks = Looks.USUAL
) -> Figures:
    """Run only the policy of such a batch: the same rules in a hundredth of the time."""
    config, urls = RunsByHost(limit=concurrency), pages(jobs)
    durations = [config.duration(url, 0) for url in urls]
    hosts = [urlsplit(url).netloc for url in urls]
    lean = LeanBatch(durations, hosts, concurrency, mode, looks)
    lean.run()
    return Figures(
        jobs=jobs,
        concurrency=concurrency,
        makespan=lean.now,
        durations=durations,
        requests=lean.requests,
        creates=lean.creates,
    )


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the time and the requests of batch runs in virtual time, beside their floors."""
    yield from _figures(measure(40, 5) if small else measure(1000, 50), "")
    for jobs in () if small else (1000, 5000):
        for concurrency in (2, 10, 50, 200):
            yield from _figures(measure_lean(jobs, concurrency), "rules alone: ")


def _figures(found: Figures, prefix: str) -> Iterator[Figure]:
    name = f"{prefix}{found.jobs:,} jobs on {found.concurrency} slots"
    yield Figure(
        part="makespan",
        name=name,
        unit="virtual s",
        ours=found.makespan,
        floor=found.floor,
        floor_name="all slots busy, or the longest run",
        cpu=False,
    )
    yield Figure(
        part="makespan",
        name=f"{name}, requests",
        unit="a job",
        ours=found.requests_per_job,
        floor=2 / MAX_RUNS_PER_REQUEST,
        floor_name="a create and a poll for each hundred",
        cpu=False,
    )


def main() -> None:
    """Print the figures of batch runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[2, 10, 50, 200])
    parser.add_argument("--mode", type=Mode, choices=list(Mode), nargs="+", default=[Mode.AUTO])
    parser.add_argument("--looks", type=Looks, choices=list(Looks), default=Looks.USUAL)
    parser.add_argument("--full", action="store_true", help="run the whole program")
    given = parser.parse_args()
    print(HEAD)
    for jobs in given.jobs:
        for concurrency in given.concurrency:
            for mode in given.mode:
                began = time.process_time()
                run = measure if given.full else measure_lean
                figures = run(jobs, concurrency, mode, given.looks)
                print(_line(figures, mode, time.process_time() - began), flush=True)


def _line(figures: Figures, mode: Mode, cpu: float) -> str:
    return (
        f"{figures.jobs:>6} {figures.concurrency:>4} {mode:>7} {figures.makespan:>6.0f} s "
        f"{figures.ratio:>9.3f} {figures.ratio_to_list:>8.3f} {figures.requests_per_job:>13.3f} "
        f"{figures.list_scheduling / figures.floor:>14.3f} {cpu:>5.1f} s"
    )


if __name__ == "__main__":
    main()
