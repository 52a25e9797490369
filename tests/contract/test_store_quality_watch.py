"""The check of the data of a running batch: what it reads, and how it stops a batch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import update

from batchrunner.model import Batch, JobState, OpenAttempt
from batchrunner.model.quality import QualityReason, QualityWord
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import find_batch, load_jobs
from batchrunner.store.controls import pause_batch, resume_batch
from batchrunner.store.errors import LeaseLost
from batchrunner.store.leases import end_owner
from batchrunner.store.quality_watch import (
    all_results,
    newest_results,
    open_jobs_by_host,
    results_since,
    stop_for_quality,
)
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from tests.fakes import (
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    spec,
    start,
    success,
    suspect,
)

WHY = QualityReason(
    kind="coverage", word=QualityWord.BAD, text="`price` is empty", column="price", count=12
)


def stop(
    store: Store,
    batch: Batch,
    owner: str = "alice",
    results_of: tuple[int, ...] = (),
    since: datetime | None = None,
) -> bool:
    return store.write(stop_for_quality, owner, batch.id, [WHY], results_of, since, after(10))


def in_flight(store: Store, jobs: int = 3, most: int = 2) -> tuple[Batch, list[OpenAttempt]]:
    batch = begin(store, jobs, concurrency=most)
    return batch, start(store, batch)


# ---- reading ----


def test_results_are_read_once_in_the_order_in_which_they_were_recorded(store: Store) -> None:
    batch, watched = in_flight(store, 4, 4)
    first, second, third, fourth = watched
    assert apply_poll(store, "alice", [success(fourth, '{"price": 1}')], [], after(1))
    assert apply_poll(store, "alice", [suspect(first, "[]")], [], after(2))
    read = store.read(newest_results, batch.id, None, 10, None)
    by_time = sorted(read, key=lambda each: each.closed_at)
    assert [each.attempt_id for each in by_time] == [fourth.attempt_id, first.attempt_id]
    assert [each.good for each in by_time] == [True, False]
    assert by_time[0].fields is not None
    assert by_time[0].fields.filled == {"price"}
    assert len(store.read(newest_results, batch.id, None, 1, None)) == 1

    assert apply_poll(store, "alice", [success(second), failure(third)], [], after(3))
    known = [each.attempt_id for each in read]
    (new,) = store.read(results_since, batch.id, None, after(2), known, None)
    assert new.attempt_id == second.attempt_id, "a failed run has no result"


def test_all_results_are_read_once_however_many_were_recorded_at_one_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchrunner.store.quality_watch.READ_PAGE", 2)
    batch, watched = in_flight(store, 6, 6)
    assert apply_poll(store, "alice", [success(watched[5])], [], after(1))
    assert apply_poll(store, "alice", [success(each) for each in watched[:5]], [], after(2))
    read = [each.attempt_id for each in all_results(store, batch.id, None)]
    assert read == [each.attempt_id for each in (watched[5], *watched[:5])]


def test_results_of_superseded_revisions_and_of_runs_before_a_moment_are_not_read(
    store: Store,
) -> None:
    batch, watched = in_flight(store, 3, 3)
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(1))
    with store._database.write() as tx:
        this = jobs.c.id == watched[0].job.id
        tx.execute(update(jobs).where(this).values(superseded=True))
    assert len(store.read(newest_results, batch.id, None, 10, None)) == 2
    assert store.read(newest_results, batch.id, after(1), 10, None) == []


def test_results_say_what_the_same_question_brought_in_another_batch(store: Store) -> None:
    older = begin(store, [spec("a"), spec("b"), spec("c", goal="Get the name")])
    enlist(store, "alice")
    for attempt in start(store, older):
        assert apply_poll(store, "alice", [success(attempt, '{"price": 1}')], [], after(1))
    file = job_file([spec("a"), spec("b"), spec("c")], name="newer")
    newer = store.write(load_jobs, file, after(2)).batch
    watched = start(store, newer, now=after(2))
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(3))
    read = store.read(newest_results, newer.id, None, 10, older.id)
    held = {each.url.rpartition("/")[2]: each.held_before for each in read}
    assert held == {"a": {"price"}, "b": {"price"}, "c": None}


def test_jobs_that_are_left_are_counted_by_host(store: Store) -> None:
    batch, watched = in_flight(store)
    assert apply_poll(store, "alice", [success(watched[0])], [], after(1))
    assert store.read(open_jobs_by_host, batch.id) == {"shop.example": 2}


# ---- stopping ----


def test_a_batch_that_is_stopped_submits_nothing_and_collects_what_is_in_flight(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch, watched = in_flight(store)
    enlist(store, "bob")
    assert stop(store, batch)
    elsewhere = open_store()
    for owner in ("alice", "bob"):
        assert claim(elsewhere, batch, owner, now=after(11)) == []
        left = elsewhere.read(work_left, owner, batch.id)
        assert left.quality_stop is not None
        assert left.quality_stop.reasons == (WHY,)
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(12))
    assert store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED] == 2
    found = store.read(find_batch, batch.name)
    assert found is not None
    assert found.quality_stop is not None
    assert found.quality_stop.at == after(10)
    assert found.pause is not None
    assert found.pause.reason == "the data went bad: `price` is empty"


def test_resume_lets_it_go_on_and_counts_only_what_begins_later(store: Store) -> None:
    batch, watched = in_flight(store)
    assert stop(store, batch)
    assert store.write(resume_batch, batch.id, after(20))
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(21))
    assert not stop(store, batch), "it was decided before the resume"
    assert store.read(work_left, "alice", batch.id).quality_stop is None
    assert claim(store, batch, now=after(22))
    assert stop(store, batch, since=after(20)) is False, "no job waits any more"


def test_a_second_process_stops_a_batch_only_once(store: Store) -> None:
    batch, _ = in_flight(store)
    enlist(store, "bob")
    assert stop(store, batch)
    assert not stop(store, batch, "bob")


def test_a_pause_by_the_user_keeps_its_reason(store: Store) -> None:
    batch, _ = in_flight(store)
    store.write(pause_batch, batch.id, "ask the shop", after(1))
    assert stop(store, batch)
    found = store.read(find_batch, batch.name)
    assert found is not None
    assert found.pause is not None
    assert (found.pause.since, found.pause.reason) == (after(1), "ask the shop")
    assert found.quality_stop is not None


def test_a_process_that_lost_its_lease_stops_nothing(store: Store) -> None:
    batch, _ = in_flight(store)
    store.write(end_owner, "alice", after(1))
    with pytest.raises(LeaseLost):
        stop(store, batch)
    assert store.read(work_left, "alice", batch.id).quality_stop is None


def test_results_that_do_not_count_any_more_stop_nothing(store: Store) -> None:
    batch, watched = in_flight(store, 4, 3)
    assert apply_poll(store, "alice", [success(each) for each in watched], [], after(1))
    ids = tuple(each.attempt_id for each in watched)
    with store._database.write() as tx:
        this = jobs.c.id == watched[0].job.id
        tx.execute(update(jobs).where(this).values(superseded=True))
    assert not stop(store, batch, results_of=ids)
    assert stop(store, batch, results_of=ids[1:])
