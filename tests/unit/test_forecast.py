"""Ranges of a forecast contain what simulated batches then take, about as often as they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from heapq import heapify, heappop, heappush
from random import Random

import pytest

from batchrunner.model import FailureCategory
from batchrunner.model.forecast import Forecast, JobGroup, Limits, SampledAttempt, SampledJob
from batchrunner.policy.forecast import SHARE, forecast, worst_case

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


@pytest.mark.sweep
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


def job_with(*attempts: SampledAttempt, host: str = "shop.test") -> SampledJob:
    return SampledJob(host=host, attempts=attempts)


def tried(steps: int, failure: FailureCategory | None = None, **fields: float) -> SampledAttempt:
    return SampledAttempt(steps=steps, seconds=10.0, failure=failure, **fields)


BROKEN, WRONG = FailureCategory.SYSTEM_FAILURE, FailureCategory.AGENT_FAILURE


def test_a_past_without_spread_gives_exactly_what_it_says() -> None:
    past = [job_with(tried(3))] * 30
    found = found_of(20, past, seed=1)
    assert found.steps == (60, 60)
    assert found.seconds == (30.0, 30.0), "20 jobs of 10 s, 8 at once"
    assert (found.own, found.past) == (20, 30)
    assert found == found_of(20, past, seed=1), "the same seed says the same"


def test_too_short_a_past_says_nothing() -> None:
    group = JobGroup(host="h", count=3, once=50, attempts=3)
    assert forecast([group], [job_with(tried(3))] * 4, LIMITS, Random(0)) is None
    assert forecast([], [job_with(tried(3))] * 9, LIMITS, Random(0)) is None


@pytest.mark.parametrize(
    ("attempts", "steps"),
    [
        ((tried(5, BROKEN), tried(5, BROKEN), tried(5)), 10),  # the new policy allows two
        ((tried(5, BROKEN), tried(1)), 6),
        ((tried(5, BROKEN),), 10),  # the old one allowed one: the last attempt is repeated
        ((tried(5, WRONG),), 5),  # this category is not retried
        ((tried(200),), 50),  # no run may take so many steps any more
        ((tried(5, BROKEN, counted=0), tried(1)), 6),  # what does not count ends nothing
    ],
)
def test_past_attempts_are_replayed_under_the_rules_of_the_new_batch(
    attempts: tuple[SampledAttempt, ...], steps: int
) -> None:
    group = JobGroup(host="shop.test", count=10, once=50, attempts=2)
    found = forecast([group], [job_with(*attempts)] * 30, LIMITS, Random(0))
    assert found is not None
    assert found.steps == (10 * steps, 10 * steps)


def test_waits_and_limits_of_a_host_take_time() -> None:
    retried = [job_with(tried(1, BROKEN, wait=100.0), tried(1))] * 30
    assert found_of(8, retried, seed=0).seconds == (120.0, 120.0)
    quick = [job_with(tried(1))] * 30
    for fields, seconds in (({"spacing": 60.0}, 480.0), ({"host_slots": 2}, 40.0)):
        group = JobGroup(host="shop.test", count=8, once=50, attempts=3, **fields)
        found = forecast([group], quick, LIMITS, Random(0))
        assert found is not None
        assert found.seconds == (seconds, seconds)


def test_a_host_with_enough_past_is_drawn_from_its_own() -> None:
    past = [job_with(tried(40), host="dear")] * 20 + [job_with(tried(2), host="cheap")] * 19
    groups = [JobGroup(host=host, count=5, once=50, attempts=1) for host in ("dear", "cheap")]
    found = forecast(groups, past, LIMITS, Random(0))
    assert found is not None
    assert found.own == 5
    assert found.steps[0] > 5 * 40 + 5 * 2, "19 are too few: drawn from all"


def test_what_a_budget_covers_and_what_ends_in_time() -> None:
    past = [job_with(tried(10))] * 30

    def done(**fields: float) -> tuple[tuple[int, int], tuple[int, int]]:
        found = found_of(80, past, 0, replace(LIMITS, **fields))
        return found.covered, found.in_time

    assert done() == ((80, 80), (80, 80))
    assert done(room=850)[0] == (80, 80)
    assert done(room=450)[0] == (40, 40), "the last 50 steps are kept for the run in flight"
    assert done(room=10)[0] == (0, 0)
    assert done(seconds=50.0)[1] == (40, 40)


def test_the_worst_case_counts_every_attempt_that_the_policy_allows() -> None:
    groups = [JobGroup(host="h", count=10, once=50, attempts=3)]
    found = worst_case(groups, LIMITS, timedelta(minutes=30))
    assert (found.once, found.steps, found.seconds) == (500, 1500, 4 * 1800)
