"""Markers in whole batches: agents return them, and goals become too long by them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulation.marked_batches import goal_too_long, marker_expected, marker_returned
from tests.simulator.simulated_batch import simulate


def test_a_marker_that_agents_return_is_neither_exported_nor_judged() -> None:
    simulate(marker_returned)


@pytest.mark.parametrize(
    ("path", "rule"), [("tags", {"at_least": 2}), ("note", {"required": True})]
)
def test_what_is_nothing_but_a_marker_meets_no_expectation(path: str, rule: Any) -> None:
    simulate(marker_expected(path, rule))


@pytest.mark.parametrize("shape", ["beside", "plain", "listed", "ok"])
def test_a_goal_that_only_its_marker_makes_too_long_fails_with_its_remedy(shape: str) -> None:
    simulate(goal_too_long(shape))
