"""What a user does to a batch: cancel, retry."""

from __future__ import annotations

from functools import partial
from threading import Thread

import pytest
from sqlalchemy import Engine, text

from batchrunner.model import FailureCategory, JobState
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered, record_runs, settle_submission
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    failure,
    job_file,
    keys,
    postpone,
    retry,
    rides,
    run_ids,
    spec,
    start,
    success,
)

GOAL, AGENT = FailureCategory.GOAL_FAILURE, FailureCategory.AGENT_FAILURE


def states(store: Store, batch_id: int) -> dict[str, int]:
    return {state.value: n for state, n in store.read(batch_counts, batch_id).jobs.items() if n}


# ---- cancel ----


def test_what_is_available_is_cancelled_at_once(store: Store) -> None:
    batch = begin(store, 3)
    assert store.write(cancel_jobs, batch.id, [], after(1)) == (3, 0)
    assert states(store, batch.id) == {"cancelled": 3}
    assert claim(store, batch, now=after(2)) == []
    assert store.write(cancel_jobs, batch.id, [], after(3)) == (0, 0)


def test_what_runs_is_asked_to_be_cancelled(store: Store) -> None:
    batch = begin(store, 3, concurrency=2)
    start(store, batch)
    assert store.write(cancel_jobs, batch.id, [], after(1)) == (1, 2)
    asked = store.read(runs_in_flight, "alice", batch.id)
    assert {attempt.cancel_reason for attempt in asked} == {FailureCategory.RUN_CANCELLED}
    assert states(store, batch.id) == {"running": 2, "cancelled": 1}


def test_only_the_jobs_that_were_named_are_cancelled(store: Store) -> None:
    batch = begin(store, [spec(key) for key in "abcd"], concurrency=2)
    start(store, batch)
    other = store.write(load_jobs, job_file([spec("a"), spec("d")], name="other"), NOW).batch
    assert store.write(cancel_jobs, batch.id, ["a", "d", "nobody"], after(1)) == (1, 1)
    assert [a.cancel_reason is not None for a in store.read(runs_in_flight, "alice", batch.id)] == [
        True,
        False,
    ]
    assert states(store, other.id) == {"available": 2}


def test_a_run_that_is_not_known_yet_is_asked_for_when_it_is(store: Store) -> None:
    batch = begin(store)
    (submission,) = claim(store, batch)
    store.write(cancel_jobs, batch.id, [], after(1))
    store.write(record_runs, "alice", submission, run_ids(submission), after(2))
    (attempt,) = store.read(runs_in_flight, "alice", batch.id)
    assert attempt.cancel_reason is FailureCategory.RUN_CANCELLED


@pytest.mark.parametrize("follows", [retry, postpone])
def test_a_job_that_was_asked_goes_nowhere_but_to_cancelled(store: Store, follows: object) -> None:
    batch = begin(store)
    (attempt,) = start(store, batch)
    store.write(cancel_jobs, batch.id, [], after(1))
    assert callable(follows)
    apply_poll(store, "alice", [follows(attempt, after(9))], [], after(2))
    assert states(store, batch.id) == {"cancelled": 1}
    (finished,) = finished_jobs(store, batch.id)
    assert finished.state is JobState.CANCELLED
    # Its job did not go on after that failure: it is no retry.
    assert store.read(batch_counts, batch.id).retried == {}
    assert store.read(failed_attempts, batch.id, final=False, most=9) == []
    assert [f.job_state for f in store.read(failed_attempts, batch.id, final=True, most=9)] == [
        "cancelled"
    ]


def test_a_job_that_was_asked_and_has_no_run_is_cancelled(store: Store) -> None:
    batch = begin(store)
    (submission,) = claim(store, batch)
    store.write(mark_unanswered, "alice", submission, after(1), "ReadTimeout")
    store.write(cancel_jobs, batch.id, [], after(2))
    decisions = [postpone(ride) for ride in submission.attempts]
    store.write(
        settle_submission,
        "alice",
        submission,
        SubmissionState.ABSENT,
        decisions,
        after(60),
        "no run",
    )
    assert states(store, batch.id) == {"cancelled": 1}


def test_a_run_that_was_faster_than_its_cancellation_is_not_thrown_away(store: Store) -> None:
    batch = begin(store)
    (attempt,) = start(store, batch)
    store.write(cancel_jobs, batch.id, [], after(1))
    apply_poll(store, "alice", [success(attempt, "1")], [], after(2))
    assert states(store, batch.id) == {"succeeded": 1}


def test_the_final_are_not_cancelled(store: Store) -> None:
    batch = begin(store, 2)
    first, second = start(store, batch)
    apply_poll(store, "alice", [success(first), failure(second)], [], NOW)
    assert store.write(cancel_jobs, batch.id, [], after(1)) == (0, 0)
    assert states(store, batch.id) == {"succeeded": 1, "failed": 1}


