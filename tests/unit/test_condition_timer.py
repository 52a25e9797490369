"""A condition timer counts only time that was observed."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.runner.condition_timer import MAX_GAP, ConditionTimer
from tests.fakes import NOW, after

HALF_HOUR = timedelta(minutes=30)


def observe(timer: ConditionTimer, *seconds: float, run_id: str = "run-1") -> None:
    for each in seconds:
        timer.observe([run_id], after(each))


def test_one_observation_lasts_no_time() -> None:
    timer = ConditionTimer(NOW)
    observe(timer, 10)
    assert not timer.has_lasted("run-1", timedelta(seconds=1))
    assert timer.has_lasted("run-1", timedelta(0))


def test_a_condition_lasts_as_long_as_every_observation_shows_it() -> None:
    timer = ConditionTimer(NOW)
    observe(timer, *range(0, 1801, 10))
    assert timer.has_lasted("run-1", HALF_HOUR)
    assert not timer.has_lasted("run-1", HALF_HOUR + timedelta(seconds=1))


def test_one_observation_without_the_condition_ends_it() -> None:
    timer = ConditionTimer(NOW)
    observe(timer, *range(0, 1801, 10))
    timer.forget(["run-1"])
    assert not timer.has_lasted("run-1", timedelta(0))
    observe(timer, 1810)
    assert not timer.has_lasted("run-1", timedelta(seconds=1))


def test_time_without_observations_hardly_counts() -> None:
    timer = ConditionTimer(NOW)
    observe(timer, 0, 36_000)
    assert timer.has_lasted("run-1", MAX_GAP)
    assert not timer.has_lasted("run-1", MAX_GAP + timedelta(seconds=1))


def test_runs_that_an_observation_leaves_out_stay_as_they_are() -> None:
    timer = ConditionTimer(NOW)
    observe(timer, 0, 30)
    timer.observe(["run-2"], after(60))
    assert timer.has_lasted("run-1", timedelta(seconds=30))
    assert not timer.has_lasted("run-1", timedelta(seconds=31))


def test_a_run_that_was_never_observed_has_no_condition() -> None:
    assert not ConditionTimer(NOW).has_lasted("run-1", timedelta(0))
