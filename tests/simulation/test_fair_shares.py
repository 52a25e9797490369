"""Several runners of one batch on virtual time: shares and time, also where one of them is slow."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from batchrunner.policy.fair_shares import slot_share
from batchrunner.store.fair_shares import slots_to_take
from tests.simulation.planting import Planter
from tests.simulation.sharing import SharedBatch
from tests.simulator.simulated_batch import simulate

#: Of the jobs, for each of two and of four runners.
LEAST_SHARE = {2: 0.3, 4: 0.15}
#: The time for all jobs, compared with one runner alone.
MOST_TIME = 1.1


async def shared(
    jobs: int, slots: int, factors: Sequence[float], pause: float = 0.0
) -> tuple[list[float], float]:
    """Run a batch with several runners; return the share of each, and the time it took."""
    batch = SharedBatch.with_jobs(jobs, slots)
    # A slow transaction that reads the database's clock makes its runner's clock late.
    batch.one_clock = False
    seconds = await batch.run_all(factors, pause)
    batch.check_end()
    assert batch.most_transactions_per_second() < 25, "a runner spins while it waits for slots"
    opened = batch.attempts_by_owner()
    return [opened[f"owner-{n + 1}"] / jobs for n in range(len(factors))], seconds


def check_shares(jobs: int, slots: int, factors: Sequence[float], pause: float = 0.0) -> None:
    async def scenario() -> None:
        _, alone = await shared(jobs, slots, [1])
        parts, together = await shared(jobs, slots, factors, pause)
        assert min(parts) >= LEAST_SHARE[len(factors)], parts
        assert together <= alone * MOST_TIME

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("jobs", "slots", "factors", "pause"),
    [
        (60, 6, (1, 1), 0),
        (60, 6, (1, 10), 0),
        (60, 6, (10, 1), 3),
        (80, 8, (1, 1, 1, 10), 0),
        (90, 7, (10, 1, 1, 1), 1),
        (60, 5, (1, 1, 1, 1), 0),
    ],
)
def test_each_runner_gets_its_share_and_a_slow_one_delays_nobody(
    jobs: int, slots: int, factors: Sequence[float], pause: float
) -> None:
    check_shares(jobs, slots, factors, pause)


@pytest.mark.sweep
def test_runners_take_turns_where_there_are_fewer_slots_than_runners() -> None:
    async def scenario() -> None:
        parts, _ = await shared(20, 1, (1, 1))
        assert min(parts) >= 0.2

    simulate(scenario)


def _greedy(*args: object) -> int:
    free = args[4]
    assert isinstance(free, int)
    return free


@pytest.mark.sweep
def test_a_runner_that_takes_every_slot_at_once_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    planter = Planter(monkeypatch)
    planter.replace(slots_to_take, _greedy)

    async def scenario() -> None:
        parts, _ = await shared(24, 4, (1, 1), 3)
        assert min(parts) >= LEAST_SHARE[2], "one of them starves"

    with pytest.raises(AssertionError, match="one of them starves"):
        simulate(scenario)
    assert not planter.uncalled


@pytest.mark.sweep
def test_a_share_that_leaves_out_the_last_runner_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def rounded_up(bound: int, owners: Sequence[str], *_: object) -> int:
        return -(-bound // len(owners))

    Planter(monkeypatch).replace(slot_share, rounded_up)
    with pytest.raises(AssertionError):
        check_shares(80, 5, (1, 1, 1, 1))
