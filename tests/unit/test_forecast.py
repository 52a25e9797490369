"""Ranges of a forecast contain what simulated batches then take, about as often as they say."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from random import Random

import pytest

from batchrunner.model import FailureCategory
from batchrunner.model.forecast import Forecast, JobGroup, Limits, SampledAttempt, SampledJob
from batchrunner.policy.forecast import SHARE, forecast

WAIT = 20.0
SLOTS = 8
LIMITS = Limits(slots=SLOTS, allowed={FailureCategory.AGENT_FAILURE: 1})


def job_of(world: Random, host: str, heavy: float) -> SampledJob:
    """Draw a job as an API might run it: skewed times, rare expensive runs, some retries."""
    attempts = []
    for number in range(3):
        steps = min(1 + int(world.lognormvariate(1.2, heavy)), 50)
        seconds = 4.0 + 6.0 * steps * world.uniform(0.7, 1.3)
        failed = world.random() < 0.15
        failure = FailureCategory.SYSTEM_FAILURE if failed else None
        wait = WAIT if failed and number < 2 else 0.0
        attempts.append(SampledAttempt(steps=steps, seconds=seconds, failure=failure, wait=wait))
        if not failed:
            break
    return SampledJob(host=host, attempts=tuple(attempts))


def take(jobs: list[SampledJob], slots: int) -> tuple[int, float]:
    """Return what a batch of these jobs takes: steps and seconds, in a simulation of its own."""
    steps = sum(attempt.steps for job in jobs for attempt in job.attempts)
    free, due = [0.0] * slots, [(0.0, at, 0) for at in range(len(jobs))]
    heapify(due)
    end = 0.0
    while due:
        ready, at, number = heappop(due)
        begin = max(heappop(free), ready)
        attempt = jobs[at].attempts[number]
        ended = begin + attempt.seconds
        end = max(end, ended)
        heappush(free, ended)
        if number + 1 < len(jobs[at].attempts):
            heappush(due, (ended + attempt.wait, at, number + 1))
    return steps, end


def found_of(jobs: int, past: list[SampledJob], seed: int, limits: Limits = LIMITS) -> Forecast:
    group = JobGroup(host="shop.test", count=jobs, once=50, attempts=3)
    found = forecast([group], past, limits, Random(seed))
    assert found is not None
    return found


def hits(seeds: range, past_jobs: int, jobs: int, heavy: float = 0.8) -> tuple[float, float]:
    """Return how often the cost, and the time, of a batch was in the range that was forecast."""
    steps_in = time_in = 0
    for seed in seeds:
        world = Random(f"{seed} world")
        past = [job_of(world, "shop.test", heavy) for _ in range(past_jobs)]
        found = found_of(jobs, past, seed)
        steps, seconds = take([job_of(world, "shop.test", heavy) for _ in range(jobs)], SLOTS)
        steps_in += found.steps[0] <= steps <= found.steps[1]
        time_in += found.seconds[0] <= seconds <= found.seconds[1]
    return steps_in / len(seeds), time_in / len(seeds)


def test_ranges_hold_about_as_often_as_they_say() -> None:
    steps, seconds = hits(range(60), past_jobs=60, jobs=60)
    assert SHARE - 0.13 <= steps <= SHARE + 0.15
    assert SHARE - 0.13 <= seconds <= SHARE + 0.15


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("past_jobs", "jobs"), [(20, 40), (20, 2000), (60, 20), (60, 300), (300, 60), (300, 20_000)]
)
def test_ranges_hold_for_short_and_long_pasts_and_batches(past_jobs: int, jobs: int) -> None:
    steps, seconds = hits(range(300), past_jobs, jobs)
    assert SHARE - 0.08 <= steps <= SHARE + 0.08, steps
    assert SHARE - 0.08 <= seconds <= SHARE + 0.10, seconds
