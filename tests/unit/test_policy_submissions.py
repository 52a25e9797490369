"""What happens next to a submission, and what its failure means for other requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.classify import UNREADABLE
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    DelayRequests,
    Failed,
    FailureCategory,
    Finish,
    Snooze,
    StopSubmitting,
    Submission,
    SubmittedAttempt,
)
from batchrunner.model.categories import NOT_COUNTED
from batchrunner.policy.backpressure import backpressure, is_key_refused
from batchrunner.policy.create_outcome import (
    RECONCILE_GRACE,
    UNANSWERED_PATIENCE,
    next_final_search,
    next_search,
    next_unanswered_search,
    refused_as_batch,
    settle_absent,
    settle_refusal,
    settle_unanswered,
    settle_withdrawn,
)
from batchrunner.policy.retry_rules import Policy
from tests.builders import failure, job

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = Policy()


def submission(count: int, *, options: dict[int, dict[str, Any]] | None = None) -> Submission:
    attempts = tuple(
        SubmittedAttempt(
            attempt_id=100 + index,
            batch_index=index,
            job=job(index),
            url="https://a.test/",
            goal="Read",
            options=(options or {}).get(index, {}),
        )
        for index in range(1, count + 1)
    )
    return Submission(id=1, marker_token="t", intended_at=NOW, marked=True, attempts=attempts)


def searched(times: int, after: timedelta) -> Submission:
    return Submission(
        id=1,
        marker_token="t",
        intended_at=NOW - after,
        marked=True,
        attempts=(),
        fruitless_searches=times,
    )


def answer(status: int, **more: Any) -> ApiFault:
    return ApiFault(kind=ApiFaultKind.STATUS, status=status, **{"message": "no", **more})


waits = st.none() | st.timedeltas(min_value=timedelta(0), max_value=HOUR)
failures = st.builds(
    Failed,
    category=st.sampled_from(FailureCategory),
    message=st.just("why"),
    code=st.none() | st.just(UNREADABLE),
    retry_after=waits,
)
policies = st.builds(
    Policy,
    max_attempts=st.integers(1, 20),
    backoff=st.timedeltas(min_value=timedelta(0), max_value=timedelta.max),
)


# ---- what a refusal means for the jobs of one submission ----


@given(st.integers(1, 100), st.integers(400, 599), st.data())
def test_a_refusal_leads_to_one_decision_per_attempt(count: int, status: int, data: Any) -> None:
    issues = data.draw(st.dictionaries(st.integers(-2, 120), st.just("bad"), max_size=5))
    wait = data.draw(waits)
    sent = submission(count)
    decisions = settle_refusal(DEFAULT, sent, answer(status, issues=issues, retry_after=wait), NOW)
    assert [decision.attempt for decision in decisions] == list(sent.attempts)
    # Either the request changes (fewer jobs, named ones gone), or it is not sent again at once.
    changed = any(
        isinstance(decision.transition, Finish) or decision.transition.max_batch_size is not None
        for decision in decisions
    )
    uncounted = {v.transition.failure.category for v in decisions if v.transition.failure}
    assert changed or uncounted <= NOT_COUNTED


def test_only_the_jobs_that_the_api_names_fail() -> None:
    fault = answer(400, issues={1: 'Field "url": Invalid URL', 3: "Too long"})
    ends = [decision.transition for decision in settle_refusal(DEFAULT, submission(4), fault, NOW)]
    assert [type(end) for end in ends] == [Snooze, Finish, Snooze, Finish]
    assert [end.failure.message for end in ends if end.failure] == [
        "Another job of its request was refused: no",
        'Field "url": Invalid URL',
        "Another job of its request was refused: no",
        "Too long",
    ]
    assert {end.at for end in ends if isinstance(end, Snooze)} == {NOW}


@pytest.mark.parametrize("index", [-1, 1, 2, 99])
def test_an_index_outside_the_request_names_no_job(index: int) -> None:
    [alone] = settle_refusal(DEFAULT, submission(1), answer(400, issues={index: "bad"}), NOW)
    assert isinstance(alone.transition, Finish)
    pair = settle_refusal(DEFAULT, submission(2), answer(400, issues={index + 50: "bad"}), NOW)
    assert [v.transition.max_batch_size for v in pair if isinstance(v.transition, Snooze)] == [1, 1]


def rounds(count: int, bad: int, status: int) -> tuple[int, list[int]]:
    """Play an API that refuses each request with the job *bad* without naming it."""
    options = {index: {"agent_config": {"max_steps": 9}} for index in range(1, count + 1)}
    waiting = deque([submission(count, options=options)])
    failed: list[int] = []
    refusals = 0
    while waiting:
        sent = waiting.popleft()
        if bad not in [attempt.job.id for attempt in sent.attempts]:
            continue
        refusals += 1
        again = []
        for decision in settle_refusal(DEFAULT, sent, answer(status), NOW):
            attempt, transition = decision.attempt, decision.transition
            assert isinstance(attempt, SubmittedAttempt)
            if isinstance(transition, Finish):
                failed.append(attempt.job.id)
            else:
                assert isinstance(transition, Snooze)
                assert transition.max_batch_size
                again.append((attempt, transition.max_batch_size))
        for at in range(0, len(again), again[0][1] if again else 1):
            part = tuple(attempt for attempt, _ in again[at : at + again[0][1]])
            waiting.append(
                Submission(id=1, marker_token="t", intended_at=NOW, marked=True, attempts=part)
            )
    return refusals, failed


@pytest.mark.parametrize("status", [400, 403])
@given(st.integers(1, 100), st.data())
def test_halving_finds_the_bad_job_soon_and_fails_no_other(
    status: int, count: int, data: Any
) -> None:
    bad = data.draw(st.integers(1, count))
    refusals, failed = rounds(count, bad, status)
    assert failed == [bad]
    assert refusals <= log2(count) + 1


def test_a_missing_right_fails_only_the_jobs_that_need_it() -> None:
    gated = submission(1, options={1: {"output_schema": {"type": "object"}}})
    [decision] = settle_refusal(DEFAULT, gated, answer(403), NOW)
    assert isinstance(decision.transition, Finish)
    assert decision.transition.failure is not None
    assert "no right to output_schema" in decision.transition.failure.message
    named = settle_refusal(
        DEFAULT,
        submission(2, options={1: {"capture_config": {"recording": True}}}),
        answer(403, issues={0: "not enabled"}),
        NOW,
    )
    assert [v.transition.max_batch_size for v in named if isinstance(v.transition, Snooze)] == [
        1,
        1,
    ]


def test_a_refused_key_fails_no_job_whatever_its_options() -> None:
    schema = {"output_schema": {"type": "object"}}
    gated = submission(4, options={1: schema, 2: schema})
    for decision in settle_refusal(DEFAULT, gated, answer(401), NOW):
        assert isinstance(decision.transition, Snooze)
        assert decision.transition.max_batch_size is None, (
            "it is about the key, not about one of them"
        )


def test_a_404_of_run_async_rejects_the_job_that_names_something() -> None:
    naming = submission(1, options={1: {"profile_id": "gone"}})
    [decision] = settle_refusal(DEFAULT, naming, answer(404), NOW, singly=True)
    assert isinstance(decision.transition, Finish)
    assert decision.transition.failure is not None
    assert decision.transition.failure.category is FailureCategory.REJECTED


@pytest.mark.parametrize(
    ("status", "options"), [(404, {}), (405, {"profile_id": "p"}), (501, {"use_vault": True})]
)
def test_a_missing_endpoint_fails_no_job(status: int, options: dict[str, Any]) -> None:
    sent = submission(1, options={1: options})
    [decision] = settle_refusal(DEFAULT, sent, answer(status), NOW, singly=True)
    assert isinstance(decision.transition, Snooze)
    assert decision.transition.max_batch_size is None


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_failure_of_the_account_fails_no_job_and_waits_as_the_api_asks(status: int) -> None:
    fault = answer(status, retry_after=HOUR, issues={0: "you"})
    for decision in settle_refusal(DEFAULT, submission(3), fault, NOW):
        assert isinstance(decision.transition, Snooze)
        assert decision.transition.at == NOW + HOUR
        assert decision.transition.max_batch_size is None


@pytest.mark.parametrize("settle", [settle_withdrawn, settle_absent])
def test_jobs_without_a_created_run_are_put_back_uncounted(settle: Any) -> None:
    sent = submission(3)
    decisions = settle(sent, NOW)
    assert [decision.attempt for decision in decisions] == list(sent.attempts)
    assert all(decision.transition.at == NOW for decision in decisions)


def test_an_unanswered_submission_is_left_to_the_user() -> None:
    for decision in settle_unanswered(submission(2), "the marker is off"):
        assert isinstance(decision.transition, Finish)
        assert decision.transition.failure
        assert decision.transition.failure.category is FailureCategory.UNANSWERED
        assert "the marker is off" in decision.transition.failure.message


# ---- how long runs are searched for ----


@given(st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_submission_in_doubt_is_searched_for_at_growing_intervals(doubt: timedelta) -> None:
    wait = next_unanswered_search(NOW - doubt, NOW) - NOW
    assert timedelta(seconds=5) <= wait <= timedelta(minutes=2)
    assert wait <= next_unanswered_search(NOW - 2 * doubt, NOW) - NOW


def test_final_searches_end_after_a_few() -> None:
    now, looks = NOW, 0
    while (again := next_final_search(NOW, now)) is not None:
        now, looks = again, looks + 1
    assert looks < 30
    assert now - NOW >= UNANSWERED_PATIENCE


@given(
    st.integers(0, 10**6), st.timedeltas(timedelta(days=-400), timedelta(days=400)), st.booleans()
)
def test_a_submission_is_not_absent_before_the_grace_and_two_searches(
    times: int, after: timedelta, early: bool
) -> None:
    again = next_search(searched(times, after), NOW)
    if after < RECONCILE_GRACE or times < 2:
        assert again is not None
    if again is not None:
        assert NOW < again <= NOW + timedelta(seconds=30)


@pytest.mark.parametrize("held_back", [timedelta(0), timedelta(seconds=90), HOUR])
def test_the_grace_starts_with_the_first_search_however_late_the_request_was_sent(
    held_back: timedelta,
) -> None:
    first = now = NOW + held_back
    times = 1
    while True:
        sent = Submission(
            id=1,
            marker_token="t",
            intended_at=NOW,
            marked=True,
            attempts=(),
            fruitless_searches=times,
        )
        again = next_search(sent, now)
        if again is None:
            break
        now, times = again, times + 1
    assert RECONCILE_GRACE <= now - first <= 2 * RECONCILE_GRACE


# ---- what a failure means for all other requests ----


@given(policies, st.lists(failures, max_size=5), st.integers(0, 10**6), st.booleans())
def test_requests_wait_at_least_as_long_as_the_api_asks(
    policy: Policy, failed_in_turn: Sequence[Failed], consecutive: int, reading: bool
) -> None:
    effect = backpressure(policy, failed_in_turn, consecutive, NOW, reading=reading)
    concerned = [failed for failed in failed_in_turn if failed.category in NOT_COUNTED]
    assert (effect is None) is (not concerned)
    if isinstance(effect, DelayRequests):
        assert effect.until >= NOW + (concerned[0].retry_after or timedelta(0))
        assert effect.until <= NOW + HOUR
        by_kind = (FailureCategory.UNREACHABLE, FailureCategory.UNAUTHORIZED)
        create = effect.failure.category in by_kind and not reading
        no_credits = effect.failure.category is FailureCategory.BILLING_FAILURE
        assert effect.creates_only is (no_credits or create)


def test_a_key_that_is_refused_for_good_stops_the_batch_and_a_hiccup_does_not() -> None:
    refused = [failure(FailureCategory.UNAUTHORIZED)]
    stop = backpressure(DEFAULT, refused, 0, NOW, reading=True, key_refused=True)
    assert stop == StopSubmitting(failure=refused[0])
    for consecutive in range(20):
        wait = backpressure(DEFAULT, refused, consecutive, NOW, reading=True)
        assert isinstance(wait, DelayRequests)
        assert NOW < wait.until <= NOW + timedelta(seconds=20)


@pytest.mark.parametrize(
    ("status", "has_worked", "refusals", "minutes", "refused"),
    [
        (401, False, 0, 0, True),
        (401, True, 0, 0, False),
        (403, False, 0, 0, False),
        (401, True, 9, 1.9, False),
        (401, True, 9, 2, True),
        (403, True, 9, 2, True),
        (403, False, 9, 2, True),
        (401, True, 3, 480, False),  # the machine slept after a few
    ],
)
def test_a_refusal_is_believed_at_once_where_nothing_has_worked_and_after_two_minutes_else(
    status: int, has_worked: bool, refusals: int, minutes: float, refused: bool
) -> None:
    lasted = timedelta(minutes=minutes)
    found = is_key_refused(status, has_worked=has_worked, refusals=refusals, refused_for=lasted)
    assert found is refused


@pytest.mark.parametrize(
    ("count", "options", "works", "single"),
    [
        (10, None, False, True),
        (10, None, True, True),
        (1, None, True, True),
        (10, {3: {"agent_config": {"max_steps": 9}}}, False, False),
        (1, {1: {"agent_config": {"max_steps": 9}}}, False, True),
        (1, {1: {"agent_config": {"max_steps": 9}}}, True, False),
    ],
)
def test_a_403_of_run_batch_leads_to_one_single_create_unless_an_option_may_be_the_reason(
    count: int, options: dict[int, dict[str, Any]] | None, works: bool, single: bool
) -> None:
    sent = submission(count, options=options)
    assert refused_as_batch(sent, answer(403), batch_works=works) is single
    no_credits = answer(403, message="Insufficient credits or no active subscription")
    for fault in (answer(401), answer(404), answer(429), no_credits):
        assert not refused_as_batch(sent, fault, batch_works=works)


def test_without_credits_creates_wait_and_runs_are_still_polled() -> None:
    effect = backpressure(DEFAULT, [failure(FailureCategory.BILLING_FAILURE)], 0, NOW, reading=True)
    assert isinstance(effect, DelayRequests)
    assert effect.creates_only


def test_an_unanswered_create_does_not_delay_the_search_for_its_runs() -> None:
    lost = [failure(FailureCategory.UNREACHABLE)]
    held = backpressure(DEFAULT, lost, 0, NOW, reading=False)
    assert isinstance(held, DelayRequests)
    assert held.creates_only


def test_repeated_failures_make_requests_wait_longer() -> None:
    throttled = [failure(FailureCategory.THROTTLED)]
    untils = []
    for consecutive in range(8):
        effect = backpressure(DEFAULT, throttled, consecutive, NOW, reading=True)
        assert isinstance(effect, DelayRequests)
        untils.append(effect.until)
    assert untils == sorted(untils)
    assert untils[0] < untils[-1]
