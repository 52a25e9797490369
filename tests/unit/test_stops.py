"""Which runs a stop cancels, and what follows for their attempts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from batchrunner.model import (
    Failed,
    FailureCategory,
    Finish,
    Job,
    NotFound,
    OpenAttempt,
    Run,
    RunError,
    RunObservation,
    RunStatus,
    Settings,
    Snooze,
    Unreadable,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import (
    LOST_AFTER,
    decide_run,
    has_started_before_cancel,
    may_cancel_at_stop,
)
from tests.fakes import NOW

POLICY = Policy.of(Settings())
ATTEMPT = OpenAttempt(
    attempt_id=1,
    run_id="run-1",
    submission_id=1,
    marker="[ref br-1]",
    url="http://site.test/1",
    job=Job(id=1, key="a", attempt=1, failures=0),
    status=RunStatus.PENDING,
    opened_at=NOW - timedelta(seconds=60),
    cancelled_at_stop=True,
)
PENDING = Run(run_id="run-1", status=RunStatus.PENDING)
CANCELLED = Run(run_id="run-1", status=RunStatus.CANCELLED, steps=0)


def test_a_run_that_waits_is_cancelled() -> None:
    assert may_cancel_at_stop(ATTEMPT, PENDING, NOW, at_once=True)
    assert may_cancel_at_stop(ATTEMPT, PENDING, NOW, at_once=False)


def test_near_a_deadline_a_run_that_is_about_to_start_is_left_alone() -> None:
    fresh = replace(ATTEMPT, opened_at=NOW - timedelta(seconds=5))
    assert may_cancel_at_stop(fresh, PENDING, NOW, at_once=True)
    assert not may_cancel_at_stop(fresh, PENDING, NOW, at_once=False)


@pytest.mark.parametrize(
    "seen",
    [
        replace(PENDING, status=RunStatus.RUNNING),
        replace(PENDING, started_at=NOW),
        replace(PENDING, steps=3),
        replace(PENDING, result='{"a": 1}'),
        replace(PENDING, unknown_status="WARMING_UP"),
        replace(PENDING, status=RunStatus.COMPLETED),
        NotFound(run_id="run-1"),
        Unreadable(run_id="run-1", message="?"),
    ],
)
def test_a_run_that_may_have_started_is_not_cancelled(seen: RunObservation) -> None:
    assert not may_cancel_at_stop(ATTEMPT, seen, NOW, at_once=True)


def test_a_run_that_was_seen_running_is_not_cancelled_though_a_late_answer_says_pending() -> None:
    attempt = replace(ATTEMPT, started_at=NOW)
    assert not may_cancel_at_stop(attempt, PENDING, NOW, at_once=True)


@pytest.mark.parametrize(
    "seen",
    [
        CANCELLED,
        Run(
            run_id="run-1",
            status=RunStatus.FAILED,
            error=RunError(message="cancelled", code="cancelled", category="SYSTEM_FAILURE"),
        ),
    ],
)
def test_a_cancelled_run_puts_its_job_back_uncounted(seen: Run) -> None:
    decision = decide_run(POLICY, ATTEMPT, seen, NOW)
    assert decision is not None
    assert isinstance(decision.transition, Snooze)
    assert decision.transition.at == NOW
    assert decision.transition.failure.category is FailureCategory.TIMED_OUT
    assert "before it had started" in decision.transition.failure.message
    assert not has_started_before_cancel(decision)


def test_a_cancelled_run_that_had_started_is_put_back_with_its_cost() -> None:
    decision = decide_run(POLICY, ATTEMPT, replace(CANCELLED, steps=4), NOW)
    assert decision is not None
    assert isinstance(decision.transition, Snooze)
    assert "started meanwhile" in decision.transition.failure.message
    assert decision.run is not None
    assert decision.run.steps == 4
    assert has_started_before_cancel(decision)


def test_a_run_that_completes_in_spite_of_the_cancel_counts() -> None:
    done = Run(run_id="run-1", status=RunStatus.COMPLETED, result='{"price": 3}', steps=5)
    decision = decide_run(POLICY, ATTEMPT, done, NOW)
    assert decision is not None
    assert isinstance(decision.transition, Finish)
    assert decision.transition.failure is None
    assert has_started_before_cancel(decision)


def test_a_run_that_fails_by_itself_counts() -> None:
    error = RunError(message="no such page", code="TASK_FAILED", category="AGENT_FAILURE")
    failed = Run(run_id="run-1", status=RunStatus.FAILED, error=error, steps=5)
    decision = decide_run(POLICY, ATTEMPT, failed, NOW)
    assert decision is not None
    assert isinstance(decision.transition, Finish)
    assert decision.transition.failure == Failed(
        category=FailureCategory.AGENT_FAILURE, message="no such page", code="TASK_FAILED"
    )


def test_a_run_that_the_api_forgets_after_the_cancel_puts_its_job_back_uncounted() -> None:
    gone = replace(ATTEMPT, missing_since=NOW - LOST_AFTER)
    decision = decide_run(POLICY, gone, NotFound(run_id="run-1"), NOW)
    assert decision is not None
    assert isinstance(decision.transition, Snooze)
    assert decision.transition.failure.category is FailureCategory.LOST, "it stays on a watch list"


def test_a_job_that_the_user_cancels_is_not_put_back() -> None:
    unwanted = replace(ATTEMPT, cancel_reason=FailureCategory.RUN_CANCELLED)
    decision = decide_run(POLICY, unwanted, CANCELLED, NOW)
    assert decision is not None
    assert isinstance(decision.transition, Finish)


def test_somebody_elses_cancel_is_not_taken_for_ours() -> None:
    decision = decide_run(POLICY, replace(ATTEMPT, cancelled_at_stop=False), CANCELLED, NOW)
    assert decision is not None
    assert isinstance(decision.transition, Finish)
