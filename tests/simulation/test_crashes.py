"""A runner that dies at any step loses no job and pays for no run twice."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchrunner.model import JobState, Settings
from batchrunner.proof.night import Killed, Night, Power, pages, simulate
from batchrunner.proof.promises import check_always
from batchrunner.runner import Ending
from batchrunner.sandbox import World

#: A small batch with something of everything: a retry, a lost answer, a throttle.
URLS = [
    *pages(2),
    "http://faults.test/system_failure/1",
    "http://faults.test/dropped_after/1",
    "http://faults.test/throttled/1",
]
SETTINGS = Settings(concurrency=3, backoff=timedelta(seconds=2))


async def killed_at(*fuses: int) -> bool:
    """Kill one runner after the other at these steps; whether the last kill came to happen."""
    night = Night.of(URLS, World(durations=(3, 9), retry_after=1), SETTINGS)
    killed = False
    for fuse in fuses:
        try:
            await night.run(Power(fuse=fuse))
            killed = False
        except Killed:
            killed = True
        check_always(night.store, night.batch.id, night.loaded)
    assert await night.run() is Ending.FINISHED
    night.check_end()
    assert night.jobs() == {JobState.SUCCEEDED: len(URLS)}
    return killed


def test_every_crash_point_of_a_small_batch_is_survived() -> None:
    fuse = 1
    while simulate(lambda: killed_at(fuse)):  # noqa: B023 - called before the next turn
        fuse += 1
    assert fuse > 50, "the batch ran through after too few steps to be a proof"


@pytest.mark.parametrize("first", range(3, 60, 7))
def test_a_crash_while_recovering_from_a_crash_is_survived(first: int) -> None:
    for second in range(2, 40, 5):
        simulate(lambda: killed_at(first, second))  # noqa: B023 - called before the next turn
