"""Writing down what became of submissions."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Engine, text

from batchrunner.model import Batch, FailureCategory, JobState, Submission
from batchrunner.store.attempts import runs_in_flight
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import (
    mark_unanswered,
    record_runs,
    settle_submission,
    unanswered_submissions,
)
from tests.fakes import NOW, after, begin, claim, close_as_absent, failure, postpone, run_ids


def submitted(store: Store, jobs: int) -> tuple[Batch, Submission]:
    batch = begin(store, jobs)
    (submission,) = claim(store, batch)
    return batch, submission


def state_of(engine: Engine, submission: Submission) -> str:
    with engine.connect() as tx:
        found: str = tx.execute(
            text("SELECT state FROM submissions WHERE id = :id"), {"id": submission.id}
        ).scalar_one()
    return found


def test_a_whole_answer_closes_the_submission(store: Store, engine: Engine) -> None:
    batch, submission = submitted(store, 3)
    assert (
        store.write(record_runs, "alice", submission, run_ids(submission), after(1)) == frozenset()
    )
    assert state_of(engine, submission) == "created"
    assert store.read(unanswered_submissions, "alice", batch.id) == []
    assert store.read(batch_counts, batch.id).unsettled == 0


def test_a_submission_in_doubt_is_found_again_with_all_that_a_search_needs(store: Store) -> None:
    batch, submission = submitted(store, 2)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout", after(4))
    assert store.read(unanswered_submissions, "alice", batch.id) == [
        (replace(submission, unanswered_at=after(4)), after(5), "ReadTimeout")
    ]


def test_the_number_of_vain_searches_is_remembered(store: Store) -> None:
    batch, submission = submitted(store, 1)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    store.write(
        mark_unanswered, "alice", replace(submission, fruitless_searches=1), after(9), "ReadTimeout"
    )
    ((found, search_at, _),) = store.read(unanswered_submissions, "alice", batch.id)
    assert (found.fruitless_searches, search_at) == (1, after(9))


def test_jobs_of_a_submission_in_doubt_are_not_claimed_again(store: Store) -> None:
    batch, submission = submitted(store, 2)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    assert claim(store, batch, now=after(10_000)) == []


def test_a_partial_record_leaves_the_rest_in_doubt(store: Store, engine: Engine) -> None:
    batch, submission = submitted(store, 3)
    store.write(mark_unanswered, "alice", submission, after(5), "a cut answer")
    first, second, third = submission.attempts
    assert store.write(
        record_runs, "alice", submission, {second.attempt_id: "run-x"}, after(6)
    ) == {
        first.attempt_id,
        third.attempt_id,
    }
    ((rest, search_at, why),) = store.read(unanswered_submissions, "alice", batch.id)
    assert rest.attempts == (first, third)
    assert (search_at, why) == (after(5), "a cut answer")
    assert [a.run_id for a in store.read(runs_in_flight, "alice", batch.id)] == ["run-x"]
    found = {first.attempt_id: "run-y", third.attempt_id: "run-z"}
    assert store.write(record_runs, "alice", rest, found, after(7)) == frozenset()
    assert store.read(unanswered_submissions, "alice", batch.id) == []
    assert state_of(engine, submission) == "created"


def test_a_search_that_found_nothing_records_nothing(store: Store) -> None:
    batch, submission = submitted(store, 2)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    assert store.write(record_runs, "alice", submission, {}, after(6)) == {
        ride.attempt_id for ride in submission.attempts
    }
    assert len(store.read(unanswered_submissions, "alice", batch.id)) == 1


def test_an_answer_that_comes_twice_changes_nothing(store: Store) -> None:
    batch, submission = submitted(store, 2)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    before = store.read(runs_in_flight, "alice", batch.id)
    others = {ride.attempt_id: f"other-{ride.batch_index}" for ride in submission.attempts}
    assert store.write(record_runs, "alice", submission, others, after(1)) == frozenset()
    assert store.read(runs_in_flight, "alice", batch.id) == before


def test_a_refused_submission_closes_its_attempts_in_the_same_transaction(
    store: Store, engine: Engine
) -> None:
    batch, submission = submitted(store, 2)
    bad, good = submission.attempts
    decisions = [failure(bad, FailureCategory.REJECTED), postpone(good)]
    applied = store.write(
        settle_submission,
        "alice",
        submission,
        SubmissionState.REFUSED,
        decisions,
        after(1),
        "a bad url",
    )
    assert applied == decisions
    assert state_of(engine, submission) == "refused"
    jobs = store.read(batch_counts, batch.id).jobs
    assert (jobs[JobState.FAILED], jobs[JobState.AVAILABLE]) == (1, 1)


def test_an_absent_submission_gives_its_jobs_back_uncounted(store: Store, engine: Engine) -> None:
    batch, submission = submitted(store, 2)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    decisions = [postpone(ride, after(60)) for ride in submission.attempts]
    close_as_absent(store, submission, decisions, after(60))
    assert state_of(engine, submission) == "absent"
    assert store.read(unanswered_submissions, "alice", batch.id) == []
    (again,) = claim(store, batch, now=after(60))
    assert [(ride.job.attempt, ride.job.failures) for ride in again.attempts] == [(2, 0), (2, 0)]


def test_the_part_of_a_submission_that_is_absent_leaves_its_runs_alone(store: Store) -> None:
    batch, submission = submitted(store, 2)
    there, absent = submission.attempts
    store.write(mark_unanswered, "alice", submission, after(5), "a cut answer")
    store.write(record_runs, "alice", submission, {there.attempt_id: "run-x"}, after(6))
    rest = replace(submission, attempts=(absent,))
    close_as_absent(store, rest, [postpone(absent)], after(60))
    assert [a.run_id for a in store.read(runs_in_flight, "alice", batch.id)] == ["run-x"]
    assert [r.job.key for s in claim(store, batch, now=after(60)) for r in s.attempts] == [
        absent.job.key
    ]


def test_a_late_answer_reopens_nothing(store: Store, engine: Engine) -> None:
    batch, submission = submitted(store, 1)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    decisions = [postpone(ride, after(60)) for ride in submission.attempts]
    close_as_absent(store, submission, decisions, after(60))
    store.write(record_runs, "alice", submission, run_ids(submission), after(61))
    store.write(mark_unanswered, "alice", submission, after(90), "again")
    assert state_of(engine, submission) == "absent"
    assert store.read(runs_in_flight, "alice", batch.id) == []
    assert store.read(unanswered_submissions, "alice", batch.id) == []


def test_submissions_in_doubt_are_each_batchs_own(store: Store) -> None:
    batch, submission = submitted(store, 1)
    store.write(mark_unanswered, "alice", submission, after(5), "ReadTimeout")
    assert store.read(unanswered_submissions, "alice", batch.id + 1) == []
    assert store.read(unanswered_submissions, "bob", batch.id) == []


def test_a_run_is_timed_from_when_it_is_known_however_long_its_create_was_held(
    store: Store,
) -> None:
    batch = begin(store, 1)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), after(3600))
    [attempt] = store.read(runs_in_flight, "alice", batch.id)
    assert attempt.opened_at == after(3600)
