"""How close a batch comes to the shortest possible time, and how many requests that takes."""

from __future__ import annotations

import pytest

from benchmarks.makespan import measure


@pytest.mark.sweep
def test_a_batch_of_two_thousand_jobs_is_near_its_shortest_time() -> None:
    simulated = measure(jobs=2000, concurrency=50)
    assert simulated.ratio <= 1.10
    assert simulated.requests_per_job <= simulated.formula * 1.10
