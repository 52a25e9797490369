"""How close a night comes to the shortest that is possible, and how many requests that takes."""

from __future__ import annotations

import pytest

from benchmarks.makespan import measure


@pytest.mark.sweep
def test_a_night_of_two_thousand_jobs_is_near_its_floor() -> None:
    night = measure(jobs=2000, concurrency=50)
    assert night.ratio <= 1.10
    assert night.requests_per_job <= night.formula * 1.10
