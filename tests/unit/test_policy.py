"""What happens next to a job, to a run, and when the next poll is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.classify import UNREADABLE
from batchrunner.model import (
    AttemptDecision,
    Failed,
    FailureCategory,
    Finding,
    Finish,
    Job,
    JobState,
    NotFound,
    OpenAttempt,
    Retry,
    RetryRule,
    Run,
    RunObservation,
    RunStatus,
    Settings,
    Snooze,
    Succeeded,
    Unreadable,
    Verdict,
)
from batchrunner.model.categories import CONFIGURABLE, NOT_COUNTED
from batchrunner.policy.retry import MAX_BACKOFF, backoff, decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import (
    LOST_AFTER,
    believed_after,
    decide_run,
    is_lost,
    is_overdue,
    reset_after_clock_jump,
)
from tests.builders import failure, job

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = Policy()


def attempt(**more: Any) -> OpenAttempt:
    return OpenAttempt(
        **{
            "attempt_id": 1,
            "run_id": "r",
            "submission_id": 1,
            "marker": None,
            "url": "https://a.test/",
            "job": job(),
            "status": RunStatus.RUNNING,
            "opened_at": NOW - timedelta(minutes=5),
            **more,
        }
    )


jobs = st.builds(
    Job,
    id=st.integers(1, 9),
    key=st.text(max_size=10),
    attempt=st.integers(0, 10**9),
    failures=st.integers(0, 10**6),
    failures_by_category=st.dictionaries(st.sampled_from(FailureCategory), st.integers(0, 30)),
    policy=st.deferred(lambda: rulebooks),
    escalation_steps=st.dictionaries(st.sampled_from(CONFIGURABLE), st.integers(0, 9)),
)
waits = st.none() | st.timedeltas(min_value=timedelta(0), max_value=HOUR)
failures = st.builds(
    Failed,
    category=st.sampled_from(FailureCategory),
    message=st.just("why"),
    code=st.none() | st.just(UNREADABLE),
    retry_after=waits,
)
spans = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=1))
escalations = st.lists(
    st.fixed_dictionaries({"browser_profile": st.sampled_from(["lite", "stealth"])}), max_size=4
)
rules = st.builds(
    RetryRule,
    attempts=st.none() | st.integers(1, 20),
    wait=st.none() | spans,
    backoff=st.none() | spans,
    then=st.none() | escalations.map(tuple),
)
rulebooks = st.dictionaries(st.sampled_from(CONFIGURABLE), rules, max_size=3)
policies = st.builds(
    Policy,
    max_attempts=st.integers(1, 20),
    backoff=st.timedeltas(min_value=timedelta(0), max_value=timedelta.max),
    rules=rulebooks,
)


# ---- what happens to a job ----


def test_a_policy_has_the_values_of_the_settings() -> None:
    settings = Settings(max_attempts=7, backoff=HOUR, queued_limit=HOUR, running_limit=2 * HOUR)
    policy = Policy.of(settings)
    assert (policy.max_attempts, policy.backoff) == (7, HOUR)
    assert (policy.queued_limit, policy.running_limit) == (HOUR, 2 * HOUR)


def test_a_success_finishes_the_job() -> None:
    assert decide(DEFAULT, job(), Succeeded(), NOW) == Finish(
        state=JobState.SUCCEEDED, verdict=Verdict.GOOD
    )


SUSPECT = Succeeded(verdict=Verdict.SUSPECT, findings=(Finding(rule="empty", path=".", seen="[]"),))


def test_a_suspect_result_is_delivered_and_bought_once_unless_a_rule_says_otherwise() -> None:
    finish = Finish(state=JobState.SUCCEEDED, verdict=Verdict.SUSPECT, findings=SUSPECT.findings)
    assert decide(DEFAULT, job(), SUSPECT, NOW) == finish
    many = {category: RetryRule(attempts=9) for category in CONFIGURABLE}
    assert decide(replace(DEFAULT, rules=many), job(), SUSPECT, NOW) == finish
    rule = RetryRule(attempts=2, wait=timedelta(minutes=5))
    for policy, asked in (
        (replace(DEFAULT, rules={Verdict.SUSPECT: rule}), job()),
        (DEFAULT, job(policy={Verdict.SUSPECT: rule})),
    ):
        again = replace(finish, again_at=NOW + timedelta(minutes=5))
        assert decide(policy, asked, SUSPECT, NOW) == again
        assert decide(policy, replace(asked, earlier_suspects=1), SUSPECT, NOW) == finish


def test_a_rule_for_suspect_results_allows_no_more_failures() -> None:
    policy = replace(DEFAULT, rules={Verdict.SUSPECT: RetryRule(attempts=20)})
    assert policy.max_failures(job()) == DEFAULT.max_failures(job())
    assert Verdict.SUSPECT not in policy.escalations(job())


@given(policies, jobs, failures)
def test_no_job_is_retried_before_its_wait_is_over(
    policy: Policy, job: Job, failed: Failed
) -> None:
    transition = decide(policy, job, failed, NOW)
    if not isinstance(transition, Finish):
        assert transition.at >= NOW + (failed.retry_after or timedelta(0))
        waited = policy.rule(job, failed.category).wait
        assert transition.at <= NOW + max(waited or MAX_BACKOFF, HOUR)
        if waited is not None:
            assert transition.at == NOW + max(waited, failed.retry_after or timedelta(0))


@given(policies, jobs, failures)
def test_equal_arguments_give_equal_decisions_with_their_reason(
    policy: Policy, job: Job, failed: Failed
) -> None:
    transition = decide(policy, job, failed, NOW)
    assert transition == decide(policy, job, failed, NOW)
    assert transition.failure == failed


@given(policies, jobs, failures)
def test_a_failure_that_is_not_the_jobs_fault_never_uses_up_an_attempt(
    policy: Policy, job: Job, failed: Failed
) -> None:
    transition = decide(policy, job, failed, NOW)
    assert isinstance(transition, Snooze) is (failed.category in NOT_COUNTED)


@given(policies, rulebooks, st.lists(failures, max_size=60))
def test_a_job_never_fails_more_often_than_its_policy_allows(
    policy: Policy, own: dict[FailureCategory, RetryRule], failed_in_turn: Sequence[Failed]
) -> None:
    counted: Counter[FailureCategory] = Counter()
    for number, failed in enumerate(failed_in_turn, start=1):
        tried = job(
            attempt=number, failures=counted.total(), failures_by_category=dict(counted), policy=own
        )
        transition = decide(policy, tried, failed, NOW)
        counted[failed.category] += not isinstance(transition, Snooze)
        assert counted.total() <= policy.max_failures(tried)
        assert counted[failed.category] <= policy.allowed_failures(
            policy.rule(tried, failed.category)
        ) or (isinstance(transition, Snooze))
        if isinstance(transition, Finish):
            return
    assert counted.total() < policy.max_failures(job(policy=own))


@given(policies, rulebooks, st.lists(failures, max_size=60))
def test_a_job_ends_exactly_when_its_attempts_are_used_up(
    policy: Policy, own: dict[FailureCategory, RetryRule], failed_in_turn: Sequence[Failed]
) -> None:
    """If a failure ends a job, a rule says so."""
    counted: Counter[FailureCategory] = Counter()
    for number, failed in enumerate(failed_in_turn, start=1):
        tried = job(
            attempt=number, failures=counted.total(), failures_by_category=dict(counted), policy=own
        )
        transition = decide(policy, tried, failed, NOW)
        if isinstance(transition, Snooze):
            continue
        counted[failed.category] += 1
        most = policy.allowed_failures(policy.rule(tried, failed.category))
        used_up = counted[failed.category] == most or counted.total() == policy.max_failures(tried)
        fatal = failed.code == UNREADABLE or failed.category is FailureCategory.RUN_CANCELLED
        assert isinstance(transition, Finish) is (used_up or fatal)
        if isinstance(transition, Finish):
            return


@pytest.mark.parametrize(
    ("category", "tries"),
    [
        (FailureCategory.AGENT_FAILURE, 1),
        (FailureCategory.REJECTED, 1),
        (FailureCategory.UNANSWERED, 1),
        (FailureCategory.GOAL_FAILURE, 2),
        (FailureCategory.BLOCKED, 3),
        (FailureCategory.INVALID_RESULT, 2),
        (FailureCategory.SYSTEM_FAILURE, 3),
        (FailureCategory.UNKNOWN, 3),
        (FailureCategory.TIMED_OUT, 3),
        (FailureCategory.LOST, 3),
    ],
)
def test_each_category_allows_its_default_number_of_attempts(
    category: FailureCategory, tries: int
) -> None:
    decided = [
        decide(DEFAULT, job(failures=n, failures_by_category={category: n}), failure(category), NOW)
        for n in range(tries)
    ]
    assert [type(transition) for transition in decided] == [Retry] * (tries - 1) + [Finish]
    assert decided[-1] == Finish(state=JobState.FAILED, failure=failure(category))


def test_failures_of_other_categories_count_only_towards_the_total() -> None:
    tired = job(failures=2, failures_by_category={FailureCategory.SYSTEM_FAILURE: 2})
    goal = failure(FailureCategory.GOAL_FAILURE)
    assert isinstance(decide(DEFAULT, tired, goal, NOW), Finish), "the third in all"
    assert isinstance(decide(Policy(max_attempts=4), tired, goal, NOW), Retry), "the first of two"


def test_a_narrow_rule_is_completed_by_the_wider_one() -> None:
    goal, minute = FailureCategory.GOAL_FAILURE, timedelta(minutes=1)
    policy = Policy(rules={goal: RetryRule(attempts=4, wait=minute)})
    own = job(policy={goal: RetryRule(backoff=HOUR, then=({"browser_profile": "stealth"},))})
    assert policy.rule(job(), goal) == RetryRule(attempts=4, wait=minute)
    assert policy.rule(own, goal) == RetryRule(
        attempts=4, backoff=HOUR, then=({"browser_profile": "stealth"},)
    )
    assert (policy.max_failures(job()), DEFAULT.max_failures(job())) == (4, 3)


def test_a_policy_with_one_attempt_retries_no_counted_failure() -> None:
    policy = Policy(max_attempts=1)
    for category in set(FailureCategory) - NOT_COUNTED:
        assert isinstance(decide(policy, job(), failure(category), NOW), Finish)


def test_an_unreadable_result_is_not_paid_for_twice() -> None:
    unreadable = failure(FailureCategory.INVALID_RESULT, code=UNREADABLE)
    assert isinstance(decide(Policy(max_attempts=9), job(), unreadable, NOW), Finish)


def test_a_cancelled_run_cancels_its_job() -> None:
    transition = decide(DEFAULT, job(), failure(FailureCategory.RUN_CANCELLED), NOW)
    assert isinstance(transition, Finish)
    assert transition.state is JobState.CANCELLED


# ---- how long a job waits ----


@given(policies, jobs)
def test_backoff_stays_within_its_bounds_and_never_overflows(policy: Policy, job: Job) -> None:
    assert timedelta(0) <= backoff(policy, job) <= MAX_BACKOFF


def test_backoff_doubles_with_each_counted_failure() -> None:
    waits = [backoff(DEFAULT, job(failures=n)) for n in range(5)]
    for before, after in pairwise(waits):
        assert abs(after - 2 * before) < timedelta(milliseconds=1)


def test_a_thousand_jobs_are_retried_at_different_times() -> None:
    waits = sorted(backoff(DEFAULT, job(number)) for number in range(1000))
    assert len(set(waits)) == 1000
    tenths = [sum(int(wait / DEFAULT.backoff * 10) == at for wait in waits) for at in range(10)]
    assert min(tenths) > 50


def test_a_job_waits_differently_after_each_attempt() -> None:
    assert len({backoff(DEFAULT, job(attempt=number)) for number in range(50)}) == 50


# ---- what an observation of a run means for its attempt ----


@pytest.mark.parametrize(
    "observation", [NotFound(run_id="r"), Unreadable(run_id="r", message="big")]
)
def test_a_missing_run_counts_as_lost_only_after_a_while(observation: RunObservation) -> None:
    moment = timedelta(milliseconds=1)
    assert decide_run(DEFAULT, attempt(), observation, NOW) is None
    assert decide_run(DEFAULT, attempt(missing_since=NOW), observation, NOW) is None
    after = believed_after(observation)
    almost = attempt(missing_since=NOW - after + moment)
    assert not is_lost(almost, NOW, after)
    assert decide_run(DEFAULT, almost, observation, NOW) is None
    gone = attempt(missing_since=NOW - after)
    assert is_lost(gone, NOW, after)
    assert decide_run(DEFAULT, gone, observation, NOW) is not None


def test_a_run_without_a_marker_that_is_gone_is_left_to_the_user() -> None:
    gone, seen = attempt(missing_since=NOW - LOST_AFTER, marker=None), NotFound(run_id="r")
    decision = decide_run(DEFAULT, gone, seen, NOW)
    assert decision is not None
    assert decision.transition.failure is not None
    assert decision.transition.failure.category is FailureCategory.UNANSWERED


def test_a_run_that_reappears_is_not_lost() -> None:
    back = Run(run_id="r", status=RunStatus.RUNNING)
    assert decide_run(DEFAULT, attempt(missing_since=NOW - HOUR), back, NOW) is None


def test_a_decision_on_an_ended_run_has_the_observed_run() -> None:
    seen = Run(run_id="r", status=RunStatus.COMPLETED, result='{"a": 1}')
    watched = attempt(job=job(escalation_ids={FailureCategory.BLOCKED: "abc"}))
    decision = decide_run(DEFAULT, watched, seen, NOW)
    assert decision is not None
    assert replace(decision, escalation_results=(), host_result=None) == AttemptDecision(
        attempt=watched,
        transition=Finish(state=JobState.SUCCEEDED, verdict=Verdict.GOOD),
        run=seen,
    )
    assert [(each.host, each.step, each.passed) for each in decision.escalation_results] == [
        ("a.test", 0, True)
    ]


@pytest.mark.parametrize(
    ("seen", "overdue"),
    [
        (attempt(status=RunStatus.PENDING, opened_at=NOW - HOUR), False),
        (attempt(status=RunStatus.PENDING, opened_at=NOW - HOUR - LOST_AFTER), True),
        (attempt(opened_at=NOW - 9 * HOUR, started_at=NOW - HOUR / 2), False),
        (attempt(opened_at=NOW - 9 * HOUR, started_at=NOW - HOUR), True),
        (attempt(opened_at=NOW - HOUR, started_at=None), True),
        (attempt(opened_at=NOW + HOUR, started_at=None), False),
        (attempt(started_at=NOW - HOUR, cancel_reason=FailureCategory.TIMED_OUT), False),
    ],
)
def test_queued_and_running_time_have_separate_limits(seen: OpenAttempt, overdue: bool) -> None:
    assert is_overdue(DEFAULT, seen, Run(run_id="r", status=seen.status), NOW) is overdue


@pytest.mark.parametrize(("theirs", "overdue"), [(2, False), (31, True), (-60, True)])
def test_a_run_is_overdue_only_if_both_clocks_say_so(theirs: int, overdue: bool) -> None:
    long_ago = attempt(opened_at=NOW - 9 * HOUR, started_at=NOW - 8 * HOUR)
    there = datetime(2031, 1, 1, tzinfo=UTC)  # whatever the API's clock shows
    shown = Run(
        run_id="r",
        status=RunStatus.RUNNING,
        started_at=there,
        shown_at=there + timedelta(minutes=theirs),
    )
    assert is_overdue(DEFAULT, long_ago, shown, NOW) is overdue
    just_begun = attempt(started_at=NOW)
    assert not is_overdue(DEFAULT, just_begun, shown, NOW), "the API's clock may be the wrong one"


def test_time_before_a_clock_jump_counts_against_no_run() -> None:
    long_ago = {"opened_at": NOW - 9 * HOUR, "started_at": NOW - 8 * HOUR}
    missed = attempt(**long_ago, missing_since=NOW - 8 * HOUR)
    assert is_overdue(DEFAULT, missed, NotFound(run_id="r"), NOW)
    woken = reset_after_clock_jump(missed, NOW - timedelta(seconds=1))
    assert not is_overdue(DEFAULT, woken, NotFound(run_id="r"), NOW)
    assert not is_lost(woken, NOW)
    assert reset_after_clock_jump(missed, None) == missed
    assert reset_after_clock_jump(missed, NOW - 10 * HOUR) == missed


def test_the_most_runs_of_a_job_include_those_of_its_suspect_results() -> None:
    assert DEFAULT.max_runs(job()) == DEFAULT.max_failures(job())
    policy = replace(DEFAULT, rules={Verdict.SUSPECT: RetryRule(attempts=2)})
    assert policy.max_runs(job()) == 2 * DEFAULT.max_failures(job())
