"""Whose runs a batch's are: keys are known again, and another account's takes nothing over."""

from __future__ import annotations

from datetime import datetime

import pytest

from batchrunner.model import Batch, RunStatus, Submission
from batchrunner.store.account_keys import KeysChanged, account_check_runs, admit_key, known_keys
from batchrunner.store.attempts import apply_poll
from batchrunner.store.audit import audit_scope, known_runs
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.errors import KeyReplaced
from batchrunner.store.leases import rescue_attempts
from batchrunner.store.orphans import add_orphans, close_orphans, schedule_late_check
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered, record_runs, settle_submission
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    job_file,
    postpone,
    rides,
    run,
    run_ids,
    start,
    success,
)

FIRST, OTHER = "salt:one", "salt:two"


def tied(store: Store, jobs: int = 3) -> Batch:
    batch = begin(store, jobs)
    assert store.write(admit_key, batch.id, FIRST, beside=False)
    return batch


def test_a_batch_knows_no_key_before_its_first_run(store: Store) -> None:
    batch = begin(store)
    assert store.read(known_keys, batch.id) == ()
    assert store.write(admit_key, batch.id, FIRST, beside=False)
    assert store.read(known_keys, batch.id) == (FIRST,)


def test_another_key_takes_the_place_of_the_first_where_nothing_is_open(store: Store) -> None:
    batch = tied(store)
    apply_poll(store, "alice", [success(attempt) for attempt in start(store, batch)], [], NOW)
    assert store.write(admit_key, batch.id, OTHER, beside=False)
    assert store.read(known_keys, batch.id) == (OTHER,)


def test_submissions_from_before_a_key_was_replaced_may_be_on_another_account(store: Store) -> None:
    batch = tied(store)
    assert store.read(audit_scope, batch.id).former_submission == 0
    apply_poll(store, "alice", [success(attempt) for attempt in start(store, batch)], [], NOW)
    assert store.write(admit_key, batch.id, "salt:again", beside=True)
    assert store.read(audit_scope, batch.id).former_submission == 0
    assert store.write(admit_key, batch.id, OTHER, beside=False)
    (runs, _) = store.read(known_runs, batch.id, 0, 9)
    assert {run.submission for run in runs} == {1}
    assert store.read(audit_scope, batch.id).former_submission == 1


def test_another_key_is_not_taken_while_runs_may_be_alive(store: Store) -> None:
    batch = tied(store)
    start(store, batch)
    assert not store.write(admit_key, batch.id, OTHER, beside=False)
    assert store.read(known_keys, batch.id) == (FIRST,)


def test_another_key_is_not_taken_while_a_create_is_not_settled(store: Store) -> None:
    batch = tied(store)
    (submission,) = claim(store, batch)
    assert not store.write(admit_key, batch.id, OTHER, beside=False)
    store.write(mark_unanswered, "alice", submission, NOW, "ReadTimeout")
    assert not store.write(admit_key, batch.id, OTHER, beside=False)


def test_another_key_is_not_taken_while_an_orphan_is_alive(store: Store) -> None:
    batch = tied(store, 1)
    submission = given_up(store, batch)
    store.write(add_orphans, batch.id, submission, ["run-late"], NOW)
    assert not store.write(admit_key, batch.id, OTHER, beside=False)
    assert store.read(account_check_runs, batch.id) == ["run-late"]
    store.write(close_orphans, [("run-late", run("run-late", RunStatus.CANCELLED))], NOW)
    assert store.write(admit_key, batch.id, OTHER, beside=False)


def test_another_key_is_not_taken_while_runs_may_turn_up_late(store: Store) -> None:
    batch = tied(store, 1)
    submission = given_up(store, batch, watch_at=after(60))
    assert not store.write(admit_key, batch.id, OTHER, beside=False)
    store.write(schedule_late_check, "alice", submission, None)
    assert store.write(admit_key, batch.id, OTHER, beside=False)


def given_up(store: Store, batch: Batch, watch_at: datetime | None = None) -> Submission:
    (submission,) = claim(store, batch)
    decisions = [postpone(ride) for ride in submission.attempts]
    store.write(
        settle_submission,
        "alice",
        submission,
        SubmissionState.ABSENT,
        decisions,
        NOW,
        "absent",
        watch_at,
    )
    return submission


def test_a_key_of_the_same_account_stands_beside_the_first(store: Store) -> None:
    batch = tied(store)
    start(store, batch)
    assert store.write(admit_key, batch.id, OTHER, beside=True)
    assert store.read(known_keys, batch.id) == (FIRST, OTHER)


def test_what_another_batch_has_open_is_no_reason(store: Store) -> None:
    batch = tied(store)
    start(store, batch)
    other = store.write(load_jobs, job_file(1, name="other"), NOW).batch
    assert store.write(admit_key, other.id, OTHER, beside=False)


def test_nothing_is_claimed_with_a_key_whose_place_another_took(store: Store) -> None:
    batch = tied(store)
    assert store.write(admit_key, batch.id, OTHER, beside=False)
    with pytest.raises(KeyReplaced):
        store.write(claim_jobs, "alice", batch.id, 100, NOW, FIRST)
    assert store.read(batch_counts, batch.id).attempts == 0
    assert len(rides(store.write(claim_jobs, "alice", batch.id, 100, NOW, OTHER))) == 3


def test_runs_are_not_taken_over_with_a_key_whose_place_another_took(store: Store) -> None:
    batch = tied(store)
    enlist(store, "bob")
    assert store.write(admit_key, batch.id, OTHER, beside=False)
    store.write(claim_jobs, "bob", batch.id, 100, NOW, OTHER)
    with pytest.raises(KeyReplaced):
        store.write(rescue_attempts, "alice", batch.id, NOW, exited=["bob"], key=FIRST)
    assert store.read(work_left, "bob", batch.id).in_flight_here == 3
    assert len(store.write(rescue_attempts, "alice", batch.id, NOW, exited=["bob"], key=OTHER)) == 3


def test_an_account_is_told_by_what_may_be_alive(store: Store) -> None:
    batch = begin(store, 4, concurrency=2)
    done = start(store, batch)
    apply_poll(store, "alice", [success(attempt) for attempt in done], [], NOW)
    alive = start(store, batch)
    assert store.read(account_check_runs, batch.id) == [a.run_id for a in reversed(alive)]


def test_without_anything_alive_an_account_is_recognized_by_the_newest_submission(
    store: Store,
) -> None:
    batch = begin(store, 3, concurrency=2)
    assert store.read(account_check_runs, batch.id) == []
    apply_poll(store, "alice", [success(attempt) for attempt in start(store, batch)], [], NOW)
    (newest,) = start(store, batch)
    apply_poll(store, "alice", [success(newest)], [], NOW)
    assert store.read(account_check_runs, batch.id) == [newest.run_id]


def test_an_account_is_reported_in_one_look(store: Store) -> None:
    batch = begin(store, 130, concurrency=130)
    for submission in claim(store, batch):
        store.write(record_runs, "alice", submission, run_ids(submission), NOW)
    assert len(store.read(account_check_runs, batch.id)) == 100


def test_of_several_that_start_at_once_the_first_digest_counts(store: Store) -> None:
    batch = begin(store)
    read = store.read(known_keys, batch.id)
    assert store.write(admit_key, batch.id, "first", beside=False, read=read)
    with pytest.raises(KeysChanged):
        store.write(admit_key, batch.id, "second", beside=False, read=read)
    assert store.read(known_keys, batch.id) == ("first",)
