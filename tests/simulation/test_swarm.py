"""Nights of many faults at once: nothing breaks, and every fault is met."""

from __future__ import annotations

from collections import Counter

import pytest

from batchrunner.runner.poller import Poller
from batchrunner.selftest.invariants import InvariantViolated
from tests.simulator import fuzz
from tests.simulator.fuzz import faults_not_fired, simulate_seed, simulate_seeds
from tests.simulator.scenario import Scenario, draw_scenario

NIGHTS, JOBS = 100, 200


def test_a_hundred_nights_balance_and_every_fault_is_met() -> None:
    played = list(simulate_seeds(0, NIGHTS, JOBS))
    assert len(played) == NIGHTS
    assert faults_not_fired(played) == [], "what was never met is not proved harmless"
    assert sum(night.kills for night in played) > NIGHTS


def test_a_night_is_the_same_each_time_it_is_played() -> None:
    first, second = simulate_seed(3, 40), simulate_seed(3, 40)
    assert first == second


def test_some_nights_end_their_faults_and_some_never_do() -> None:
    plans: list[Scenario] = [draw_scenario(seed, JOBS) for seed in range(NIGHTS)]
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
