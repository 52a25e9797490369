"""How many runs an account accepts at once: found soon, followed, never taken for nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import ApiFault, ApiFaultKind, Throttle
from batchrunner.policy.account_limit import (
    MAX_REFUSAL_WAIT,
    TRY_AFTER,
    AccountLimit,
    after_acceptance,
    after_poll,
    after_refusal,
    is_about_runs,
    refusal_wait,
)
from batchrunner.policy.slots import concurrency_limit
from tests.fakes import NOW

MINUTE = timedelta(minutes=1)


def fill(limit: int, asked: int, known: AccountLimit | None) -> tuple[AccountLimit | None, int]:
    """Send creates until the bound is reached; return what is known and the refusals."""
    in_flight = refusals = 0
    while room := concurrency_limit(asked, None, known and known.bound) - in_flight:
        assert room > 0
        if in_flight + room > limit:
            refusals += 1
            known = after_refusal(known, in_flight, room, NOW, None)
        else:
            in_flight += room
            known = known and after_acceptance(known, in_flight)
    assert in_flight == min(limit, asked)
    return known, refusals


@given(st.integers(1, 300), st.integers(1, 1000))
def test_the_limit_is_found_with_few_refusals_and_not_exceeded_again(
    limit: int, asked: int
) -> None:
    known, refusals = fill(limit, asked, None)
    if asked <= limit:
        assert known is None
        return
    assert known is not None
    assert known.bound == limit
    assert refusals <= 2 + limit.bit_length()
    again, refusals = fill(limit, asked, known)
    assert again is not None
    assert (again.bound, refusals) == (limit, 0)


def test_a_request_shrinks_to_one_run_when_nothing_is_in_flight() -> None:
    known = after_refusal(None, 0, 100, NOW, None)
    assert known.bound == 1
    assert after_refusal(known, 0, 1, NOW, None).bound == 1


def test_one_more_is_tried_after_a_while_and_later_each_time_it_is_refused() -> None:
    known = after_refusal(None, 2, 1, NOW, None)
    waits = []
    for _ in range(6):
        waits.append(known.wait)
        assert after_poll(known, 2, known.refused_at + known.wait * 0.9) == known
        at = known.refused_at + known.wait
        assert after_poll(known, 1, at) == known, "there is room without a try"
        tried = after_poll(known, 2, at)
        assert (tried.bound, tried.trying) == (3, True)
        assert after_poll(tried, 2, at + MINUTE) == tried, "it is tried already"
        known = after_refusal(tried, 2, 1, at, None)
        assert known.bound == 2
    assert waits == sorted(waits)
    assert TRY_AFTER == waits[0] < waits[-1] == waits[-2]


def test_a_limit_that_rises_is_followed_and_one_that_falls_as_well() -> None:
    known = after_poll(after_refusal(None, 2, 1, NOW, None), 2, NOW + MINUTE)
    known = after_acceptance(known, 3)
    assert known.bound > 3
    known, _ = fill(40, 100, known)
    assert known is not None
    assert known.bound == 40
    in_flight = 40
    refusals = 0
    while in_flight > 5:  # the limit is 5 now, and runs end one after the other
        in_flight -= 1
        if in_flight < known.bound:
            refusals += 1
            known = after_refusal(known, in_flight, known.bound - in_flight, NOW, None)
    assert known.bound <= 5
    assert refusals < 12


def test_a_wait_that_the_api_asks_for_is_kept_and_makes_tries_rarer() -> None:
    asked = timedelta(seconds=40)
    known = after_refusal(None, 3, 1, NOW, asked)
    assert refusal_wait(known, 3, asked) == asked
    assert known.wait >= 4 * asked
    waits = []
    for _ in range(12):
        known = after_refusal(known, 0, 1, NOW, None)
        waits.append(refusal_wait(known, 0, None))
    assert waits == sorted(waits)
    assert waits[-1] == MAX_REFUSAL_WAIT


@pytest.mark.parametrize(
    ("status", "throttle", "reads_refused", "refusals", "minutes", "about_runs"),
    [
        (429, None, False, 1, 0, True),
        (429, None, True, 1, 0, False),
        (429, Throttle.RUNS, True, 1, 0, True),
        (429, Throttle.REQUESTS, False, 1, 0, False),
        (429, Throttle.REQUESTS, False, 9, 0.5, False),
        (429, Throttle.REQUESTS, False, 2, 5, False),
        (429, Throttle.REQUESTS, False, 3, 1, True),  # no limit per minute lasts for longer
        (503, None, False, 1, 0, False),
    ],
)
def test_the_two_kinds_of_429_are_told_apart(
    status: int,
    throttle: Throttle | None,
    reads_refused: bool,
    refusals: int,
    minutes: float,
    about_runs: bool,
) -> None:
    fault = ApiFault(kind=ApiFaultKind.STATUS, message="m", status=status, throttle=throttle)
    found = is_about_runs(
        fault, reads_refused=reads_refused, rate_refusals=refusals, refused_for=minutes * MINUTE
    )
    assert found is about_runs
