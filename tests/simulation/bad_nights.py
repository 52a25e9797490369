"""Nights in which the data of a batch goes bad, or stays good, on virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import anyio

from batchrunner.model import Settings
from batchrunner.model.hosts import host_of
from batchrunner.model.quality import OnBad, QualityBounds
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.agent import Findings
from batchrunner.sandbox.agent.schema_check import schema_errors
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.seeded_random import seeded_share
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import EPOCH, now

#: Two o'clock in the night; simulated batches begin at 22:00.
TWO = EPOCH + timedelta(hours=4)
STOP = QualityBounds(on_bad=OnBad.STOP)


@dataclass
class NightAgent:
    """Answers with fields that are missing now and then; from *bad_at* on, one is always empty."""

    seed: int = 0
    bad_at: datetime | None = None
    bad_field: str = "price"
    bad_hosts: frozenset[str] = frozenset()  #: empty: all
    missing: Mapping[str, float] = field(
        default_factory=lambda: {"price": 0.04, "stock": 0.1, "rating": 0.5, "sale_price": 0.8}
    )

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Return findings; what is missing depends on the url and its host."""
        result = self._result(url)
        if self.bad_at is not None and now() >= self.bad_at and self._is_bad(url):
            result[self.bad_field] = None
        return Findings(
            result=result,
            actions=(f"Open {url}", "Read the name", "Read the price"),
            html="",
            schema_errors=() if output_schema is None else schema_errors(result, output_schema),
        )

    def _is_bad(self, url: str) -> bool:
        return not self.bad_hosts or host_of(url) in self.bad_hosts

    def _result(self, url: str) -> dict[str, Any]:
        drawn = {name: seeded_share(self.seed, name, url) for name in ("price", *self.missing)}
        result: dict[str, Any] = {
            "name": f"Thing {url[-12:]}",
            "price": round(1 + 99 * drawn["price"], 2),
            "stock": int(50 * seeded_share(self.seed, "stock count", url)),
            "rating": 4.5,
            "sale_price": 9.5,
            "discontinued": None,
        }
        for name, share in self.missing.items():
            usual = seeded_share(self.seed, "host", name, host_of(url)) + 0.5  # differs by host
            if drawn[name] < min(share * usual, 0.95):
                result[name] = None
        return result


@dataclass(frozen=True, kw_only=True)
class Night:
    """A batch that begins so that a share of it is done at two o'clock."""

    jobs: int = 300
    hosts: int = 5
    concurrency: int = 10
    done_at_two: float = 0.5
    durations: tuple[float, float] = (15.0, 300.0)
    sorted_by_host: bool = False
    quality: QualityBounds = STOP
    script: Mapping[str, str] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        """The pages, host by host or all hosts in turn."""
        size = -(-self.jobs // self.hosts)
        at = (lambda n: n // size) if self.sorted_by_host else (lambda n: n % self.hosts)
        return [f"http://shop-{at(n)}.test/products/{n}" for n in range(self.jobs)]

    def batch(self, agent: NightAgent) -> CheckedBatch:
        """Return the batch on a sandbox of its own."""
        settings = Settings(
            concurrency=self.concurrency, backoff=timedelta(seconds=2), quality=self.quality
        )
        config = SandboxConfig(seed=agent.seed, durations=self.durations, script=self.script)
        return CheckedBatch.of(self.urls, config, settings, agent=agent)

    async def wait_for_start(self) -> None:
        """Sleep until the batch has to begin."""
        shortest, longest = self.durations
        length = self.jobs / self.concurrency * (shortest * longest) ** 0.5 * 1.15
        start = TWO - timedelta(seconds=length * self.done_at_two)
        await anyio.sleep(max((start - now()).total_seconds(), 0))


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a night cost after its data went bad."""

    reason: ExitReason
    unstarted: int  #: jobs without any run at two o'clock
    started_later: int  #: runs that began after it
    in_flight: int  #: runs that were in flight then

    @property
    def share(self) -> float:
        """Of what was not spent yet, what was spent after two o'clock."""
        return self.started_later / self.unstarted

    @property
    def share_with_flight(self) -> float:
        """The same, with the runs that were in flight at two o'clock on both sides."""
        return (self.started_later + self.in_flight) / (self.unstarted + self.in_flight)


async def bad_night(night: Night, agent: NightAgent) -> tuple[CheckedBatch, Spent]:
    """Run a night whose data goes bad at two o'clock."""
    agent.bad_at = TWO
    await night.wait_for_start()
    simulated = night.batch(agent)
    reason = await simulated.run()
    simulated.check_always()
    return simulated, spent_after(simulated, TWO, reason)


def spent_after(simulated: CheckedBatch, at: datetime, reason: ExitReason) -> Spent:
    """Return what a batch cost after a moment."""
    runs = simulated.sandbox.journal.runs
    later = [run for run in runs if run.created_at >= at]
    return Spent(
        reason=reason,
        unstarted=simulated.loaded - len({run.url for run in runs if run.created_at < at}),
        started_later=len(later),
        in_flight=sum(_is_in_flight(run, at) for run in runs),
    )


def _is_in_flight(run: SandboxRun, at: datetime) -> bool:
    return run.created_at < at and (run.finished_at is None or run.finished_at >= at)
