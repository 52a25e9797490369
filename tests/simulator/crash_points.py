"""Kills a small batch at its first step, its second, and so on, and again while it recovers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.selftest.invariants import InvariantViolated, check_decided, invariant
from batchrunner.store.reports import batch_counts
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.parallel import in_parallel
from tests.simulator.simulated_batch import (
    KillSwitch,
    ProcessKilled,
    SimulatedBatch,
    pages,
    simulate,
)

#: A retry, a lost answer and a throttled create.
URLS = [
    *pages(2),
    "http://faults.test/system_failure/1",
    "http://faults.test/dropped_after/1",
    "http://faults.test/throttled/1",
]
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))


@dataclass(frozen=True, slots=True)
class CrashResult:
    """The steps at which one process after the other was killed; every invariant held."""

    kills: tuple[int, ...]
    reached: bool  #: the last kill happened; else the batch ended before it
    in_transaction: bool  #: and it happened in a transaction


def count_steps() -> int:
    """Return how many steps the batch takes when nothing kills it."""

    async def unharmed() -> int:
        kill_switch = KillSwitch()
        await _batch().run(kill_switch)
        return kill_switch.steps

    return int(simulate(unharmed))


def crash_at(kills: Sequence[int]) -> CrashResult:
    """
    Kill one process after the other at these steps, and let another one finish the batch.

    Raises:
        InvariantViolated: A promise was broken.
    """
    try:
        crash: CrashResult = simulate(partial(_survive, tuple(kills)))
    except Exception as error:
        raise InvariantViolated(f"killed at {', then '.join(map(str, kills))}: {error}") from error
    return crash


async def _survive(kills: tuple[int, ...]) -> CrashResult:
    simulated = _batch()
    kill_switch = KillSwitch()
    for kill_at in kills:
        kill_switch = KillSwitch(kill_at)
        try:
            await simulated.run(kill_switch)
        except ProcessKilled:
            simulated.check_always()
    await simulated.run()
    simulated.check_end()
    _check_succeeded(simulated)
    return CrashResult(kills, reached=kill_switch.dead, in_transaction=kill_switch.in_transaction)


def _check_succeeded(simulated: SimulatedBatch) -> None:
    """Check that all jobs succeeded, but for a last one after which no run can show its absence."""
    counts = simulated.store.read(batch_counts, simulated.batch.id)
    unanswered = counts.failed.get(FailureCategory.UNANSWERED, 0)
    done = counts.jobs[JobState.SUCCEEDED] + unanswered
    invariant(done == len(URLS) and unanswered <= 1, "a job did not succeed")
    check_decided(simulated.store, simulated.batch.id)


def _batch() -> SimulatedBatch:
    config = SandboxConfig(durations=(3, 9), retry_after=1)
    simulated = SimulatedBatch.of(URLS, config, SETTINGS, agent=FixtureAgent())
    simulated.waits = False
    return simulated


def all_crash_points() -> Iterator[CrashResult]:
    """Kill the batch at each of its steps, on all cores."""
    return crash_at_each((step,) for step in range(1, count_steps() + 1))


def crash_pairs(count: int, seed: int) -> Iterator[CrashResult]:
    """Kill the batch at *count* drawn steps, each time again during recovery, on all cores."""
    steps = count_steps()
    drawn = [
        (seeded_share(seed, "first", n), seeded_share(seed, "second", n)) for n in range(count)
    ]
    return crash_at_each((1 + int(a * steps), 1 + int(b * steps)) for a, b in drawn)


def crash_at_each(points: Iterable[tuple[int, ...]]) -> Iterator[CrashResult]:
    """Survive each of these, on all cores; yield results as they end."""
    return in_parallel(crash_at, list(points))