def test_a_cancel_that_waits_for_decisions_holds_no_job_that_they_need(
    postgresql: str,
) -> None:
    """Else each would wait for the other, and the server would end one of them."""
    store, poller = Store.open(postgresql), Store.open(postgresql)
    batch = begin(store)
    start(store, batch)
    cancelling = Thread(target=partial(store.write, cancel_jobs), args=(batch.id, [], NOW))
    with poller._database.write() as tx:
        tx.execute(text("SELECT id FROM attempts FOR UPDATE"))
        cancelling.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not tx.execute(waiting).scalar_one():
            assert cancelling.is_alive()
        assert tx.execute(text("SELECT id FROM jobs FOR UPDATE NOWAIT")).all()
    cancelling.join()
    (attempt,) = store.read(runs_in_flight, "alice", batch.id)
    assert attempt.cancel_reason is FailureCategory.RUN_CANCELLED
    store.close()
    poller.close()


# ---- retry ----


def ended(store: Store) -> int:
    """Make a batch of jobs that ended in every way: a to f."""
    batch = begin(store, [spec(key) for key in "abcdef"], concurrency=5)
    good, goal, agent, again, cancelled = start(store, batch)
    decisions = [
        success(good),
        failure(goal, GOAL),
        failure(agent, AGENT),
        retry(again, after(1000), GOAL),
        failure(cancelled, FailureCategory.RUN_CANCELLED, JobState.CANCELLED),
    ]
    apply_poll(store, "alice", decisions, [], NOW)
    return batch.id


@pytest.mark.parametrize(
    ("categories", "chosen", "count"),
    [
        ([], [], 2),  # all that failed, but not what the user cancelled
        ([GOAL], [], 1),
        ([GOAL, AGENT], [], 2),
        ([FailureCategory.RUN_CANCELLED], [], 1),
        ([FailureCategory.LOST], [], 0),
        ([], ["b", "e", "nobody"], 2),
        ([], ["a", "d", "f"], 0),  # only what is final, and did not succeed
        ([GOAL], ["b", "c"], 1),
    ],
)
def test_a_retry_takes_what_was_chosen(
    store: Store, categories: list[FailureCategory], chosen: list[str], count: int
) -> None:
    batch_id = ended(store)
    before = states(store, batch_id)
    assert store.write(retry_jobs, batch_id, categories, chosen, after(5)) == count
    assert states(store, batch_id).get("available", 0) == before["available"] + count


def test_a_retried_job_has_its_failures_forgiven_and_its_attempts_kept(store: Store) -> None:
    batch = begin(store)
    (first,) = start(store, batch)
    apply_poll(store, "alice", [failure(first)], [], NOW)
    assert store.write(retry_jobs, batch.id, [], [], after(5)) == 1
    assert claim(store, batch, now=after(4)) == []
    (ride,) = rides(claim(store, batch, now=after(5)))
    assert (ride.job.attempt, ride.job.failures) == (2, 0)
    assert store.read(batch_counts, batch.id).attempts == 2


def test_a_failure_that_the_user_answered_with_a_retry_is_not_final_any_more(store: Store) -> None:
    batch = begin(store)
    (first,) = start(store, batch)
    apply_poll(store, "alice", [failure(first)], [], NOW)
    store.write(retry_jobs, batch.id, [], [], after(5))
    assert store.read(failed_attempts, batch.id, final=True, most=9) == []
    assert [f.number for f in store.read(failed_attempts, batch.id, final=False, most=9)] == [1]
    counts = store.read(batch_counts, batch.id)
    assert (counts.failed, counts.retried) == ({}, {AGENT: 1})


def test_a_cancelled_job_can_be_wanted_again(store: Store) -> None:
    batch = begin(store)
    start(store, batch)
    store.write(cancel_jobs, batch.id, [], NOW)
    (attempt,) = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [postpone(attempt)], [], NOW)
    assert store.write(retry_jobs, batch.id, [], keys(1), NOW) == 1
    (attempt,) = start(store, batch)
    assert attempt.cancel_reason is None
    apply_poll(store, "alice", [postpone(attempt)], [], NOW)
    assert states(store, batch.id) == {"available": 1}


def test_a_retry_changes_no_other_batch(store: Store, engine: Engine) -> None:
    batch_id = ended(store)
    other = store.write(load_jobs, job_file([spec("b")], name="other"), NOW).batch
    (attempt,) = start(store, other)
    apply_poll(store, "alice", [failure(attempt, GOAL)], [], NOW)
    store.write(retry_jobs, batch_id, [], [], after(5))
    assert states(store, other.id) == {"failed": 1}
    with engine.connect() as tx:
        went_on = tx.execute(text("SELECT retry_at FROM attempts WHERE batch_id = 2"))
        assert went_on.scalars().all() == [None]
