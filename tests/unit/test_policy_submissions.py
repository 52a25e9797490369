"""Laws of what happens next to a submission, and to the whole pool."""

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
    DelayRequests,
    Failed,
    FailureCategory,
    FaultKind,
    Finish,
    Snooze,
    StopSubmitting,
    Submission,
    SubmittedAttempt,
)
from batchrunner.policy.create_outcome import (
    MAX_DOUBT,
    RECONCILE_GRACE,
    control_run_ages,
    next_control_search,
    next_search,
    settle_absent,
    settle_refusal,
    settle_unanswered,
    settle_unconfirmed,
    settle_withdrawn,
)
from batchrunner.policy.retry_rules import NOT_COUNTED, Policy
from batchrunner.policy.run_decision import pool_effect
from tests.builders import failure, job

NOW = datetime(2026, 9, 3, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = Policy()


def submission(count: int, *, options: dict[int, dict[str, Any]] | None = None) -> Submission:
    rides = tuple(
        SubmittedAttempt(
            attempt_id=100 + place,
            batch_index=place,
            job=job(place),
            url="https://a.test/",
            goal="Read",
            options=(options or {}).get(place, {}),
        )
        for place in range(1, count + 1)
    )
    return Submission(id=1, marker_token="t", intended_at=NOW, marked=True, attempts=rides)


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
    return ApiFault(kind=FaultKind.STATUS, status=status, **{"message": "no", **more})


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


# ---- what a refusal means for those who ride together ----


@given(st.integers(1, 100), st.integers(400, 599), st.data())
def test_a_refusal_gives_every_ride_one_verdict(count: int, status: int, data: Any) -> None:
    issues = data.draw(st.dictionaries(st.integers(-2, 120), st.just("bad"), max_size=5))
    wait = data.draw(waits)
    sent = submission(count)
    verdicts = settle_refusal(DEFAULT, sent, answer(status, issues=issues, retry_after=wait), NOW)
    assert [verdict.attempt for verdict in verdicts] == list(sent.attempts)
    # Either the request changes (fewer rides, named ones gone), or it is not sent again at once.
    changed = any(
        isinstance(verdict.transition, Finish) or verdict.transition.max_batch_size is not None
        for verdict in verdicts
    )
    uncounted = {v.transition.failure.category for v in verdicts if v.transition.failure}
    assert changed or uncounted <= NOT_COUNTED


def test_jobs_that_are_named_fail_alone() -> None:
    fault = answer(400, issues={1: 'Field "url": Invalid URL', 3: "Too long"})
    ends = [verdict.transition for verdict in settle_refusal(DEFAULT, submission(4), fault, NOW)]
    assert [type(end) for end in ends] == [Snooze, Finish, Snooze, Finish]
    assert [end.failure.message for end in ends if end.failure] == [
        "Another job of its request was refused: no",
        'Field "url": Invalid URL',
        "Another job of its request was refused: no",
        "Too long",
    ]
    assert {end.at for end in ends if isinstance(end, Snooze)} == {NOW}


@pytest.mark.parametrize("place", [-1, 1, 2, 99])
def test_a_name_of_nobody_who_rides_is_no_name(place: int) -> None:
    [alone] = settle_refusal(DEFAULT, submission(1), answer(400, issues={place: "bad"}), NOW)
    assert isinstance(alone.transition, Finish)
    pair = settle_refusal(DEFAULT, submission(2), answer(400, issues={place + 50: "bad"}), NOW)
    assert [v.transition.max_batch_size for v in pair if isinstance(v.transition, Snooze)] == [1, 1]


def rounds(count: int, bad: int, status: int) -> tuple[int, list[int]]:
    """Play the API that refuses whatever carries the job *bad* without naming it."""
    options = {place: {"agent_config": {"max_steps": 9}} for place in range(1, count + 1)}
    waiting = deque([submission(count, options=options)])
    failed: list[int] = []
    refusals = 0
    while waiting:
        sent = waiting.popleft()
        if bad not in [ride.job.id for ride in sent.attempts]:
            continue
        refusals += 1
        again = []
        for verdict in settle_refusal(DEFAULT, sent, answer(status), NOW):
            ride, transition = verdict.attempt, verdict.transition
            assert isinstance(ride, SubmittedAttempt)
            if isinstance(transition, Finish):
                failed.append(ride.job.id)
            else:
                assert isinstance(transition, Snooze)
                assert transition.max_batch_size
                again.append((ride, transition.max_batch_size))
        for at in range(0, len(again), again[0][1] if again else 1):
            part = tuple(ride for ride, _ in again[at : at + again[0][1]])
            waiting.append(
                Submission(id=1, marker_token="t", intended_at=NOW, marked=True, attempts=part)
            )
    return refusals, failed


@pytest.mark.parametrize("status", [400, 403])
@given(st.integers(1, 100), st.data())
def test_halves_find_the_bad_job_soon_and_fail_nobody_else(
    status: int, count: int, data: Any
) -> None:
    bad = data.draw(st.integers(1, count))
    refusals, failed = rounds(count, bad, status)
    assert failed == [bad]
    assert refusals <= log2(count) + 1


def test_a_right_that_is_missing_for_an_option_fails_only_who_uses_it() -> None:
    gated = submission(1, options={1: {"output_schema": {"type": "object"}}})
    [verdict] = settle_refusal(DEFAULT, gated, answer(403), NOW)
    assert isinstance(verdict.transition, Finish)
    assert verdict.transition.failure is not None
    assert "no right to output_schema" in verdict.transition.failure.message
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
    for verdict in settle_refusal(DEFAULT, gated, answer(401), NOW):
        assert isinstance(verdict.transition, Snooze)
        assert verdict.transition.max_batch_size is None, (
            "it is about the key, not about one of them"
        )


def test_what_run_async_does_not_find_is_the_jobs_own_mistake() -> None:
    naming = submission(1, options={1: {"profile_id": "gone"}})
    [verdict] = settle_refusal(DEFAULT, naming, answer(404), NOW, singly=True)
    assert isinstance(verdict.transition, Finish)
    assert verdict.transition.failure is not None
    assert verdict.transition.failure.category is FailureCategory.REJECTED


@pytest.mark.parametrize(
    ("status", "options"), [(404, {}), (405, {"profile_id": "p"}), (501, {"use_vault": True})]
)
def test_a_missing_endpoint_is_no_jobs_mistake(status: int, options: dict[str, Any]) -> None:
    sent = submission(1, options={1: options})
    [verdict] = settle_refusal(DEFAULT, sent, answer(status), NOW, singly=True)
    assert isinstance(verdict.transition, Snooze)
    assert verdict.transition.max_batch_size is None


@pytest.mark.parametrize("status", [401, 402, 429])
def test_what_concerns_the_account_fails_no_job_and_waits_as_told(status: int) -> None:
    fault = answer(status, retry_after=HOUR, issues={0: "you"})
    for verdict in settle_refusal(DEFAULT, submission(3), fault, NOW):
        assert isinstance(verdict.transition, Snooze)
        assert verdict.transition.at == NOW + HOUR
        assert verdict.transition.max_batch_size is None


@pytest.mark.parametrize("settle", [settle_withdrawn, settle_absent])
def test_what_was_never_created_comes_back_uncounted(settle: Any) -> None:
    sent = submission(3)
    verdicts = settle(sent, NOW)
    assert [verdict.attempt for verdict in verdicts] == list(sent.attempts)
    assert all(verdict.transition.at == NOW for verdict in verdicts)


def test_what_nothing_can_tell_is_left_to_the_user() -> None:
    for verdict in settle_unanswered(submission(2), "the marker is off"):
        assert isinstance(verdict.transition, Finish)
        assert verdict.transition.failure
        assert verdict.transition.failure.category is FailureCategory.UNANSWERED
        assert "the marker is off" in verdict.transition.failure.message


def test_an_absence_that_nothing_proves_is_believed_once_of_each_job() -> None:
    first, second, third = settle_unconfirmed(submission(3), {2}, NOW)
    assert isinstance(first.transition, Snooze)
    assert isinstance(second.transition, Snooze)
    assert isinstance(third.transition, Finish)
    assert third.attempt.job.id == 2
    assert third.transition.failure
    assert third.transition.failure.category is FailureCategory.UNANSWERED
    assert settle_unconfirmed(submission(3), set(), NOW) == settle_absent(submission(3), NOW)


# ---- how long runs are looked for ----


@given(st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_search_that_cannot_be_relied_on_is_repeated_for_a_while_with_pauses(
    doubted: timedelta,
) -> None:
    again = next_control_search(NOW - doubted, NOW)
    assert (again is None) == (doubted >= MAX_DOUBT)
    if again is not None:
        assert timedelta(seconds=5) <= again - NOW <= timedelta(minutes=2)


def test_doubt_comes_to_its_end_in_few_searches() -> None:
    now, looks = NOW, 0
    while (again := next_control_search(NOW, now)) is not None:
        now, looks = again, looks + 1
    assert looks < 20


@given(st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_search_is_tried_by_runs_older_than_the_grace_and_better_half_as_old_as_those_sought(
    age: timedelta,
) -> None:
    best, next_best = control_run_ages(searched(1, age), NOW)
    assert best <= next_best == NOW - RECONCILE_GRACE
    assert NOW - best >= age / 2


@given(
    st.integers(0, 10**6), st.timedeltas(timedelta(days=-400), timedelta(days=400)), st.booleans()
)
def test_runs_are_not_given_up_before_the_grace_and_two_searches(
    times: int, after: timedelta, early: bool
) -> None:
    again = next_search(searched(times, after), NOW)
    if after < RECONCILE_GRACE or times < 2:
        assert again is not None
    if again is not None:
        assert NOW < again <= NOW + timedelta(seconds=30)


@pytest.mark.parametrize("held_back", [timedelta(0), timedelta(seconds=90), HOUR])
def test_the_grace_counts_from_the_first_search_however_late_the_request_went_out(
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


# ---- what a failure means for the whole pool ----


@given(policies, st.lists(failures, max_size=5), st.integers(0, 10**6), st.booleans())
def test_a_pool_never_goes_on_before_it_is_told_to(
    policy: Policy, met: Sequence[Failed], in_row: int, looking: bool
) -> None:
    effect = pool_effect(policy, met, in_row, NOW, looking=looking)
    concerned = [failed for failed in met if failed.category in NOT_COUNTED]
    assert (effect is None) is (not concerned)
    if isinstance(effect, DelayRequests):
        assert effect.until >= NOW + (concerned[0].retry_after or timedelta(0))
        assert effect.until <= NOW + HOUR
        lost_create = effect.failure.category is FailureCategory.UNREACHABLE and not looking
        no_credits = effect.failure.category is FailureCategory.BILLING_FAILURE
        assert effect.creates_only is (no_credits or lost_create)


def test_a_key_that_does_not_open_stops_the_batch() -> None:
    refused = failure(FailureCategory.UNAUTHORIZED)
    assert pool_effect(DEFAULT, [refused], 0, NOW, looking=True) == StopSubmitting(failure=refused)


def test_an_empty_account_holds_back_creates_and_lets_runs_be_watched() -> None:
    effect = pool_effect(DEFAULT, [failure(FailureCategory.BILLING_FAILURE)], 0, NOW, looking=True)
    assert isinstance(effect, DelayRequests)
    assert effect.creates_only


def test_a_create_that_got_lost_does_not_keep_its_runs_from_being_found() -> None:
    lost = [failure(FailureCategory.UNREACHABLE)]
    held = pool_effect(DEFAULT, lost, 0, NOW, looking=False)
    assert isinstance(held, DelayRequests)
    assert held.creates_only


def test_a_pool_that_meets_the_same_again_and_again_waits_longer() -> None:
    throttled = [failure(FailureCategory.THROTTLED)]
    untils = []
    for in_row in range(8):
        effect = pool_effect(DEFAULT, throttled, in_row, NOW, looking=True)
        assert isinstance(effect, DelayRequests)
        untils.append(effect.until)
    assert untils == sorted(untils)
    assert untils[0] < untils[-1]
