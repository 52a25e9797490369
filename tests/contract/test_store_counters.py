"""The numbers of a batch that are kept are those of a recount, whatever changed its jobs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select, update

from batchrunner.model import JobState
from batchrunner.store import counters
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.counter_names import NUMBERS_AGREE, Number, Numbers
from batchrunner.store.counters import NOBODY, add_numbers, drift, recount
from batchrunner.store.database import Database
from batchrunner.store.health import consistency_errors
from batchrunner.store.leases import end_owner
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import batch_counters, batches, owners
from batchrunner.store.store import Store
from tests.fakes import (
    NOW,
    after,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    retry,
    start,
    success,
    suspect,
)


def test_a_difference_is_found_and_a_recount_removes_it(store: Store) -> None:
    batch = begin(store, 3)
    expected = store.read(batch_counts, batch.id)
    store.write(add_numbers, batch.id, NOBODY, Numbers({(Number.STEPS, ""): 7}))
    assert store.read(drift, batch.id) == {(Number.STEPS, ""): -7}
    assert store.read(consistency_errors) == {NUMBERS_AGREE: 1}
    assert store.write(recount, batch.id) == {(Number.STEPS, ""): -7}
    assert store.read(consistency_errors) == {}
    assert store.read(batch_counts, batch.id) == expected


def test_a_batch_of_an_older_version_is_read_before_it_is_counted(
    store: Store, database: Database
) -> None:
    batch = begin(store, 3)
    claim(store, batch)
    expected = store.read(batch_counts, batch.id)
    with database.write() as tx:
        tx.execute(batch_counters.delete())
        tx.execute(update(batches).values(counted=False))
    assert store.read(batch_counts, batch.id) == expected
    store.write(recount, batch.id)
    assert store.read(batch_counts, batch.id) == expected
    assert not store.read(drift, batch.id)


def test_numbers_of_an_owner_that_ended_are_kept_without_it(store: Store) -> None:
    batch = begin(store, 3)
    claim(store, batch)
    expected = store.read(batch_counts, batch.id)
    store.write(end_owner, "alice", after(1))
    with store._database.read() as tx:
        owners = set(tx.execute(batch_counters.select()).scalars())
    assert owners
    assert store.read(batch_counts, batch.id) == expected
    assert not store.read(drift, batch.id)


def test_many_changes_do_not_count_a_batch_that_an_older_version_may_change(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_COMPARED", 1)
    batch = begin(store, 3)
    with database.write() as tx:
        tx.execute(batch_counters.delete())
        tx.execute(update(batches).values(counted=False))
        tx.execute(update(owners).values(counts=False))
    store.write(cancel_jobs, batch.id, ["job-0001", "job-0002"], NOW)
    store.write(retry_jobs, batch.id, [], ["job-0001", "job-0002"], after(1))
    with database.read() as tx:
        assert not tx.execute(select(batches.c.counted)).scalar_one()
    assert store.read(batch_counts, batch.id).jobs[JobState.AVAILABLE] == 3
    store.write(end_owner, "alice", after(2))
    store.write(cancel_jobs, batch.id, ["job-0001"], after(3))
    with database.read() as tx:
        assert tx.execute(select(batches.c.counted)).scalar_one()
    assert not store.read(drift, batch.id)


def test_what_a_user_changes_is_counted(store: Store) -> None:
    batch = begin(store, 3)
    store.write(cancel_jobs, batch.id, ["job-0001", "job-0002"], NOW)
    assert not store.read(drift, batch.id)
    store.write(cancel_jobs, batch.id, [], NOW)
    store.write(retry_jobs, batch.id, [], ["job-0001"], after(1))
    assert not store.read(drift, batch.id)


def test_numbers_are_those_of_a_recount_after_work_at_once(
    open_store: Callable[[], Store], store: Store
) -> None:
    """Two runners claim and end jobs, a user cancels and retries some, and others are recounted."""
    batch = store.write(load_jobs, job_file(60, concurrency=24), NOW).batch
    enlist(store, "alice", "bob")
    barrier = Barrier(4)

    def runner(owner_id: str) -> None:
        mine = open_store()
        barrier.wait()
        for _ in range(4):
            opened = start(mine, batch, owner_id)
            ends = [(success, suspect, retry, failure)[each.job.id % 4](each) for each in opened]
            apply_poll(mine, owner_id, ends, [], NOW)

    def user() -> None:
        mine = open_store()
        barrier.wait()
        for first in range(1, 5):
            some = [f"job-{number:04}" for number in range(first, 60, 7)]
            mine.write(cancel_jobs, batch.id, some, NOW)
            mine.write(retry_jobs, batch.id, [], some, NOW)

    def doctor() -> None:
        mine = open_store()
        barrier.wait()
        for _ in range(4):
            assert not mine.write(recount, batch.id)

    with ThreadPoolExecutor(4) as pool:
        work = [pool.submit(runner, name) for name in ("alice", "bob")]
        work += [pool.submit(user), pool.submit(doctor)]
        for each in work:
            each.result()
    assert store.read(batch_counts, batch.id).attempts
    assert not store.read(drift, batch.id)
