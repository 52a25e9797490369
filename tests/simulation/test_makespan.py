"""How close a night comes to the shortest that is possible, and how many requests that takes."""

from __future__ import annotations

import pytest

from benchmarks.makespan import measure


@pytest.mark.sweep
def test_a_night_of_two_thousand_jobs_is_near_its_floor() -> None:
    simulated = measure(jobs=2000, concurrency=50)
    assert simulated.ratio <= 1.10
    assert simulated.requests_per_job <= simulated.formula * 1.10
