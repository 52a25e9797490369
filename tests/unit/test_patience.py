"""How long something has been odd about a run: only what was seen counts."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.runner.patience import GAP, Patience
from tests.fakes import NOW, after

HALF_HOUR = timedelta(minutes=30)


def noted(patience: Patience, *seconds: float, run_id: str = "run-1") -> None:
    for each in seconds:
        patience.note([run_id], after(each))


def test_one_odd_look_ends_no_patience() -> None:
    patience = Patience(NOW)
    noted(patience, 10)
    assert not patience.is_over("run-1", timedelta(seconds=1))
    assert patience.is_over("run-1", timedelta(0))


def test_what_is_odd_at_every_look_is_so_for_as_long() -> None:
    patience = Patience(NOW)
    noted(patience, *range(0, 1801, 10))
    assert patience.is_over("run-1", HALF_HOUR)
    assert not patience.is_over("run-1", HALF_HOUR + timedelta(seconds=1))


def test_one_look_that_is_well_ends_it() -> None:
    patience = Patience(NOW)
    noted(patience, *range(0, 1801, 10))
    patience.forget(["run-1"])
    assert not patience.is_over("run-1", timedelta(0))
    noted(patience, 1810)
    assert not patience.is_over("run-1", timedelta(seconds=1))


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    patience = Patience(NOW)
    noted(patience, 0, 36_000)
    assert patience.is_over("run-1", GAP)
    assert not patience.is_over("run-1", GAP + timedelta(seconds=1))


def test_runs_that_a_look_told_nothing_of_stay_as_they_are() -> None:
    patience = Patience(NOW)
    noted(patience, 0, 30)
    patience.note(["run-2"], after(60))
    assert patience.is_over("run-1", timedelta(seconds=30))
    assert not patience.is_over("run-1", timedelta(seconds=31))


def test_who_was_never_odd_is_not() -> None:
    assert not Patience(NOW).is_over("run-1", timedelta(0))
