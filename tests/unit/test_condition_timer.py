"""How long something has been odd about a run: only what was seen counts."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.runner.condition_timer import MAX_GAP, ConditionTimer
from tests.fakes import NOW, after

HALF_HOUR = timedelta(minutes=30)


def noted(patience: ConditionTimer, *seconds: float, run_id: str = "run-1") -> None:
    for each in seconds:
        patience.observe([run_id], after(each))


def test_one_odd_look_ends_no_patience() -> None:
    patience = ConditionTimer(NOW)
    noted(patience, 10)
    assert not patience.has_lasted("run-1", timedelta(seconds=1))
    assert patience.has_lasted("run-1", timedelta(0))


def test_what_is_odd_at_every_look_is_so_for_as_long() -> None:
    patience = ConditionTimer(NOW)
    noted(patience, *range(0, 1801, 10))
    assert patience.has_lasted("run-1", HALF_HOUR)
    assert not patience.has_lasted("run-1", HALF_HOUR + timedelta(seconds=1))


def test_one_look_that_is_well_ends_it() -> None:
    patience = ConditionTimer(NOW)
    noted(patience, *range(0, 1801, 10))
    patience.forget(["run-1"])
    assert not patience.has_lasted("run-1", timedelta(0))
    noted(patience, 1810)
    assert not patience.has_lasted("run-1", timedelta(seconds=1))


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    patience = ConditionTimer(NOW)
    noted(patience, 0, 36_000)
    assert patience.has_lasted("run-1", MAX_GAP)
    assert not patience.has_lasted("run-1", MAX_GAP + timedelta(seconds=1))


def test_runs_that_a_look_told_nothing_of_stay_as_they_are() -> None:
    patience = ConditionTimer(NOW)
    noted(patience, 0, 30)
    patience.observe(["run-2"], after(60))
    assert patience.has_lasted("run-1", timedelta(seconds=30))
    assert not patience.has_lasted("run-1", timedelta(seconds=31))


def test_who_was_never_odd_is_not() -> None:
    assert not ConditionTimer(NOW).has_lasted("run-1", timedelta(0))
