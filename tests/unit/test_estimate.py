"""What a batch may come to, judged by what like jobs took."""

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
    """Draw jobs of which a few cost ten times what most do."""
    lots = [seeded_share(seed, what, n) for n in range(count)]
    return [taken(3 + 9 * lot + (80 if lot > 0.95 else 0), seconds=15 + 200 * lot) for lot in lots]


def test_nothing_is_foretold_by_too_short_a_past() -> None:
    assert estimate(plans(10), [taken(5)] * (MIN_PAST_RUNS - 1), 10) is None
    assert estimate([], [taken(5)] * 100, 10) is None


def test_jobs_that_always_take_the_same_leave_no_doubt() -> None:
    found = estimate(plans(100), [taken(5)] * 50, 10)
    assert found is not None
    assert found.steps == (500, 500)
    assert found.time == (timedelta(seconds=600), timedelta(seconds=600))
    assert (found.past, found.own) == (50, 100)


def test_a_host_is_judged_by_its_own_past_where_that_is_long_enough() -> None:
    past = [taken(5)] * ENOUGH_PAST_RUNS + [taken(50, "b.example")] * ENOUGH_PAST_RUNS
    own = estimate(plans(10, "b.example"), past, 10)
    other = estimate(plans(10, "c.example"), past, 10)
    assert own is not None
    assert other is not None
    assert (own.steps, own.own) == ((500, 500), 10)
    assert other.steps[0] < 275 < other.steps[1]
    assert other.own == 0


def test_by_sixty_jobs_the_range_holds_what_really_comes_in_nine_of_ten_nights() -> None:
    held = 0
    for seed in range(200):
        found = estimate(plans(300), drawn(seed, "past", 60), 10)
        assert found is not None
        came = sum(each.steps for each in drawn(seed, "night", 300))
        held += found.steps[0] <= came <= found.steps[1]
    assert held >= 180, f"the range held in {held} of 200 nights"


def test_no_more_slots_are_reckoned_with_than_there_are_jobs() -> None:
    found = estimate(plans(3), [taken(5)] * 50, 100)
    assert found is not None
    assert found.time[1] == timedelta(seconds=60)


@given(
    st.lists(st.integers(0, 500), min_size=MIN_PAST_RUNS, max_size=40),
    st.integers(1, 200),
    st.integers(1, 600),
)
def test_a_range_is_in_order_above_zero_and_below_the_worst(
    past: list[int], count: int, worst: int
) -> None:
    found = estimate(plans(count, worst=worst), [taken(steps) for steps in past], 10)
    assert found is not None
    assert 0 <= found.steps[0] <= found.steps[1] <= count * worst
    assert timedelta(0) <= found.time[0] <= found.time[1]
    again = estimate(plans(count, worst=worst), [taken(steps) for steps in past], 10)
    assert found == again
