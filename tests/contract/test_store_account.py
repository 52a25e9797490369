"""Where the hours and credits of a batch went, and what kept it from going on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import Engine, text

from batchrunner.model import Batch, FailureCategory
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import CostCause, Hold, TimeAndCostShare
from batchrunner.policy.create_outcome import settle_absent
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batch_reads import current_hold
from batchrunner.store.batches import bind_to_api, load_jobs
from batchrunner.store.budget import set_step_price
from batchrunner.store.controls import cancel_jobs, pause_batch, resume_batch
from batchrunner.store.holds import end_hold, start_hold
from batchrunner.store.leases import end_owner
from batchrunner.store.orphans import add_orphans, close_orphans
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.store.store_time import LEASE
from batchrunner.store.submissions import settle_submission
from batchrunner.store.time_and_cost import batch_time_and_cost, final_job_keys, past_runs
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    postpone,
    retry,
    run,
    start,
    success,
)


def stages(store: Store, batch: Batch, seconds: float) -> dict[TimeBucket, float]:
    found = batch_time_and_cost(store, batch.id, after(seconds)).buckets
    return {stage: span.total_seconds() for stage, span in found.items() if span}


def test_each_attempt_is_in_one_part_and_the_parts_are_the_counts(store: Store) -> None:
    batch = begin(store, 6, concurrency=5)
    good, bad, again, _, _ = start(store, batch)
    decisions = [
        success(good, steps=5),
        failure(bad, FailureCategory.GOAL_FAILURE, steps=2),
        retry(again, after(40), FailureCategory.BLOCKED, steps=3),
    ]
    apply_poll(store, "alice", decisions, [], after(10))
    found = batch_time_and_cost(store, batch.id, after(10))
    ten = timedelta(seconds=10)
    assert found.causes == {
        CostCause.SUCCEEDED: TimeAndCostShare(attempts=1, steps=5, time=ten),
        FailureCategory.GOAL_FAILURE: TimeAndCostShare(attempts=1, steps=2, time=ten),
        FailureCategory.BLOCKED: TimeAndCostShare(attempts=1, steps=3, time=ten),
        CostCause.IN_FLIGHT: TimeAndCostShare(attempts=2, unbilled=2, time=2 * ten),
    }
    assert found.whole.steps == store.read(batch_counts, batch.id).steps == 10
    assert (found.jobs, found.time) == (6, 6 * ten)


def test_orphans_are_among_the_credits(store: Store) -> None:
    batch = begin(store, 1)
    (submission,) = claim(store, batch)
    store.write(
        settle_submission,
        "alice",
        submission,
        SubmissionState.ABSENT,
        settle_absent(submission, NOW),
        NOW,
        "lost",
    )
    store.write(add_orphans, batch.id, submission, ["stray-1", "stray-2"], NOW)
    store.write(close_orphans, [("stray-1", run("stray-1", steps=3))], NOW)
    found = batch_time_and_cost(store, batch.id, NOW)
    assert found.causes[CostCause.ORPHANS] == TimeAndCostShare(attempts=2, unbilled=1, steps=3)
    assert found.causes[FailureCategory.UNREACHABLE] == TimeAndCostShare(attempts=1)
    assert found.whole.steps == store.read(batch_counts, batch.id).steps


def test_time_is_told_apart_by_who_was_at_work_and_what_kept_them_back(store: Store) -> None:
    batch = store.write(load_jobs, job_file(1), NOW).batch
    enlist(store, "alice", now=after(100))
    store.write(pause_batch, batch.id, None, after(110))
    assert store.write(resume_batch, batch.id, after(130))
    store.write(start_hold, "alice", batch.id, after(150), "no credits", after(140))
    store.write(end_hold, "alice", batch.id, after(145))
    store.write(pause_batch, batch.id, None, after(150))
    assert stages(store, batch, 155) == {
        TimeBucket.UNATTENDED: 100,
        TimeBucket.PAUSED: 20 + 5,
        TimeBucket.CREDITS: 5,
        TimeBucket.TURN: 10 + 10 + 5,
    }
    store.write(end_owner, "alice", after(155))
    assert store.write(resume_batch, batch.id, after(155))
    assert stages(store, batch, 200)[TimeBucket.UNATTENDED] == 145


def test_a_hold_of_an_owner_that_died_ends_with_its_lease(store: Store) -> None:
    batch = begin(store, 1)
    store.write(start_hold, "alice", batch.id, after(30), "no credits", NOW)
    gone = LEASE.total_seconds()
    assert stages(store, batch, gone + 20) == {TimeBucket.CREDITS: gone, TimeBucket.UNATTENDED: 20}


def test_a_hold_shows_since_when_and_why_until_it_is_released(store: Store) -> None:
    batch = begin(store, 1)
    enlist(store, "bob")
    assert store.read(current_hold, batch.id, NOW) is None
    store.write(start_hold, "alice", batch.id, after(2), "out of credits", after(1))
    store.write(start_hold, "alice", batch.id, after(6), "still out", after(2))
    assert store.read(current_hold, batch.id, after(3)) == Hold(
        since=after(1), check_at=after(6), reason="still out"
    )
    store.write(start_hold, "bob", batch.id, after(5), "still out", after(3))
    found = store.read(current_hold, batch.id, after(4))
    assert found is not None
    assert (found.since, found.check_at) == (after(1), after(5)), "the next of them to try"
    store.write(end_hold, "alice", batch.id, after(4))
    store.write(end_hold, "alice", batch.id, after(9))
    found = store.read(current_hold, batch.id, after(5))
    assert found is not None
    assert found.since == after(3)
    assert store.read(current_hold, batch.id, after(5 + LEASE.total_seconds())) is None, (
        "bob is gone"
    )
    store.write(end_owner, "bob", after(6))
    assert store.read(current_hold, batch.id, after(6)) is None
    other = store.write(load_jobs, job_file(1, name="other"), NOW).batch
    assert store.read(current_hold, other.id, after(5)) is None


def test_waits_for_credits_are_no_retries(store: Store) -> None:
    batch = begin(store, 1)
    (submission,) = claim(store, batch)
    dry = [postpone(submission.attempts[0], after(30), FailureCategory.BILLING_FAILURE)]
    store.write(
        settle_submission, "alice", submission, SubmissionState.REFUSED, dry, NOW, "no credits"
    )
    assert stages(store, batch, 40) == {TimeBucket.CREDITS: 30, TimeBucket.TURN: 10}


def test_jobs_of_an_older_program_are_counted_from_when_their_batch_was_made(
    store: Store, engine: Engine
) -> None:
    batch = begin(store, 2)
    store.write(load_jobs, job_file(3), after(50))
    assert batch_time_and_cost(store, batch.id, after(60)).time == timedelta(seconds=60 + 60 + 10)
    with engine.begin() as tx:
        tx.execute(text("UPDATE jobs SET loaded_at = NULL"))
    assert batch_time_and_cost(store, batch.id, after(60)).time == timedelta(seconds=3 * 60)


def test_the_past_is_what_finished_jobs_took_on_the_same_api(store: Store) -> None:
    batch = begin(store, 3, concurrency=2)
    store.write(bind_to_api, batch.id, "https://api.example")
    first, second = start(store, batch)
    apply_poll(store, "alice", [success(first, steps=7), retry(second, steps=1)], [], after(5))
    (second, _) = start(store, batch, now=after(10))
    apply_poll(store, "alice", [success(second, steps=2)], [], after(13))
    found = store.read(past_runs, "https://api.example")
    assert {(each.host, each.steps, each.time.total_seconds()) for each in found} == {
        ("shop.example", 7, 5),
        ("shop.example", 3, 5 + 3),
    }
    assert store.read(past_runs, "sandbox") == []
    assert store.read(final_job_keys, batch.id) == {first.job.key, second.job.key}


def test_what_a_finished_job_cost_is_reported_exactly_where_the_rate_is_known(store: Store) -> None:
    batch = begin(store, 2, concurrency=1)
    (attempt,) = start(store, batch)
    apply_poll(store, "alice", [success(attempt, steps=7)], [], NOW)
    store.write(cancel_jobs, batch.id, [], NOW)
    assert [job.cost for job in finished_jobs(store, batch.id)] == [None, None]
    store.write(set_step_price, batch.id, Decimal("0.0155"))
    assert [job.cost for job in finished_jobs(store, batch.id)] == ["0.1085", None]
