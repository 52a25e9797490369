"""Several nights of a series with kills: nothing lost, nothing bought twice, editions complete."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from batchrunner.model import FailureCategory, JobState
from batchrunner.policy.editions import choose_edition
from batchrunner.store.editions import close_edition, unfinished_before
from batchrunner.store.schema import attempts, jobs
from tests.simulation.nights import (
    drawn_nights,
    killed_and_started_again,
    killed_at_midnight,
    killed_until_the_next_night,
)
from tests.simulation.planting import Bug, Planter, check_caught
from tests.simulator.simulated_batch import simulate


@pytest.mark.parametrize("seed", [3])
def test_nights_with_kills_lose_nothing_and_buy_nothing_twice(seed: int) -> None:
    series = simulate(partial(drawn_nights, seed))
    assert series.kills > 1
    assert series.drained, "no run was in flight when the next night began: that proves nothing"


@pytest.mark.sweep
def test_many_nights_with_kills_lose_nothing_and_buy_nothing_twice() -> None:
    found = [simulate(partial(drawn_nights, seed, nights=6)) for seed in range(100, 108)]
    assert sum(series.drained for series in found) > 10
    assert sum(series.resumed for series in found) > 7


@pytest.mark.sweep
def test_runs_in_flight_at_midnight_are_collected_by_the_next_day() -> None:
    assert simulate(killed_at_midnight).drained


# ---- planted bugs ----


def begin_an_edition_with_each_start(planter: Planter) -> None:
    """Begin an edition although the slot has one."""

    def choose(*args: Any, fresh: bool = False) -> Any:
        return choose_edition(*args, fresh=True)

    planter.replace(choose_edition, choose)


def leave_older_editions_open(planter: Planter) -> None:
    """Begin an edition without draining the one before."""
    planter.replace(unfinished_before, lambda *_: [])


def throw_away_runs_in_flight(planter: Planter) -> None:
    """Cancel the runs of an edition that is closed, instead of collecting them."""

    def close(tx: Any, batch_id: int, now: Any) -> Any:
        closed = close_edition(tx, batch_id, now)
        mine = (attempts.c.batch_id == batch_id, attempts.c.closed_at.is_(None))
        reason = FailureCategory.RUN_CANCELLED
        tx.execute(update(attempts).where(*mine).values(cancel_reason=reason))
        return closed

    planter.replace(close_edition, close)


def submit_older_editions_on(planter: Planter) -> None:
    """Close an edition without cancelling the jobs of it that wait."""

    def close(tx: Any, batch_id: int, now: Any) -> Any:
        mine = (jobs.c.batch_id == batch_id, jobs.c.state == JobState.RUNNING)
        tx.execute(update(jobs).where(*mine).values(cancel_requested=True))
        return 0, 0

    planter.replace(close_edition, close)


BUGS = [
    Bug(begin_an_edition_with_each_start, killed_and_started_again, "not one edition a night"),
    Bug(leave_older_editions_open, killed_until_the_next_night, "left unfinished"),
    Bug(submit_older_editions_on, killed_until_the_next_night, "left unfinished"),
    Bug(throw_away_runs_in_flight, killed_at_midnight, "thrown away|paid for has no result"),
]


@pytest.mark.parametrize("bug", BUGS[:1], ids=[bug.name for bug in BUGS[:1]])
def test_a_planted_bug_of_editions_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)


@pytest.mark.sweep
@pytest.mark.parametrize("bug", BUGS[1:], ids=[bug.name for bug in BUGS[1:]])
def test_a_planted_bug_of_draining_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)


@pytest.mark.sweep
def test_the_unplanted_scenarios_hold() -> None:
    for scenario in (killed_and_started_again, killed_until_the_next_night):
        simulate(scenario)
