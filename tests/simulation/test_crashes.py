"""A runner that dies at any step loses no job and pays for no run twice."""

from __future__ import annotations

import pytest

from batchrunner.proof import crashes
from batchrunner.proof.crashes import every_point, pairs, survive
from batchrunner.proof.promises import Broken

#: Pairs of crash points that are drawn.
DRAWN = 120


def test_every_crash_point_of_a_small_batch_is_survived() -> None:
    found = list(every_point())
    assert all(crash.came for crash in found), "a step was not reached: that proves nothing"
    inside = sum(crash.in_transaction for crash in found)
    assert inside > 300, "too few kills fell into transactions"
    assert len(found) - inside > 100, "too few kills fell between transactions"


def test_a_crash_while_recovering_from_a_crash_is_survived() -> None:
    came = sum(crash.came for crash in pairs(DRAWN, seed=1))
    assert came > DRAWN / 2, "too few of the second kills came to happen"


def test_a_crash_that_is_not_survived_is_told_with_its_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crashes, "URLS", ["http://faults.test/agent_failure"])
    with pytest.raises(Broken, match="killed at 40: a job did not succeed"):
        survive((40,))
