"""Hosts: when they are parked and probed, and how many jobs the others may get."""

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
from batchrunner.model.hosts import MAX_PROBES
from batchrunner.policy.host_breaker import (
    FIRST_PARK,
    MAX_PARK,
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


def result(passed: bool, *, opened: float = 0, park_after: int = PARK_AFTER_FAILURES) -> HostResult:
    return HostResult(host="a.test", passed=passed, opened_at=at(opened), park_after=park_after)


def failed(times: int, host: HostHealth | None = None, **fields: int) -> HostHealth:
    """Return a host on which this many attempts have failed in a row."""
    host = host or HostHealth(host="a.test")
    return after_results(host, [result(passed=False, **fields)] * times, NOW)


def test_a_host_is_parked_at_its_tenth_failure_in_a_row_and_not_before() -> None:
    assert failed(PARK_AFTER_FAILURES - 1).parked_at is None
    parked = failed(PARK_AFTER_FAILURES)
    assert parked.parked_at == NOW
    assert parked.probe_at == NOW + FIRST_PARK


def test_one_success_ends_a_series_of_failures_and_frees_the_host() -> None:
    assert (
        after_results(
            failed(PARK_AFTER_FAILURES - 1), [result(passed=True)], NOW
        ).consecutive_failures
        == 0
    )
    freed = after_results(failed(PARK_AFTER_FAILURES), [result(passed=True)], NOW)
    assert (freed.parked_at, freed.probe_at, freed.failed_probes) == (None, None, 0)
    assert (freed.passed, freed.failed) == (1, PARK_AFTER_FAILURES)


def test_a_host_where_most_jobs_fail_anyway_is_not_parked_after_ten_failures() -> None:
    usual = HostHealth(host="a.test", passed=20, failed=80)
    assert failed(PARK_AFTER_FAILURES, usual).parked_at is None
    assert failed(19, usual).parked_at is None
    assert failed(20, usual).parked_at == NOW


def test_an_attempt_in_flight_when_its_host_is_parked_is_no_probe() -> None:
    late = after_results(failed(PARK_AFTER_FAILURES), [result(passed=False, opened=-50)], at(30))
    assert late.failed_probes == 0
    assert late.probe_at == NOW + FIRST_PARK


def test_the_wait_doubles_with_each_failed_probe_up_to_half_an_hour() -> None:
    host, waits = failed(PARK_AFTER_FAILURES), []
    for _ in range(MAX_PROBES):
        assert not host.given_up
        when = host.probe_at
        assert when is not None
        opened = (when - NOW).total_seconds()
        host = after_results(host, [result(passed=False, opened=opened)], when)
        assert host.probe_at is not None
        waits.append(host.probe_at - when)
    minutes = [4, 8, 16, 30, 30, 30]
    assert waits == [timedelta(minutes=each) for each in minutes]
    assert waits[-1] == MAX_PARK
    assert host.given_up


def test_a_rule_can_change_or_switch_off_parking() -> None:
    assert failed(1000, park_after=0).parked_at is None
    assert failed(3, park_after=3).parked_at == NOW


# ---- what may be the fault of a host ----


def ended(category: FailureCategory) -> Finish:
    return Finish(state=JobState.FAILED, failure=Failed(category=category, message="so"))


@pytest.mark.parametrize(
    ("category", "counts"),
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
def test_only_failures_that_may_be_the_hosts_fault_count_against_it(
    category: FailureCategory, counts: bool
) -> None:
    running = attempt(status=RunStatus.RUNNING)
    assert (host_result({}, running, ended(category)) is not None) is counts


def test_a_run_that_timed_out_in_the_queue_never_reached_its_host() -> None:
    queued = attempt(status=RunStatus.PENDING)
    assert host_result({}, queued, ended(FailureCategory.TIMED_OUT)) is None


def test_an_uncounted_failure_says_nothing_about_the_host() -> None:
    throttled = Failed(category=FailureCategory.THROTTLED, message="429")
    later: Transition = Snooze(at=NOW, failure=throttled)
    assert host_result({}, attempt(), later) is None


def test_a_wall_with_an_escalation_step_left_says_nothing_yet() -> None:
    wall = Failed(category=FailureCategory.BLOCKED, message="captcha")
    escalates = Retry(at=NOW, failure=wall, escalation_steps={FailureCategory.BLOCKED: 1})
    assert host_result({}, attempt(), escalates) is None
    stays = Retry(at=NOW, failure=wall, escalation_steps={})
    assert host_result({}, attempt(), stays) is not None


# ---- how many jobs a host may get ----

RULES = {
    "*": HostRule(concurrency=3, spacing=timedelta(seconds=10)),
    "free.test": HostRule(spacing=timedelta(0), concurrency=50),
}


def test_a_rule_for_one_host_overrides_the_one_for_all_key_by_key_and_for_any_port() -> None:
    rules = {"*": HostRule(concurrency=3, park_after=5), "a.test": HostRule(park_after=0)}
    assert rule_for(rules, "a.test:8080") == HostRule(concurrency=3, park_after=0)
    assert rule_for(rules, "b.test") == HostRule(concurrency=3, park_after=5)
    assert rule_for({}, "b.test") == HostRule()


def test_a_host_gets_as_many_jobs_as_its_limit_leaves() -> None:
    rules = {"*": HostRule(concurrency=3)}
    assert free_capacity(None, HostTraffic(in_flight=1), rules, "a.test", NOW) == 2
    assert free_capacity(None, HostTraffic(in_flight=9), rules, "a.test", NOW) == 0
    assert free_capacity(None, HostTraffic(in_flight=9), {}, "a.test", NOW) is None


def test_a_spaced_host_gets_one_job_when_its_spacing_is_over() -> None:
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
