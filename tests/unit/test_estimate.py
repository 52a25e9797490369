"""Estimates of a batch from similar past jobs."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model.estimate import ExpectedRun, PastRun
from batchrunner.policy.estimate import ENOUGH_PAST_RUNS, MIN_PAST_RUNS, estimate
from batchrunner.sandbox.seeded_random import seeded_share


def plans(count: int, host: str = "a.example", worst: int = 450) -> list[ExpectedRun]:
    return [ExpectedRun(host=host, once=150, worst=worst) for _ in range(count)]


def taken(steps: float, host: str = "a.example", seconds: float = 60) -> PastRun:
    return PastRun(host=host, steps=int(steps), time=timedelta(seconds=seconds))


def drawn(seed: int, what: str, count: int) -> list[PastRun]:
    """Draw jobs; a few cost ten times as much as most."""
    lots = [seeded_share(seed, what, n) for n in range(count)]
    return [taken(3 + 9 * lot + (80 if lot > 0.95 else 0), seconds=15 + 200 * lot) for lot in lots]


def test_too_few_past_jobs_give_no_estimate() -> None:
    assert estimate(plans(10), [taken(5)] * (MIN_PAST_RUNS - 1), 10) is None
    assert estimate([], [taken(5)] * 100, 10) is None


def test_jobs_that_always_take_the_same_give_an_exact_estimate() -> None:
    found = estimate(plans(100), [taken(5)] * 50, 10)
    assert found is not None
    assert found.steps == (500, 500)
    assert found.time == (timedelta(seconds=600), timedelta(seconds=600))
    assert (found.past, found.own) == (50, 100)


def test_a_host_with_enough_past_jobs_is_estimated_from_them_alone() -> None:
    past = [taken(5)] * ENOUGH_PAST_RUNS + [taken(50, "b.example")] * ENOUGH_PAST_RUNS
    own = estimate(plans(10, "b.example"), past, 10)
    other = estimate(plans(10, "c.example"), past, 10)
    assert own is not None
    assert other is not None
    assert (own.steps, own.own) == ((500, 500), 10)
    assert other.steps[0] < 275 < other.steps[1]
    assert other.own == 0


def test_with_sixty_past_jobs_the_range_is_right_for_nine_of_ten_batches() -> None:
    held = 0
    for seed in range(200):
        found = estimate(plans(300), drawn(seed, "past", 60), 10)
        assert found is not None
        total = sum(each.steps for each in drawn(seed, "night", 300))
        held += found.steps[0] <= total <= found.steps[1]
    assert held >= 180, f"the range was right for {held} of 200 batches"


def test_no_more_slots_are_assumed_than_there_are_jobs() -> None:
    found = estimate(plans(3), [taken(5)] * 50, 100)
    assert found is not None
    assert found.time[1] == timedelta(seconds=60)


@given(
    st.lists(st.integers(0, 500), min_size=MIN_PAST_RUNS, max_size=40),
    st.integers(1, 200),
    st.integers(1, 600),
)
def test_a_range_is_ordered_and_between_zero_and_the_worst_case(
    past: list[int], count: int, worst: int
) -> None:
    found = estimate(plans(count, worst=worst), [taken(steps) for steps in past], 10)
    assert found is not None
    assert 0 <= found.steps[0] <= found.steps[1] <= count * worst
    assert timedelta(0) <= found.time[0] <= found.time[1]
    again = estimate(plans(count, worst=worst), [taken(steps) for steps in past], 10)
    assert found == again
