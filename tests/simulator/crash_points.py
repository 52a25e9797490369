"""Kills a small batch at its first step, its second, and so on; and again while it recovers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from batchrunner.model import JobState, Settings
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.selftest.invariants import InvariantViolated, invariant
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.parallel import in_parallel
from tests.simulator.simulated_batch import (
    KillSwitch,
    ProcessKilled,
    SimulatedBatch,
    pages,
    simulate,
)

#: Something of everything: a retry, a lost answer, a throttle.
URLS = [
    *pages(2),
    "http://faults.test/system_failure/1",
    "http://faults.test/dropped_after/1",
    "http://faults.test/throttled/1",
]
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))


@dataclass(frozen=True, slots=True)
class CrashResult:
    """Where one process after the other was killed; every promise held."""

    fuses: tuple[int, ...]
    came: bool  #: the last kill came to happen; else the batch ended before it
    in_transaction: bool  #: and it fell into a transaction


def count_steps() -> int:
    """Return how many steps the batch takes when nothing kills it."""

    async def unharmed() -> int:
        power = KillSwitch()
        await _batch().run(power)
        return power.steps

    return int(simulate(unharmed))


def crash_at(fuses: Sequence[int]) -> CrashResult:
    """
    Kill one process after the other at these steps, and let the next one bring the batch home.

    Raises:
        Broken: A promise did not hold.
    """
    try:
        crash: CrashResult = simulate(partial(_survive, tuple(fuses)))
    except Exception as error:
        raise InvariantViolated(f"killed at {', then '.join(map(str, fuses))}: {error}") from error
    return crash


async def _survive(fuses: tuple[int, ...]) -> CrashResult:
    night = _batch()
    power = KillSwitch()
    for fuse in fuses:
        power = KillSwitch(fuse)
        try:
            await night.run(power)
        except ProcessKilled:
            night.check_always()
    await night.run()
    night.check_end()
    invariant(night.jobs() == {JobState.SUCCEEDED: len(URLS)}, "a job did not succeed")
    return CrashResult(fuses, came=power.dead, in_transaction=power.in_transaction)


def _batch() -> SimulatedBatch:
    world = SandboxConfig(durations=(3, 9), retry_after=1)
    night = SimulatedBatch.of(URLS, world, SETTINGS, agent=FixtureAgent())
    night.waits = False
    return night


def all_crash_points() -> Iterator[CrashResult]:
    """Kill the batch at each of its steps; on all cores."""
    return crash_at_each((fuse,) for fuse in range(1, count_steps() + 1))


def crash_pairs(count: int, seed: int) -> Iterator[CrashResult]:
    """Kill it at so many drawn steps, and again at a drawn step of its recovery; on all cores."""
    most = count_steps()
    lots = [(seeded_share(seed, "first", n), seeded_share(seed, "second", n)) for n in range(count)]
    return crash_at_each((1 + int(a * most), 1 + int(b * most)) for a, b in lots)


def crash_at_each(points: Iterable[tuple[int, ...]]) -> Iterator[CrashResult]:
    """Survive each of these; on all cores, as they end."""
    return in_parallel(crash_at, list(points))
