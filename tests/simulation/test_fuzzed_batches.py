"""Batches with many faults at once: no promise is broken, and every kind of fault occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from batchrunner.runner.poller import Poller
from batchrunner.selftest.invariants import InvariantViolated
from tests.simulation.planting import Planter
from tests.simulator import fuzz
from tests.simulator.forced_faults import CHANGES, FaultName, simulate_until
from tests.simulator.fuzz import SimulationResult, faults_not_fired, simulate_seed
from tests.simulator.parallel import in_parallel
from tests.simulator.scenario import draw_scenario
from tests.sweeps import seeds, some

BATCHES, JOBS = len(seeds(100)), 40
#: Jobs of every fifth batch: long batches meet what happens late.
MANY_JOBS = 200
#: Batches that are simulated each time: with kills, sleeps, clock changes and a bad network.
QUICK_SEEDS = range(1)


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_a_batch_with_many_faults_keeps_every_promise(seed: int) -> None:
    assert simulate_seed(seed, JOBS).fired.total() > 0, "no fault occurred: this proves nothing"


@pytest.mark.sweep
def test_a_hundred_batches_keep_every_promise_and_every_kind_of_fault_occurs() -> None:
    results = list(in_parallel(simulate_sized, range(BATCHES)))
    assert len(results) == BATCHES
    assert sum(result.kills for result in results) >= BATCHES
    # Rare faults may not have been drawn: more batches force each of them.
    for more in in_parallel(simulate_until, faults_not_fired(results)):
        results += more
    never = faults_not_fired(results)
    assert not never, f"these never occurred, so nothing is proved about them: {never}"


def simulate_sized(seed: int) -> SimulationResult:
    return simulate_seed(seed, JOBS if seed % 5 else MANY_JOBS)


def forced() -> Iterator[FaultName]:
    """Yield what only a change of the scenario can force: a rate or a window needs no test."""
    yield from (
        fault for fault in CHANGES if fault[0] in ("machine", "credits", "account", fuzz.REACTION)
    )


@pytest.mark.parametrize("fault", some(forced(), 2), ids=": ".join)
def test_a_batch_can_force_each_fault_and_reaction(fault: FaultName) -> None:
    assert simulate_until(fault)[-1].fired[fault] > 0


@pytest.mark.sweep
def test_a_simulated_batch_is_the_same_each_time() -> None:
    assert simulate_seed(2, 20) == simulate_seed(2, 20)


def test_the_faults_of_most_batches_end_and_those_of_some_never_do() -> None:
    scenarios = [draw_scenario(seed, MANY_JOBS) for seed in range(100)]
    assert 10 < sum(not scenario.ends for scenario in scenarios) < 40
    assert len({len(scenario.kills) for scenario in scenarios}) == 3


@pytest.mark.sweep
def test_faults_that_never_occurred_are_reported() -> None:
    never = faults_not_fired([simulate_seed(seed=0, jobs=2)])
    assert len(never) > 50, "two jobs cannot meet every fault"


def test_a_broken_promise_is_reported_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object) -> None:
        raise ZeroDivisionError

    Planter(monkeypatch).replace(Poller.poll, crash)
    with pytest.raises(
        InvariantViolated, match="in the batch of seed 5, a runner crashed: ZeroDivision"
    ):
        simulate_seed(5, 10)


def test_every_kind_of_fault_has_a_name_of_its_own_where_it_occurs() -> None:
    for names in fuzz.KINDS.values():
        assert max(Counter(names).values()) == 1
