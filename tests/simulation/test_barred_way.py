"""An untrusted certificate is no outage: nothing is sent, and the batch run stops in words."""

from __future__ import annotations

import pytest

from tests.simulation.barred_way import (
    barred_for_a_minute,
    barred_for_good,
    barred_from_the_start,
)
from tests.simulation.short_batches import Scenario
from tests.simulator.simulated_batch import simulate
from tests.sweeps import some

STORIES = (barred_from_the_start, barred_for_good, barred_for_a_minute)


@pytest.mark.sweep
@pytest.mark.parametrize("story", some(STORIES, quick=1))
def test_a_barred_way(story: Scenario) -> None:
    simulate(story)
