"""Kills a small batch at its first step, its second, and so on; and again while it recovers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from batchrunner.model import JobState, Settings
from batchrunner.proof.agent import QuickAgent
from batchrunner.proof.cores import spread
from batchrunner.proof.night import Killed, Night, Power, pages, simulate
from batchrunner.proof.promises import Broken, promise
from batchrunner.sandbox import World
from batchrunner.sandbox.seeded import share

#: Something of everything: a retry, a lost answer, a throttle.
URLS = [
    *pages(2),
    "http://faults.test/system_failure/1",
    "http://faults.test/dropped_after/1",
    "http://faults.test/throttled/1",
]
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))


@dataclass(frozen=True, slots=True)
class Crash:
    """Where one process after the other was killed; every promise held."""

    fuses: tuple[int, ...]
    came: bool  #: the last kill came to happen; else the batch ended before it
    in_transaction: bool  #: and it fell into a transaction


def steps() -> int:
    """Return how many steps the batch takes when nothing kills it."""

    async def unharmed() -> int:
        power = Power()
        await _batch().run(power)
        return power.steps

    return int(simulate(unharmed))


def survive(fuses: Sequence[int]) -> Crash:
    """
    Kill one process after the other at these steps, and let the next one bring the batch home.

    Raises:
        Broken: A promise did not hold.
    """
    try:
        crash: Crash = simulate(partial(_survive, tuple(fuses)))
    except Exception as error:
        raise Broken(f"killed at {', then '.join(map(str, fuses))}: {error}") from error
    return crash


async def _survive(fuses: tuple[int, ...]) -> Crash:
    night = _batch()
    power = Power()
    for fuse in fuses:
        power = Power(fuse)
        try:
            await night.run(power)
        except Killed:
            night.check_always()
    await night.run()
    night.check_end()
    promise(night.jobs() == {JobState.SUCCEEDED: len(URLS)}, "a job did not succeed")
    return Crash(fuses, came=power.dead, in_transaction=power.in_transaction)


def _batch() -> Night:
    world = World(durations=(3, 9), retry_after=1)
    night = Night.of(URLS, world, SETTINGS, agent=QuickAgent())
    night.waits = False
    return night


def every_point() -> Iterator[Crash]:
    """Kill the batch at each of its steps; on all cores."""
    return survive_all((fuse,) for fuse in range(1, steps() + 1))


def pairs(count: int, seed: int) -> Iterator[Crash]:
    """Kill it at so many drawn steps, and again at a drawn step of its recovery; on all cores."""
    most = steps()
    lots = [(share(seed, "first", n), share(seed, "second", n)) for n in range(count)]
    return survive_all((1 + int(a * most), 1 + int(b * most)) for a, b in lots)


def survive_all(points: Iterable[tuple[int, ...]]) -> Iterator[Crash]:
    """Survive each of these; on all cores, as they end."""
    return spread(survive, list(points))
