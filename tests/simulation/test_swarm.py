"""Nights of many faults at once: nothing breaks, and every fault is met."""

from __future__ import annotations

from collections import Counter

import pytest

from batchrunner.runner.poller import Poller
from batchrunner.selftest.invariants import InvariantViolated
from tests.simulator import fuzz
from tests.simulator.fuzz import SimulationResult, faults_not_fired, simulate_seed
from tests.simulator.parallel import in_parallel
from tests.simulator.scenario import Scenario, draw_scenario

NIGHTS, JOBS = 100, 40
#: Jobs of every fifth night: long ones meet what comes late.
MANY_JOBS = 200
#: Kinds of faults, of more than a hundred, that so many nights may miss.
MISSED = 5
#: Nights that are played each time: with kills, sleeps, clocks that are set and a bad network.
FEW = range(3)


@pytest.mark.parametrize("seed", FEW)
def test_a_night_of_many_faults_balances(seed: int) -> None:
    assert simulate_seed(seed, 40).fired.total() > 0, "nothing happened: that proves nothing"


@pytest.mark.sweep
def test_a_hundred_nights_balance_and_faults_of_nearly_every_kind_are_met() -> None:
    played = list(in_parallel(play_sized, range(NIGHTS)))
    assert len(played) == NIGHTS
    missed = faults_not_fired(played)
    assert len(missed) <= MISSED, f"what was never met is not proved harmless: {missed}"
    assert sum(night.kills for night in played) > NIGHTS // 4


def play_sized(seed: int) -> SimulationResult:
    return simulate_seed(seed, JOBS if seed % 5 else MANY_JOBS)


def test_a_night_is_the_same_each_time_it_is_played() -> None:
    assert simulate_seed(2, 20) == simulate_seed(2, 20)


def test_some_nights_end_their_faults_and_some_never_do() -> None:
    plans: list[Scenario] = [draw_scenario(seed, MANY_JOBS) for seed in range(NIGHTS)]
    assert 10 < sum(not plan.ends for plan in plans) < 40
    assert len({len(plan.fuses) for plan in plans}) == 3


def test_what_was_never_met_is_told() -> None:
    unmet = faults_not_fired([simulate_seed(seed=0, jobs=2)])
    assert len(unmet) > 50, "two jobs cannot meet everything"


def test_a_broken_promise_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Poller, "_judge", never)
    with pytest.raises(
        InvariantViolated, match="in the night of seed 5, a runner crashed: ZeroDivision"
    ):
        simulate_seed(5, 10)


def test_every_kind_of_fault_has_a_name_of_its_own_where_it_strikes() -> None:
    for names in fuzz.KINDS.values():
        assert max(Counter(names).values()) == 1
