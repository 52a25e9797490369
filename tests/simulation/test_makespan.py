"""How close a batch comes to the shortest possible time, and how many requests that takes."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from batchrunner.model.job_file import Looks
from benchmarks.lean_batch import LeanBatch, Mode
from benchmarks.makespan import Figures, RunsByHost, measure, measure_lean, pages


@pytest.mark.sweep
def test_a_batch_is_near_its_shortest_time_with_a_fifth_of_a_request_for_each_job() -> None:
    simulated = measure(jobs=1000, concurrency=50)
    assert simulated.ratio <= 1.03
    assert simulated.ratio_to_list <= 1.0
    assert simulated.requests_per_job <= 0.22


@pytest.mark.parametrize(
    ("concurrency", "requests"), [(2, 3.0), (10, 0.85), (50, 0.2), (200, 0.12)]
)
def test_where_the_api_queues_few_polls_keep_every_slot_busy(
    concurrency: int, requests: float
) -> None:
    found = measure_lean(1000, concurrency)
    assert found.ratio_to_list <= 1.005
    assert found.requests_per_job <= requests
    if concurrency <= 50:
        assert found.ratio <= 1.015


def test_where_a_slot_waits_for_the_poll_it_waits_for_a_thirtieth_of_a_run() -> None:
    found = measure_lean(1000, 10, Mode.FIXED)
    assert found.ratio <= 1.035


def test_looks_trade_requests_for_early_results() -> None:
    sparing, usual, eager = (measure_lean(400, 20, looks=looks) for looks in Looks)
    assert sparing.requests < 0.8 * usual.requests
    assert eager.requests > 2 * usual.requests
    assert max(each.ratio for each in (sparing, usual, eager)) <= 1.15


def test_an_earlier_night_shows_which_jobs_are_long() -> None:
    config, urls = RunsByHost(limit=200), pages(1000)
    durations = [config.duration(url, 0) for url in urls]
    hosts = [urlsplit(url).netloc for url in urls]
    first = LeanBatch(durations, hosts, 200, Mode.AUTO, Looks.USUAL)
    first.run()
    second = LeanBatch(durations, hosts, 200, Mode.AUTO, Looks.USUAL, first.host_durations)
    second.run()
    figures = Figures(1000, 200, second.now, durations, second.requests, second.creates)
    assert figures.ratio <= 1.1 < first.now / figures.floor
