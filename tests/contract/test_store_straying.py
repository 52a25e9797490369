"""Runs that turn up late are adopted where they are needed, and else listed with their cost."""

from __future__ import annotations

from sqlalchemy import select

from batchrunner.model import Batch, JobState, RunStatus, Submission
from batchrunner.policy.create_outcome import settle_absent
from batchrunner.store.schema import SubmissionState, attempts
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, claim, enlist, postpone, retry, run

LATER = after(120)


def give_up(store: Store, *, jobs: int = 2) -> tuple[Batch, Submission]:
    """Claim all jobs in one submission, and declare it absent."""
    batch = begin(store, jobs)
    [submission] = claim(store, batch)
    verdicts = settle_absent(submission, after(60))
    state = SubmissionState.ABSENT
    store.settle("alice", submission, state, verdicts, after(60), "no answer", after(90))
    return batch, submission


def test_a_job_that_still_waits_gets_the_run_that_it_has_already(store: Store) -> None:
    batch, submission = give_up(store)
    first = submission.attempts[0].attempt_id
    assert store.take_in("alice", batch.id, submission, {first: "late"}, LATER) == 1
    [adopted] = store.watched("alice", batch.id)
    assert (adopted.run_id, adopted.job.attempt, adopted.marker) == ("late", 2, None)
    assert store.tally(batch.id).jobs[JobState.RUNNING] == 1
    assert store.living_orphans(batch.id) == []


def test_a_run_that_nobody_needs_any_more_is_an_orphan_until_it_is_over(store: Store) -> None:
    batch, submission = give_up(store, jobs=1)
    claim(store, batch, now=after(70))  # the job is tried again
    [ride] = submission.attempts
    for _ in range(2):  # found twice, listed once
        assert store.take_in("alice", batch.id, submission, {ride.attempt_id: "late"}, LATER) == 0
    assert store.living_orphans(batch.id) == ["late"]
    store.bury([("late", run("late", status=RunStatus.CANCELLED, steps=7))], LATER)
    assert store.living_orphans(batch.id) == []
    tally = store.tally(batch.id)
    assert (tally.orphans, tally.steps) == (1, 7)


def test_absent_submissions_are_watched_until_told_otherwise(store: Store) -> None:
    batch, submission = give_up(store)
    assert store.absent("alice", batch.id, after(89)) == []
    [watched] = store.absent("alice", batch.id, after(90))
    assert {ride.attempt_id for ride in watched.attempts} == {
        r.attempt_id for r in submission.attempts
    }
    store.watch("alice", submission, None)
    assert store.absent("alice", batch.id) == []


def test_a_dead_owners_absent_submissions_are_watched_by_its_successor(store: Store) -> None:
    batch, _ = give_up(store)
    enlist(store, "bob", now=LATER)
    store.rescue("bob", batch.id, LATER, gone=["alice"])
    assert len(store.absent("bob", batch.id)) == 1


def test_an_answer_that_comes_when_the_attempts_are_closed_makes_orphans(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {ride.attempt_id: f"run-{ride.batch_index}" for ride in submission.attempts}
    store.record("alice", submission, runs, LATER)
    assert store.living_orphans(batch.id) == ["run-1", "run-2"]
    with store._database.read() as tx:
        assert set(tx.execute(select(attempts.c.run_id)).scalars()) == {None}


def test_an_answer_that_comes_when_others_search_is_left_to_them(store: Store) -> None:
    batch = begin(store, 1)
    enlist(store, "bob")
    [submission] = claim(store, batch)
    store.rescue("bob", batch.id, after(1), gone=["alice"])
    store.record("alice", submission, {submission.attempts[0].attempt_id: "late"}, NOW)
    assert store.living_orphans(batch.id) == []
    assert len(store.unanswered("bob", batch.id)) == 1


def test_an_orphan_that_completed_is_adopted_when_its_job_waits_again(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {ride.attempt_id: f"late-{ride.batch_index}" for ride in submission.attempts}
    again = claim(store, batch, now=LATER)  # their jobs do not wait
    assert store.take_in("alice", batch.id, submission, runs, LATER) == 0
    done, stopped = run("late-1", steps=3), run("late-2", RunStatus.CANCELLED, steps=2)
    store.bury([("late-1", done), ("late-2", stopped)], LATER)
    for each in again:
        verdicts = [postpone(ride) for ride in each.attempts]
        store.settle("alice", each, SubmissionState.REFUSED, verdicts, LATER, "busy")
    assert store.take_in("alice", batch.id, submission, runs, LATER) == 1
    assert [attempt.run_id for attempt in store.watched("alice", batch.id)] == ["late-1"]
    tally = store.tally(batch.id)
    assert (tally.orphans, tally.steps) == (1, 2), "what an attempt has is no orphan any more"


def test_a_run_that_an_attempt_had_is_not_adopted_again(store: Store) -> None:
    batch, submission = give_up(store)
    runs = {submission.attempts[0].attempt_id: "late"}
    assert store.take_in("alice", batch.id, submission, runs, LATER) == 1
    [adopted] = store.watched("alice", batch.id)
    store.apply("alice", [retry(adopted, at=LATER)], [], LATER)
    assert store.take_in("alice", batch.id, submission, runs, LATER) == 0
    assert store.living_orphans(batch.id) == []
