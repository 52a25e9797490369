"""A runner that dies at any step loses no job and pays for no run twice."""

from __future__ import annotations

import pytest

from batchrunner.selftest.invariants import InvariantViolated
from tests.simulator import crash_points
from tests.simulator.crash_points import all_crash_points, count_steps, crash_at, crash_pairs

#: Steps from one crash point to the next that is tried each time: enough to fall everywhere.
STRIDE = 131
#: Pairs of crash points that are drawn in a sweep.
DRAWN = 60


def test_crash_points_all_along_a_small_batch_are_survived() -> None:
    found = [crash_at((fuse,)) for fuse in range(1, count_steps() + 1, STRIDE)]
    assert all(crash.reached for crash in found), "a step was not reached: that proves nothing"
    inside = sum(crash.in_transaction for crash in found)
    assert 3 < inside < len(found) - 1, "kills fall into transactions, and between them"


def test_a_crash_while_recovering_from_a_crash_is_survived() -> None:
    assert crash_at((100, 40)).reached


@pytest.mark.sweep
def test_every_crash_point_of_a_small_batch_is_survived() -> None:
    found = list(all_crash_points())
    assert all(crash.reached for crash in found), "a step was not reached: that proves nothing"
    inside = sum(crash.in_transaction for crash in found)
    assert inside > 300, "too few kills fell into transactions"
    assert len(found) - inside > 100, "too few kills fell between transactions"


@pytest.mark.sweep
def test_drawn_pairs_of_crash_points_are_survived() -> None:
    came = sum(crash.reached for crash in crash_pairs(DRAWN, seed=1))
    assert came > DRAWN / 2, "too few of the second kills came to happen"


def test_a_crash_that_is_not_survived_is_reported_with_its_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crash_points, "URLS", ["http://faults.test/agent_failure"])
    with pytest.raises(InvariantViolated, match="killed at 40: a job did not succeed"):
        crash_at((40,))
