"""How often runs are polled: as rarely as no slot stays empty for long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import FailureCategory, OpenAttempt, RunStatus
from batchrunner.model.job_file import Looks
from batchrunner.policy.poll_interval import (
    MIN_POLL_INTERVAL,
    POLL_RULES,
    InFlight,
    in_flight_now,
    poll_interval,
    typical_duration,
)
from batchrunner.policy.schedule import Pace
from batchrunner.policy.slots import ends_covered, runs_ahead
from tests.builders import job

NOW = datetime(2026, 11, 21, 22, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
USUAL = POLL_RULES[Looks.USUAL]
#: So many runs wait that the API fills every slot for long.
QUEUE = InFlight(runs=100, running=50, ahead=50, oldest=HOUR)
NO_QUEUE = InFlight(runs=50, running=50, oldest=HOUR)


def paced(*seconds: float) -> Pace:
    pace = Pace()
    for each in seconds:
        pace = pace.learned(timedelta(seconds=each))
    return pace


def opened(seconds_ago: float, status: RunStatus = RunStatus.RUNNING) -> OpenAttempt:
    at = NOW - timedelta(seconds=seconds_ago)
    return OpenAttempt(
        attempt_id=1,
        run_id="run",
        submission_id=1,
        marker=None,
        url="http://site.test/",
        job=job(),
        status=status,
        opened_at=at,
    )


def pending(seconds_ago: float) -> OpenAttempt:
    return opened(seconds_ago, RunStatus.PENDING)


@st.composite
def polls(draw: st.DrawFn) -> InFlight:
    return InFlight(
        runs=draw(st.integers(0, 2000)),
        running=draw(st.integers(0, 1000)),
        ahead=draw(st.integers(0, 1000)),
        oldest=draw(st.timedeltas(timedelta(-1), timedelta(days=9))),
        awaited=draw(st.booleans()),
    )


@given(
    st.sampled_from(Looks),
    st.none() | st.timedeltas(timedelta(-1), timedelta(days=9)),
    polls(),
)
def test_the_poll_interval_stays_within_its_limits(
    looks: Looks, typical: timedelta | None, in_flight: InFlight
) -> None:
    rule = POLL_RULES[looks]
    usual, rarer = (
        poll_interval(rule, typical, in_flight, webhooks_expected=webhooks_expected)
        for webhooks_expected in (False, True)
    )
    assert MIN_POLL_INTERVAL <= usual <= rule.longest_rarely
    assert usual <= rarer <= max(usual, timedelta(seconds=30))
    if looks is Looks.USUAL and not in_flight.ahead and in_flight.awaited:
        assert rarer <= max(usual * 3, MIN_POLL_INTERVAL)


def test_runs_are_polled_sixteen_times_where_a_slot_waits_for_the_poll() -> None:
    assert poll_interval(USUAL, MINUTE, NO_QUEUE) == MINUTE / 16
    assert poll_interval(USUAL, None, replace(NO_QUEUE, oldest=MINUTE)) == MINUTE / 8


def test_runs_are_polled_four_times_where_the_api_fills_the_slots() -> None:
    assert poll_interval(USUAL, MINUTE, QUEUE) == MINUTE / 4
    assert poll_interval(USUAL, None, replace(QUEUE, oldest=MINUTE)) == MINUTE / 2
    assert poll_interval(USUAL, HOUR, QUEUE) == timedelta(seconds=30)


def test_the_fewer_runs_wait_the_earlier_is_the_next_poll() -> None:
    intervals = [poll_interval(USUAL, MINUTE, replace(QUEUE, ahead=n)) for n in range(51)]
    assert intervals == sorted(intervals)
    assert (intervals[0], intervals[-1]) == (MINUTE / 16, MINUTE / 4)
    assert MINUTE / 16 < intervals[9] < MINUTE / 4


@pytest.mark.parametrize("slots", [1, 2, 10, 50, 200, 900])
def test_the_runs_submitted_ahead_cover_a_quarter_of_a_run(slots: int) -> None:
    ahead = runs_ahead(slots / 4)
    assert ends_covered(ahead) >= slots / 4
    assert ends_covered(ahead - 1) < slots / 4
    in_flight = InFlight(runs=slots + ahead, running=slots, ahead=ahead, oldest=HOUR)
    assert poll_interval(USUAL, MINUTE, in_flight) == MINUTE / 4


def test_at_the_end_polls_become_more_frequent_until_the_last_run() -> None:
    runs = (500, 100, 20, 5, 2, 1)
    last = [InFlight(runs=n, running=n, oldest=HOUR, awaited=False) for n in runs]
    intervals = [poll_interval(USUAL, MINUTE, each) for each in last]
    assert intervals == sorted(intervals, reverse=True)
    assert (intervals[0], intervals[-1]) == (MINUTE / 4, MINUTE / 16)


def test_looks_are_sparing_usual_or_eager() -> None:
    for in_flight in (QUEUE, NO_QUEUE):
        sparing, usual, eager = (
            poll_interval(POLL_RULES[each], MINUTE, in_flight) for each in Looks
        )
        assert sparing > usual > eager


def test_waiting_runs_and_those_that_take_the_places_of_ended_ones_are_ahead() -> None:
    attempts = [opened(90), opened(60), pending(20), pending(20)]
    seen = in_flight_now(attempts, 3, NOW, queue_known=True, jobs_left=True)
    assert seen == InFlight(runs=4, running=2, ahead=5, oldest=timedelta(seconds=90), awaited=True)
    last = in_flight_now(attempts, 3, NOW, queue_known=True, jobs_left=False)
    assert (last.ahead, last.awaited) == (2, False)


def test_runs_that_are_starting_are_no_queue_unless_there_is_one() -> None:
    starting = [opened(60), pending(3)]
    assert not in_flight_now(starting, 1, NOW, queue_known=False, jobs_left=True).ahead
    assert in_flight_now(starting, 1, NOW, queue_known=True, jobs_left=True).ahead == 2
    waiting = [opened(60), pending(11)]
    assert in_flight_now(waiting, 1, NOW, queue_known=False, jobs_left=True).ahead == 2


def test_runs_that_are_stuck_or_cancelled_wait_for_no_slot() -> None:
    stuck, cancelled = pending(600), pending(20)
    cancelled = replace(cancelled, cancel_reason=FailureCategory.TIMED_OUT)
    attempts = [opened(60), stuck, cancelled]
    assert not in_flight_now(attempts, 5, NOW, queue_known=True, jobs_left=True).ahead


def test_while_the_runner_stops_the_user_waits_for_the_runs() -> None:
    attempts = [opened(60), pending(20)]
    seen = in_flight_now(attempts, 1, NOW, queue_known=True, jobs_left=False, stopping=True)
    assert poll_interval(USUAL, MINUTE, seen) == MINUTE / 16


def test_the_first_runs_to_end_are_short_and_do_not_stand_for_the_others() -> None:
    ages = [timedelta(seconds=20)] * 19
    assert typical_duration(Pace(), ages) is None
    assert typical_duration(paced(20), ages) == timedelta(seconds=400)
    assert typical_duration(paced(*[50] * 19), ages) == timedelta(seconds=50)
