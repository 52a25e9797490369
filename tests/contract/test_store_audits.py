"""What an audit reads, and how runs that it found become attempts or orphans, on both databases."""

from __future__ import annotations

from sqlalchemy import update

from batchrunner.model import Batch, FailureCategory, JobState, RunStatus, Submission
from batchrunner.model.audit import AuditColumn
from batchrunner.policy.create_outcome import settle_unanswered
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.audit import (
    audit_column,
    audit_records,
    audit_scope,
    known_orphans,
    known_runs,
    losses,
    marked_attempts,
    take_runs,
)
from batchrunner.store.orphans import add_orphans, close_orphans, drop_orphans, open_orphans
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.schema import SubmissionState, submissions
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs, settle_submission
from tests.fakes import NOW, after, begin, claim, failure, run, run_ids, success


def started(store: Store, jobs: int = 2, **settings: object) -> tuple[Batch, Submission]:
    """Claim all jobs in one submission, and record its runs: run-1, run-2 …."""
    batch = begin(store, jobs, **settings)
    [submission] = claim(store, batch)
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    return batch, submission


def end(store: Store, batch: Batch, steps: int) -> None:
    """Let all runs in flight succeed."""
    open_attempts = store.read(runs_in_flight, "alice", batch.id)
    decisions = [success(each, steps=steps) for each in open_attempts]
    apply_poll(store, "alice", decisions, [], after(60))


def test_the_scope_names_the_batch_and_the_submissions_of_older_versions(store: Store) -> None:
    batch, submission = started(store)
    token, _, _ = submission.marker_token.partition("-")
    scope = store.read(audit_scope, batch.id)
    assert (scope.token, scope.old_tokens, scope.runs, scope.unmarked) == (token, (), 2, 0)
    with store._database.write() as tx:
        tx.execute(update(submissions).values(marker_token="0123456789ab"))
    assert store.read(audit_scope, batch.id).old_tokens == ("0123456789ab",)


def test_a_batch_that_was_never_submitted_has_nothing_to_audit(store: Store) -> None:
    scope = store.read(audit_scope, begin(store, 3).id)
    assert (scope.token, scope.old_tokens, scope.runs) == (None, (), 0)


def test_without_markers_every_run_is_unmarked(store: Store) -> None:
    batch, _ = started(store, marker=False)
    scope = store.read(audit_scope, batch.id)
    assert (scope.old_tokens, scope.unmarked) == ((), 2)


def test_the_column_and_the_known_runs_are_those_of_attempts_and_orphans(store: Store) -> None:
    batch, submission = started(store)
    store.write(add_orphans, batch.id, submission, ["twin"], NOW)
    assert store.read(audit_column, batch.id) == AuditColumn(runs=3, steps=0, unbilled=3)
    end(store, batch, steps=7)
    twin = run("twin", RunStatus.CANCELLED, steps=2)
    store.write(close_orphans, [("twin", twin)], after(60))
    assert store.read(audit_column, batch.id) == AuditColumn(runs=3, steps=16)
    first, following = store.read(known_runs, batch.id, 0, 1)
    rest, end_of_list = store.read(known_runs, batch.id, following or 0, 10)
    assert end_of_list is None
    found = [*first, *rest]
    assert [each.run_id for each in found] == list(run_ids(submission).values())
    assert [each.marker for each in found] == [each.marker for each in submission.attempts]
    assert all(each.ended and each.steps == 7 and each.depth > 0 for each in found)
    (orphan,) = store.read(known_orphans, batch.id)
    assert (orphan.run_id, orphan.steps, orphan.ended, orphan.gone) == ("twin", 2, True, False)


def test_records_tell_submissions_of_this_database_from_those_of_others(store: Store) -> None:
    batch = begin(store, 1)
    [submission] = claim(store, batch)
    token = submission.marker_token
    assert store.read(audit_records, [], [token, "another"]).submissions == {token: False}
    store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    assert store.read(audit_records, [], [token]).submissions == {token: True}
    (run_id,) = run_ids(submission).values()
    assert set(store.read(audit_records, [run_id, "other"], []).runs) == {run_id}
    with store._database.write() as tx:
        tx.execute(update(submissions).values(recovered=True))
    assert store.read(audit_records, [], [token]).submissions == {}


def test_an_orphan_that_has_not_ended_takes_up_a_slot(store: Store) -> None:
    batch = begin(store, 5, concurrency=3)
    [submission] = claim(store, batch, most=1)[:1]
    store.write(add_orphans, batch.id, submission, ["twin-1", "twin-2"], NOW)
    assert store.read(work_left, "alice", batch.id).free_slots < 1
    assert claim(store, batch) == []
    store.write(close_orphans, [("twin-1", None), ("twin-2", None)], NOW)
    assert store.read(open_orphans, batch.id) == []


def test_a_twin_becomes_an_orphan_and_a_run_of_another_database_is_forgotten(store: Store) -> None:
    batch, submission = started(store, jobs=1)
    (found,) = store.read(marked_attempts, batch.id, [submission.marker_token]).values()
    assert (found.is_open, found.needs_run) == (True, False)
    taken = store.write(take_runs, "alice", batch.id, {}, {"twin": found.submission_id}, NOW)
    assert taken == frozenset()
    assert store.read(open_orphans, batch.id) == ["twin"]
    store.write(drop_orphans, ["twin"])
    assert store.read(open_orphans, batch.id) == []


def test_a_job_that_failed_as_unanswered_gets_the_run_that_was_found(store: Store) -> None:
    batch = begin(store, 1)
    [submission] = claim(store, batch)
    decisions, undecided = settle_unanswered(submission, "no answer"), SubmissionState.UNDECIDED
    settle = (submission, undecided, decisions, after(60), "no answer")
    store.write(settle_submission, "alice", *settle)
    assert store.read(batch_counts, batch.id).failed == {FailureCategory.UNANSWERED: 1}
    (found,) = store.read(marked_attempts, batch.id, [submission.marker_token]).values()
    assert found.needs_run
    adopt = {found.attempt_id: "late"}
    assert store.write(take_runs, "alice", batch.id, adopt, {}, after(90)) == {"late"}
    (adopted,) = store.read(runs_in_flight, "alice", batch.id)
    assert (adopted.run_id, adopted.job.attempt, adopted.job.failures) == ("late", 2, 0)
    assert adopted.marker == submission.attempts[0].marker
    end(store, batch, steps=4)
    counts = store.read(batch_counts, batch.id)
    assert counts.jobs[JobState.SUCCEEDED] == 1
    assert counts.steps == 4


def test_losses_are_orphans_and_lost_runs_with_their_cost(store: Store) -> None:
    batch, submission = started(store, jobs=3)
    store.write(add_orphans, batch.id, submission, ["twin", "open"], NOW)
    store.write(close_orphans, [("twin", run("twin", steps=5))], NOW)
    first, *others = store.read(runs_in_flight, "alice", batch.id)
    lost = failure(first, FailureCategory.LOST)
    rest = [success(each, steps=3) for each in others]
    apply_poll(store, "alice", [lost, *rest], [], after(60))
    found = store.read(losses, batch.id)
    assert (found.runs, found.orphans, found.lost) == (5, 2, 1)
    assert (found.steps, found.unbilled, found.typical) == (5, 2, 3)
