"""Looking at a batch: tallies, failures, finished jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from sqlalchemy import Engine, func, select

from batchrunner.model import FailureCategory, JobState, RunStatus
from batchrunner.store import reports
from batchrunner.store.attempt_rows import batch_attempts
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.database import Database
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts, finished_jobs, work_left
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from batchrunner.store.submissions import mark_unanswered
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    keys,
    postpone,
    retry,
    run,
    spec,
    start,
    success,
)

#: Jobs that are read at once in these tests.
PAGE_SIZE = 20
GOAL, AGENT = FailureCategory.GOAL_FAILURE, FailureCategory.AGENT_FAILURE


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PAGE_SIZE", PAGE_SIZE)


def many_finished(store: Store, count: int) -> int:
    batch = begin(store, count, concurrency=count)
    attempts = start(store, batch)
    decisions = [success(attempt, f'"{attempt.job.key}"') for attempt in attempts]
    apply_poll(store, "alice", decisions, [], NOW)
    return batch.id


def taken(finished: Iterable[object]) -> int:
    return sum(1 for _ in finished)


def test_a_batch_without_jobs_is_all_zeros(store: Store) -> None:
    batch = begin(store, 0)
    counts = store.read(batch_counts, batch.id)
    assert (counts.total, counts.open, counts.done, counts.due_at) == (0, 0, 0, None)
    assert set(counts.jobs) == set(JobState)
    standing = store.read(work_left, "alice", batch.id)
    assert (standing.in_flight_here, standing.in_flight_elsewhere, standing.due_at) == (0, 0, None)
    assert list(finished_jobs(store, batch.id)) == []


def test_the_counts_have_each_thing_once(store: Store) -> None:
    batch = begin(store, 9, concurrency=7)
    good, final, again, later, running, *pending = start(store, batch)
    seen = run(running.run_id, RunStatus.RUNNING)
    decisions = [
        success(good, steps=5),
        failure(final, AGENT, steps=2),
        retry(again, after(40), GOAL, steps=1),
        postpone(later, after(30)),
    ]
    apply_poll(store, "alice", decisions, [(running, seen)], after(1))
    on_their_way, *_ = claim(store, batch, now=after(2))  # the last two
    assert store.read(batch_counts, batch.id).unsettled == 0, (
        "their request is under way: there is no doubt"
    )
    store.write(mark_unanswered, "alice", on_their_way, after(3), "no answer")
    counts = store.read(batch_counts, batch.id)
    assert dict(counts.jobs) == {
        JobState.AVAILABLE: 2,
        JobState.RUNNING: 5,
        JobState.SUCCEEDED: 1,
        JobState.FAILED: 1,
        JobState.CANCELLED: 0,
    }
    assert (counts.total, counts.open, counts.done) == (9, 7, 2)
    assert (counts.retrying, counts.queued, counts.unsettled) == (2, len(pending), 2)
    assert (counts.attempts, counts.steps, counts.due_at) == (9, 8, after(30))
    assert counts.failed == {AGENT: 1}
    assert counts.retried == {GOAL: 1, FailureCategory.THROTTLED: 1}


def test_failures_come_in_file_order_with_their_reasons(store: Store) -> None:
    batch = begin(store, [spec(key) for key in "ba"])
    for seconds in (1, 2):
        decisions = [retry(attempt, category=GOAL) for attempt in start(store, batch)]
        apply_poll(store, "alice", decisions, [], after(seconds))
    decisions = [failure(attempt, AGENT) for attempt in start(store, batch)]
    apply_poll(store, "alice", decisions, [], after(3))
    before = store.read(failed_attempts, batch.id, final=False, most=99)
    assert [(f.key, f.number) for f in before] == [("b", 1), ("b", 2), ("a", 1), ("a", 2)]
    final = store.read(failed_attempts, batch.id, final=True, most=99)
    assert [(f.key, f.number, f.category) for f in final] == [("b", 3, AGENT), ("a", 3, AGENT)]
    first = final[0]
    assert (first.message, first.counted, first.job_state) == ("It broke", True, JobState.FAILED)
    assert (first.url, first.closed_at) == ("https://shop.example/b", after(3))
    assert first.run_id is not None
    assert len(store.read(failed_attempts, batch.id, final=False, most=3)) == 3


def test_each_batch_is_counted_alone(store: Store) -> None:
    one = begin(store, 2)
    two = store.write(load_jobs, job_file(3, name="other"), NOW).batch
    apply_poll(store, "alice", [success(attempt, "1") for attempt in start(store, two)], [], NOW)
    assert store.read(batch_counts, one.id).attempts == 0
    assert store.read(batch_counts, two.id).attempts == 3
    assert taken(finished_jobs(store, one.id)) == 0
    assert store.read(work_left, "alice", two.id).due_at is None


def test_finished_jobs_come_in_file_order_whatever_order_they_ended_in(store: Store) -> None:
    batch = begin(store, [spec(key) for key in "cab"])
    for attempt in reversed(start(store, batch)):
        apply_poll(store, "alice", [success(attempt)], [], NOW)
    assert [(job.position, job.key) for job in finished_jobs(store, batch.id)] == [
        (1, "c"),
        (2, "a"),
        (3, "b"),
    ]


def test_a_finished_job_shows_its_last_attempt_and_how_many_there_were(store: Store) -> None:
    batch = begin(store, 2, concurrency=1)
    (first,) = start(store, batch)
    apply_poll(store, "alice", [retry(first, result='"old"', steps=1)], [], NOW)
    (second,) = start(store, batch)
    apply_poll(store, "alice", [success(second, '"new"', steps=2)], [], NOW)
    store.write(cancel_jobs, batch.id, [], NOW)
    done, never_tried = finished_jobs(store, batch.id)
    assert (done.result, done.attempts, done.steps) == ('"new"', 2, 3)
    assert (done.run_id, done.category) == (second.run_id, None)
    assert (never_tried.state, never_tried.attempts) == (JobState.CANCELLED, 0)
    assert (never_tried.result, never_tried.run_id, never_tried.steps) == (None, None, None)


def test_every_finished_job_comes_once_however_many_pages_it_takes(store: Store) -> None:
    count = 2 * PAGE_SIZE + 1
    batch_id = many_finished(store, count)
    finished = list(finished_jobs(store, batch_id))
    assert [job.key for job in finished] == keys(count)
    assert all(job.result == f'"{job.key}"' for job in finished)


def test_jobs_that_finish_while_an_export_reads_are_not_in_it(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, PAGE_SIZE + 3, concurrency=2 * PAGE_SIZE)
    attempts = start(store, batch)
    late = attempts[1]
    apply_poll(store, "alice", [success(a) for a in attempts if a is not late], [], NOW)
    finished = finished_jobs(store, batch.id)
    next(finished)
    apply_poll(open_store(), "alice", [success(late)], [], NOW)
    assert taken(finished) == PAGE_SIZE + 1
    assert taken(finished_jobs(store, batch.id)) == PAGE_SIZE + 3


def test_an_export_shows_final_states_only_even_if_jobs_are_put_back_meanwhile(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, PAGE_SIZE + 2, concurrency=2 * PAGE_SIZE)
    attempts = start(store, batch)
    apply_poll(store, "alice", [failure(attempt) for attempt in attempts], [], NOW)
    finished = finished_jobs(store, batch.id)
    next(finished)
    open_store().write(retry_jobs, batch.id, [], [attempts[-1].job.key], NOW)
    assert {job.state for job in finished} == {JobState.FAILED}


def test_an_export_keeps_nobody_waiting_between_its_pages(
    store: Store, open_store: Callable[[], Store], database: Database
) -> None:
    batch_id = many_finished(store, PAGE_SIZE + 1)
    finished = finished_jobs(store, batch_id)
    next(finished)
    other = Database.open(str(database._engine.url.render_as_string(hide_password=False)))
    with other.write() as tx:
        if tx.dialect.name == "sqlite":
            tx.exec_driver_sql("PRAGMA busy_timeout = 0")
        tx.execute(jobs.update().values(position=jobs.c.position + 1))
    other.close()
    enlist(store, "bob")  # on the very connection that reads the pages
    assert taken(finished) == PAGE_SIZE


def test_a_read_sees_one_moment(postgresql: str) -> None:
    """On SQLite no other can write meanwhile; PostgreSQL must be asked to show one."""
    reader, writer = Database.open(postgresql), Store.open(postgresql)
    count = select(func.count()).select_from(jobs)
    with reader.read() as tx:
        before = tx.execute(count).scalar_one()
        writer.write(load_jobs, job_file(3), NOW)
        assert tx.execute(count).scalar_one() == before == 0
    with reader.read() as tx:
        assert tx.execute(count).scalar_one() == 3
    reader.close()
    writer.close()


def test_times_are_written_so_that_every_tool_reads_and_sorts_them(
    store: Store, engine: Engine
) -> None:
    begin(store, 1)
    with engine.connect() as tx:
        written = tx.exec_driver_sql("SELECT available_at FROM jobs").scalar_one()
    assert written == "2026-09-02T21:00:00.000000Z"


@pytest.mark.parametrize("most", [0, 1])
def test_no_more_failures_are_read_than_were_asked_for(store: Store, most: int) -> None:
    batch = begin(store, 3)
    apply_poll(store, "alice", [failure(attempt) for attempt in start(store, batch)], [], NOW)
    assert len(store.read(failed_attempts, batch.id, final=True, most=most)) == most


def test_all_attempts_of_a_batch_come_in_their_order(store: Store) -> None:
    batch = begin(store, 3, concurrency=3)
    good, bad, open_one = start(store, batch)
    apply_poll(store, "alice", [success(good, steps=5), failure(bad, AGENT)], [], after(1))
    two = store.write(load_jobs, job_file(1, name="other"), NOW).batch
    start(store, two)
    shown = list(batch_attempts(store, batch.id))
    assert [(each.key, each.revision, each.number, each.outcome) for each in shown] == [
        (good.job.key, 1, 1, "succeeded"),
        (bad.job.key, 1, 1, AGENT),
        (open_one.job.key, 1, 1, None),
    ]
    assert (shown[0].steps, shown[0].run_id) == (5, good.run_id)


def test_a_finished_job_knows_the_fields_that_its_schema_names(store: Store) -> None:
    schema = {"type": "object", "properties": {"data": {"type": "object"}}}
    batch = begin(store, [spec("a", options={"output_schema": schema}), spec("b")], concurrency=2)
    decisions = [success(attempt) for attempt in start(store, batch)]
    apply_poll(store, "alice", decisions, [], NOW)
    named = {job.key: job.schema_fields for job in finished_jobs(store, batch.id)}
    assert named == {"a": frozenset({"data"}), "b": frozenset()}
