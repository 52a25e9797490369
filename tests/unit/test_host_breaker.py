"""Hosts: when one is parked and probed, and how much the others may get."""

from __future__ import annotations

from datetime import timedelta

import pytest

from batchrunner.model import (
    Failed,
    FailureCategory,
    Finish,
    HostResult,
    HostRule,
    JobState,
    Retry,
    RunStatus,
    Snooze,
    Transition,
)
from batchrunner.policy.host_breaker import (
    FIRST_PARK,
    MAX_PARK,
    MAX_PROBES,
    PARK_AFTER_FAILURES,
    HostHealth,
    HostTraffic,
    after_results,
    free_capacity,
    host_result,
    rule_for,
)
from tests.fakes import NOW
from tests.fakes import after as at
from tests.unit.test_policy import attempt


def told(passed: bool, *, opened: float = 0, patience: int = PARK_AFTER_FAILURES) -> HostResult:
    return HostResult(host="a.test", passed=passed, opened_at=at(opened), park_after=patience)


def failed(times: int, host: HostHealth | None = None, **fields: int) -> HostHealth:
    """Return a host on which so many attempts have failed one after the other."""
    host = host or HostHealth(host="a.test")
    return after_results(host, [told(passed=False, **fields)] * times, NOW)


def test_a_host_is_parked_at_its_tenth_failure_in_a_row_and_not_before() -> None:
    assert failed(PARK_AFTER_FAILURES - 1).parked_at is None
    parked = failed(PARK_AFTER_FAILURES)
    assert parked.parked_at == NOW
    assert parked.probe_at == NOW + FIRST_PARK


def test_one_success_ends_a_row_and_a_parking() -> None:
    assert after_results(failed(PARK_AFTER_FAILURES - 1), [told(passed=True)], NOW).in_row == 0
    freed = after_results(failed(PARK_AFTER_FAILURES), [told(passed=True)], NOW)
    assert (freed.parked_at, freed.probe_at, freed.probes) == (None, None, 0)
    assert (freed.passed, freed.failed) == (1, PARK_AFTER_FAILURES)


def test_a_host_where_four_of_five_jobs_fail_by_themselves_is_not_parked_for_ten_in_a_row() -> None:
    usual = HostHealth(host="a.test", passed=20, failed=80)
    assert failed(PARK_AFTER_FAILURES, usual).parked_at is None
    assert failed(19, usual).parked_at is None
    assert failed(20, usual).parked_at == NOW


def test_what_was_in_flight_when_a_host_was_parked_is_no_probe() -> None:
    late = after_results(failed(PARK_AFTER_FAILURES), [told(passed=False, opened=-50)], at(30))
    assert late.probes == 0
    assert late.probe_at == NOW + FIRST_PARK


def test_the_wait_doubles_with_each_probe_that_fails_up_to_half_an_hour() -> None:
    host, waits = failed(PARK_AFTER_FAILURES), []
    for _ in range(MAX_PROBES):
        assert not host.given_up
        when = host.probe_at
        assert when is not None
        opened = (when - NOW).total_seconds()
        host = after_results(host, [told(passed=False, opened=opened)], when)
        assert host.probe_at is not None
        waits.append(host.probe_at - when)
    minutes = [4, 8, 16, 30, 30, 30]
    assert waits == [timedelta(minutes=each) for each in minutes]
    assert waits[-1] == MAX_PARK
    assert host.given_up


def test_a_host_is_never_parked_where_the_rule_says_so() -> None:
    assert failed(1000, patience=0).parked_at is None
    assert failed(3, patience=3).parked_at == NOW


# ---- what speaks against a host ----


def ended(category: FailureCategory) -> Finish:
    return Finish(state=JobState.FAILED, failure=Failed(category=category, message="so"))


@pytest.mark.parametrize(
    ("category", "speaks"),
    [
        (FailureCategory.BLOCKED, True),
        (FailureCategory.GOAL_FAILURE, True),
        (FailureCategory.SYSTEM_FAILURE, True),
        (FailureCategory.TIMED_OUT, True),
        (FailureCategory.INVALID_RESULT, False),
        (FailureCategory.LOST, False),
        (FailureCategory.REJECTED, False),
        (FailureCategory.RUN_CANCELLED, False),
    ],
)
def test_only_failures_that_a_host_may_be_guilty_of_speak_against_it(
    category: FailureCategory, speaks: bool
) -> None:
    running = attempt(status=RunStatus.RUNNING)
    assert (host_result({}, running, ended(category)) is not None) is speaks


def test_what_waited_in_the_queue_for_too_long_never_reached_the_host() -> None:
    queued = attempt(status=RunStatus.PENDING)
    assert host_result({}, queued, ended(FailureCategory.TIMED_OUT)) is None


def test_what_is_postponed_says_nothing() -> None:
    throttled = Failed(category=FailureCategory.THROTTLED, message="429")
    later: Transition = Snooze(at=NOW, failure=throttled)
    assert host_result({}, attempt(), later) is None


def test_a_wall_with_a_rung_left_to_climb_says_nothing_yet() -> None:
    wall = Failed(category=FailureCategory.BLOCKED, message="captcha")
    climbs = Retry(at=NOW, failure=wall, escalation_steps={FailureCategory.BLOCKED: 1})
    assert host_result({}, attempt(), climbs) is None
    stays = Retry(at=NOW, failure=wall, escalation_steps={})
    assert host_result({}, attempt(), stays) is not None


# ---- how much a host may get ----

RULES = {
    "*": HostRule(concurrency=3, spacing=timedelta(seconds=10)),
    "free.test": HostRule(spacing=timedelta(0), concurrency=50),
}


def test_a_rule_for_one_host_goes_before_the_one_for_all_key_by_key_and_with_any_port() -> None:
    rules = {"*": HostRule(concurrency=3, park_after=5), "a.test": HostRule(park_after=0)}
    assert rule_for(rules, "a.test:8080") == HostRule(concurrency=3, park_after=0)
    assert rule_for(rules, "b.test") == HostRule(concurrency=3, park_after=5)
    assert rule_for({}, "b.test") == HostRule()


def test_a_host_has_as_much_room_as_its_bound_leaves() -> None:
    rules = {"*": HostRule(concurrency=3)}
    assert free_capacity(None, HostTraffic(in_flight=1), rules, "a.test", NOW) == 2
    assert free_capacity(None, HostTraffic(in_flight=9), rules, "a.test", NOW) == 0
    assert free_capacity(None, HostTraffic(in_flight=9), {}, "a.test", NOW) is None


def test_a_spaced_host_gets_one_at_a_time_when_its_time_has_come() -> None:
    rules = {"*": HostRule(spacing=timedelta(seconds=10))}
    assert free_capacity(None, HostTraffic(newest=at(-10)), rules, "a.test", NOW) == 1
    assert free_capacity(None, HostTraffic(newest=at(-9)), rules, "a.test", NOW) == 0
    assert free_capacity(None, HostTraffic(), rules, "a.test", NOW) == 1


def test_a_parked_host_gets_one_probe_at_a_time_once_it_is_due() -> None:
    parked = failed(PARK_AFTER_FAILURES)
    due = NOW + FIRST_PARK
    assert free_capacity(parked, HostTraffic(in_flight=4, newest=NOW), {}, "a.test", NOW) == 0
    assert free_capacity(parked, HostTraffic(in_flight=4, newest=NOW), {}, "a.test", due) == 1
    assert free_capacity(parked, HostTraffic(in_flight=5, newest=due), {}, "a.test", due) == 0
