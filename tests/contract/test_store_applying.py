"""Closing attempts and moving their jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from batchrunner.model import (
    AttemptDecision,
    Batch,
    Failed,
    FailureCategory,
    Finish,
    FinishedJob,
    JobState,
    NotFound,
    OpenAttempt,
    RunStatus,
    Unreadable,
)
from batchrunner.store.attempts import apply_poll, request_cancel, runs_in_flight
from batchrunner.store.reports import batch_counts, finished_jobs, work_left
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered, unanswered_submissions
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    failure,
    postpone,
    retry,
    rides,
    run,
    start,
    success,
)


def watched_alone(store: Store) -> tuple[Batch, OpenAttempt]:
    batch = begin(store)
    (attempt,) = start(store, batch)
    return batch, attempt


def only_finished(store: Store, batch: Batch) -> FinishedJob:
    (finished,) = finished_jobs(store, batch.id)
    return finished


def job_row(engine: Engine) -> tuple[str, str, int, int, bool]:
    columns = "state, available_at, attempt, failures, finished_at"
    with engine.connect() as tx:
        state, at, attempt, failures, finished_at = tx.execute(
            text(f"SELECT {columns} FROM jobs")
        ).one()
    return state, at[17:19], attempt, failures, finished_at is not None


@pytest.mark.parametrize(
    ("follows", "row"),
    [
        (success, ("succeeded", "09", 1, 0, True)),
        (failure, ("failed", "09", 1, 1, True)),
        (
            lambda a: failure(a, FailureCategory.RUN_CANCELLED, JobState.CANCELLED),
            ("cancelled", "09", 1, 1, True),
        ),
        (lambda a: retry(a, after(30)), ("available", "30", 1, 1, False)),
        (lambda a: postpone(a, after(40)), ("available", "40", 1, 0, False)),
    ],
    ids=["success", "failure", "cancelled", "retry", "postpone"],
)
def test_each_transition_leads_to_its_state(
    store: Store,
    engine: Engine,
    follows: Callable[[OpenAttempt], AttemptDecision],
    row: tuple[str, str, int, int, bool],
) -> None:
    batch, attempt = watched_alone(store)
    decision = follows(attempt)
    assert apply_poll(store, "alice", [decision], [], after(9)) == [decision]
    assert job_row(engine) == row
    assert store.read(work_left, "alice", batch.id).in_flight_here == 0


@pytest.mark.parametrize("category", FailureCategory)
def test_every_category_can_be_written_and_read_back(
    store: Store, category: FailureCategory
) -> None:
    batch, attempt = watched_alone(store)
    apply_poll(store, "alice", [failure(attempt, category)], [], NOW)
    assert only_finished(store, batch).category is category
    assert store.read(batch_counts, batch.id).failed == {category: 1}


def test_waiting_that_is_not_the_jobs_fault_never_uses_up_an_attempt(store: Store) -> None:
    batch = begin(store)
    for _ in range(20):
        (attempt,) = start(store, batch)
        apply_poll(store, "alice", [postpone(attempt)], [], NOW)
    (attempt,) = start(store, batch)
    assert (attempt.job.attempt, attempt.job.failures) == (21, 0)


def test_every_failure_that_counts_is_counted_once(store: Store) -> None:
    batch = begin(store)
    for number in range(3):
        (attempt,) = start(store, batch)
        assert attempt.job.failures == number
        apply_poll(store, "alice", [retry(attempt)], [], NOW)
        assert apply_poll(store, "alice", [retry(attempt)], [], NOW) == []


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1}',
        '"\\u0000 and \\ud800 alone, \\udfff\\ud800 too"',
        "12345678901234567890.10000000000000000000001e400",
        '{"a":1,"a":2}  \n\t ',
        "{not JSON at all",
        "'\"\\;--%s%(x)s:name?",
        " ",
        "",
        "null",
        "[" * 5000,
        json.dumps("x" * 10_000_000),
    ],
    ids=lambda body: repr(body[:12]) if isinstance(body, str) else None,
)
def test_results_are_kept_byte_for_byte(store: Store, body: str) -> None:
    batch, attempt = watched_alone(store)
    apply_poll(store, "alice", [success(attempt, body)], [], NOW)
    assert only_finished(store, batch).result == body


def test_a_result_that_is_null_is_no_result(store: Store) -> None:
    batch, attempt = watched_alone(store)
    apply_poll(store, "alice", [success(attempt, None)], [], NOW)
    assert only_finished(store, batch).result is None


def test_the_result_of_a_failed_attempt_is_kept_too(store: Store) -> None:
    batch, attempt = watched_alone(store)
    decision = failure(attempt, FailureCategory.GOAL_FAILURE, result='{"status":"failure"}')
    apply_poll(store, "alice", [decision], [], NOW)
    assert only_finished(store, batch).result == '{"status":"failure"}'


def test_what_a_page_says_about_a_failure_never_stops_the_database(store: Store) -> None:
    # Decoded from JSON: neither database takes NUL, and neither driver a lone surrogate.
    said = "before \0 and \ud800 after"
    batch, attempt = watched_alone(store)
    gone_wrong = Failed(category=FailureCategory.GOAL_FAILURE, message=said, code=said)
    decision = AttemptDecision(
        attempt=attempt, transition=Finish(state=JobState.FAILED, failure=gone_wrong), run=run()
    )
    apply_poll(store, "alice", [decision], [], NOW)
    assert only_finished(store, batch).message == "before \ufffd and ? after"


def test_what_an_answer_says_never_stops_the_database(store: Store) -> None:
    batch = begin(store)
    (submission,) = claim(store, batch)
    store.write(mark_unanswered, "alice", submission, after(5), "\0\udcff")
    ((_, _, why),) = store.read(unanswered_submissions, "alice", batch.id)
    assert why == "\ufffd?"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),  # where some servers' clocks begin
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime.fromisoformat("2026-10-25T02:30:00.000001+02:00"),
        datetime.fromisoformat("2026-10-25T02:30:00+01:00"),
    ],
    ids=str,
)
def test_any_moment_that_a_server_may_show_is_read_back_the_same(
    store: Store, moment: datetime
) -> None:
    batch, attempt = watched_alone(store)
    decision = success(attempt, started_at=moment, finished_at=moment)
    apply_poll(store, "alice", [decision], [], NOW)
    finished = only_finished(store, batch)
    assert (finished.started_at, finished.finished_at) == (moment, moment)


def test_the_steps_of_all_attempts_are_billed(store: Store) -> None:
    batch, first = watched_alone(store)
    apply_poll(store, "alice", [retry(first, steps=3)], [], NOW)
    (second,) = start(store, batch)
    apply_poll(store, "alice", [success(second, steps=4)], [], NOW)
    assert only_finished(store, batch).steps == 7
    assert store.read(batch_counts, batch.id).steps == 7


def test_a_success_without_a_run_is_refused_as_a_whole(store: Store) -> None:
    batch = begin(store, 2)
    first, second = rides(claim(store, batch))
    before = store.read(batch_counts, batch.id)
    with pytest.raises(Exception, match="success_has_a_run"):
        apply_poll(store, "alice", [failure(first), success(second)], [], NOW)
    assert store.read(batch_counts, batch.id) == before


# ---- what goes on ----


def test_how_a_run_was_seen_is_remembered(store: Store) -> None:
    batch, attempt = watched_alone(store)
    assert (attempt.status, attempt.started_at) == (RunStatus.PENDING, None)
    assert store.read(batch_counts, batch.id).queued == 1
    for seconds in (10, 20):
        (known,) = store.read(runs_in_flight, "alice", batch.id)
        seen = run(known.run_id, RunStatus.RUNNING, started_at=after(-999))
        apply_poll(store, "alice", [], [(known, seen)], after(seconds))
    (known,) = store.read(runs_in_flight, "alice", batch.id)
    assert (known.status, known.started_at) == (RunStatus.RUNNING, after(10))
    assert store.read(batch_counts, batch.id).queued == 0


@pytest.mark.parametrize("gone", [NotFound(run_id="x"), Unreadable(run_id="x", message="cut")])
def test_a_run_is_missing_from_the_first_look_until_it_is_seen(
    store: Store, gone: NotFound | Unreadable
) -> None:
    batch, _ = watched_alone(store)
    for seconds in (10, 20):
        (known,) = store.read(runs_in_flight, "alice", batch.id)
        apply_poll(store, "alice", [], [(known, gone)], after(seconds))
    (known,) = store.read(runs_in_flight, "alice", batch.id)
    assert (known.missing_since, known.status) == (after(10), RunStatus.PENDING)
    seen = run(known.run_id, RunStatus.PENDING)
    apply_poll(store, "alice", [], [(known, seen)], after(30))
    assert store.read(runs_in_flight, "alice", batch.id)[0].missing_since is None


def test_the_first_reason_to_cancel_a_run_stays(store: Store) -> None:
    batch, attempt = watched_alone(store)
    store.write(request_cancel, "alice", [attempt.attempt_id], FailureCategory.TIMED_OUT)
    store.write(request_cancel, "alice", [attempt.attempt_id], FailureCategory.LOST)
    assert (
        store.read(runs_in_flight, "alice", batch.id)[0].cancel_reason is FailureCategory.TIMED_OUT
    )


def test_a_closed_attempt_is_never_opened_closed_or_seen_again(
    store: Store, engine: Engine
) -> None:
    batch, attempt = watched_alone(store)
    apply_poll(store, "alice", [success(attempt, "1")], [], NOW)
    before = only_finished(store, batch), job_row(engine)
    for late in (success(attempt, "2"), failure(attempt), retry(attempt), postpone(attempt)):
        assert apply_poll(store, "alice", [late], [(attempt, run())], after(60)) == []
    store.write(request_cancel, "alice", [attempt.attempt_id], FailureCategory.TIMED_OUT)
    assert (only_finished(store, batch), job_row(engine)) == before
    assert store.read(runs_in_flight, "alice", batch.id) == []


def test_of_several_decisions_those_that_still_hold_are_applied(store: Store) -> None:
    batch = begin(store, 3)
    first, second, third = start(store, batch)
    apply_poll(store, "alice", [success(second)], [], NOW)
    decisions = [success(first), failure(second), failure(third)]
    assert apply_poll(store, "alice", decisions, [], NOW) == [decisions[0], decisions[2]]
    jobs = store.read(batch_counts, batch.id).jobs
    assert (jobs[JobState.SUCCEEDED], jobs[JobState.FAILED]) == (2, 1)
