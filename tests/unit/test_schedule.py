"""When jobs are submitted, and how early before a deadline that ends."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from batchrunner.policy.schedule import FIRST_LEAD, LAST_CALL, MIN_LEAD, Pace, Phase, Window, phase
from tests.fakes import NOW, after

LIMIT = timedelta(minutes=30)
SPANS = st.timedeltas(timedelta(0), timedelta(days=2))


def paced(*seconds: float) -> Pace:
    pace = Pace()
    for each in seconds:
        pace = pace.learned(timedelta(seconds=each))
    return pace


def test_without_a_window_it_is_always_open() -> None:
    assert phase(Window(), NOW, Pace(), LIMIT) is Phase.OPEN


def test_the_phases_of_a_window_come_in_order() -> None:
    window = Window(opens=after(100), closes=after(4000))
    seen = [phase(window, after(second), paced(200, 200), LIMIT) for second in range(4100)]
    assert seen == sorted(seen, key=list(Phase).index)
    assert set(seen) == set(Phase)
    assert seen.index(Phase.OPEN) == 100
    assert seen.index(Phase.OVER) == 4000 - LAST_CALL.total_seconds()


def test_longer_runs_are_submitted_earlier() -> None:
    leads = [paced(seconds, seconds).lead(LIMIT) for seconds in range(0, 4000, 10)]
    assert leads == sorted(leads)
    assert (leads[0], leads[-1]) == (MIN_LEAD, LIMIT)


def test_without_a_known_duration_the_lead_is_a_default() -> None:
    assert Pace().lead(LIMIT) == FIRST_LEAD
    assert Pace().lead(timedelta(seconds=90)) == timedelta(seconds=90)


def test_a_pace_is_at_first_the_mean_of_all_runs() -> None:
    assert paced(100, 200, 300).typical == timedelta(seconds=200)


def test_a_pace_follows_when_runs_become_slower() -> None:
    pace = paced(*[20] * 500, *[200] * 200)
    assert timedelta(seconds=190) < pace.typical <= timedelta(seconds=200)


def test_most_runs_end_within_the_lead() -> None:
    pace = paced(*(15 + (n * 97) % 286 for n in range(300)))  # 15 to 300 s, all alike
    assert timedelta(seconds=285) < pace.lead(LIMIT) < timedelta(seconds=345)


@given(st.lists(SPANS, max_size=60), SPANS)
def test_a_lead_is_between_the_minimum_and_the_time_limit(
    took: list[timedelta], limit: timedelta
) -> None:
    pace = Pace()
    for each in took:
        pace = pace.learned(each)
    assert MIN_LEAD <= pace.lead(limit) <= max(limit, MIN_LEAD)
