"""Runs that turn up late are adopted where they are needed, and else listed with their cost."""

from __future__ import annotations

from sqlalchemy import select

from batchrunner.model import Batch, JobState, RunStatus, Submission
from batchrunner.policy.create_outcome import settle_absent
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.leases import rescue_attempts
from batchrunner.store.orphans import (
    adopt_late_runs,
    close_orphans,
    late_run_watchlist,
    open_orphans,
    schedule_late_check,
)
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState, attempts
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, settle_submission, unanswered_submissions
from tests.fakes import NOW, after, begin, claim, enlist, postpone, retry, run

LATER = after(120)


def give_up(store: Store, *, jobs: int = 2) -> tuple[Batch, Submission]:
    """Claim all jobs in one submission, and declare it absent."""
    batch = begin(store, jobs)
    [submission] = claim(store, batch)
    decisions = settle_absent(submission, after(60))
    state = SubmissionState.ABSENT
    store.write(
        settle_submission, "alice", submission, state, decisions, after(60), "no answer", after(90)
    )
    return batch, submission


def test_a_job_that_still_waits_gets_the_run_that_it_has_already(store: Store) -> None:
    batch, submission = give_up(store)
    first = submission.attempts[0].attempt_id
    assert store.write(adopt_late_runs, "alice", batch.id, submission, {first: "late"}, LATER) == 1
    [adopted] = store.read(runs_in_flight, "alice", batch.id)
    assert (adopted.run_id, adopted.job.attempt) == ("late", 2)
    assert adopted.marker == submission.attempts[0].marker
    assert store.read(batch_counts, batch.id).jobs[JobState.RUNNING] == 1
    assert store.read(open_orphans, batch.id) == []


def test_a_run_that_nobody_needs_any_more_is_an_orphan_until_it_is_over(store: Store) -> None:
    batch, submission = give_up(store, jobs=1)
    claim(store, batch, now=after(70))  # the job is tried again
    [ride] = submission.attempts
    for _ in range(2):  # found twice, listed once
        assert (
            store.write(
                adopt_late_runs, "alice", batch.id, submission, {ride.attempt_id: "late"}, LATER
            )
            == 0
        )
    assert store.read(open_orphans, batch.id) == ["late"]
    store.write(close_orphans, [("late", run("late", status=RunStatus.CANCELLED, steps=7))], LATER)
    assert store.read(open_orphans, batch.id) == []
    counts = store.read(batch_counts, batch.id)
    assert (counts.orphans, counts.steps) == (1, 7)


def test_absent_submissions_are_watched_until_told_otherwise(store: Store) -> None:
    batch, submission = give_up(store)
    assert store.read(late_run_watchlist, "alice", batch.id, after(89)) == []
    [watched] = store.read(late_run_watchlist, "alice", batch.id, after(90))
    assert {ride.attempt_id for ride in watched.attempts} == {
        r.attempt_id for r in submission.attempts
    }
    store.write(schedule_late_check, "alice", submission, None)
    assert store.read(late_run_watchlist, "alice", batch.id) == []


def test_a_dead_owners_absent_submissions_are_watched_by_its_successor(store: Store) -> None:
    batch, _ = give_up(store)
    enlist(store, "bob", now=LATER)
    store.write(rescue_attempts, "bob", batch.id, LATER, exited=["alice"])
    assert len(store.read(late_run_watchlist, "bob", batch.id)) == 1


def test_an_answer_that_comes_when_the_attempts_are_closed_makes_orphans(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {ride.attempt_id: f"run-{ride.batch_index}" for ride in submission.attempts}
    store.write(record_runs, "alice", submission, runs, LATER)
    assert store.read(open_orphans, batch.id) == ["run-1", "run-2"]
    with store._database.read() as tx:
        assert set(tx.execute(select(attempts.c.run_id)).scalars()) == {None}


def test_an_answer_that_comes_when_others_search_is_left_to_them(store: Store) -> None:
    batch = begin(store, 1)
    enlist(store, "bob")
    [submission] = claim(store, batch)
    store.write(rescue_attempts, "bob", batch.id, after(1), exited=["alice"])
    store.write(record_runs, "alice", submission, {submission.attempts[0].attempt_id: "late"}, NOW)
    assert store.read(open_orphans, batch.id) == []
    assert len(store.read(unanswered_submissions, "bob", batch.id)) == 1


def test_an_orphan_that_completed_is_adopted_when_its_job_waits_again(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {ride.attempt_id: f"late-{ride.batch_index}" for ride in submission.attempts}
    again = claim(store, batch, now=LATER)  # their jobs do not wait
    assert store.write(adopt_late_runs, "alice", batch.id, submission, runs, LATER) == 0
    done, stopped = run("late-1", steps=3), run("late-2", RunStatus.CANCELLED, steps=2)
    store.write(close_orphans, [("late-1", done), ("late-2", stopped)], LATER)
    for each in again:
        decisions = [postpone(ride) for ride in each.attempts]
        store.write(
            settle_submission, "alice", each, SubmissionState.REFUSED, decisions, LATER, "busy"
        )
    assert store.write(adopt_late_runs, "alice", batch.id, submission, runs, LATER) == 1
    assert [attempt.run_id for attempt in store.read(runs_in_flight, "alice", batch.id)] == [
        "late-1"
    ]
    counts = store.read(batch_counts, batch.id)
    assert (counts.orphans, counts.steps) == (1, 2), "what an attempt has is no orphan any more"


def test_a_run_that_an_attempt_had_is_not_adopted_again(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {submission.attempts[0].attempt_id: "late"}
    assert store.write(adopt_late_runs, "alice", batch.id, submission, runs, LATER) == 1
    [adopted] = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [retry(adopted, at=LATER)], [], LATER)
    assert store.write(adopt_late_runs, "alice", batch.id, submission, runs, LATER) == 0
    assert store.read(open_orphans, batch.id) == []
