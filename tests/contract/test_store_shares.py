"""Claims of several live owners: each takes its share of a batch's slots."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, event

from batchrunner.model import Batch
from batchrunner.policy.fair_shares import LeftSlots
from batchrunner.store.attempts import apply_decisions, request_cancel_at_stop, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.fair_shares import rivals, want_nothing, want_slots
from batchrunner.store.leases import end_owner, register_owner, rescue_attempts
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs
from tests.fakes import NOW, after, enlist, job_file, owner, run_ids, spec, success


@pytest.fixture
def batch(store: Store) -> Batch:
    """Load a batch of ten slots, on which alice and bob work."""
    file = job_file([spec(f"job-{n}") for n in range(60)], concurrency=10)
    batch = store.write(load_jobs, file, NOW).batch
    for name in ("alice", "bob"):
        store.write(register_owner, owner(name), NOW, batch.id)
    return batch


def claimed(store: Store, batch: Batch, name: str, left: LeftSlots, seconds: float) -> int:
    found = store.write(
        claim_jobs, name, batch.id, 100, after(seconds), left=left, new_token=store.new_token
    )
    for submission in found:
        store.write(record_runs, name, submission, run_ids(submission), after(seconds))
    return sum(len(each.attempts) for each in found)


def finish(store: Store, batch: Batch, name: str, count: int, seconds: float) -> None:
    """End some of an owner's runs."""
    ended = store.read(runs_in_flight, name, batch.id)[:count]
    store.write(apply_decisions, name, [success(each) for each in ended], after(seconds))


def test_each_of_two_owners_takes_half_at_once(store: Store, batch: Batch) -> None:
    assert claimed(store, batch, "alice", LeftSlots(), 0) == 5
    assert claimed(store, batch, "bob", LeftSlots(), 0) == 5
    assert claimed(store, batch, "alice", LeftSlots(), 0) == 0


def test_an_owner_that_is_alone_takes_all_at_once(store: Store, batch: Batch) -> None:
    store.write(end_owner, "bob", NOW)
    assert claimed(store, batch, "alice", LeftSlots(), 0) == 10


def test_what_another_leaves_is_taken_after_one_look(store: Store, batch: Batch) -> None:
    left = LeftSlots()
    assert claimed(store, batch, "alice", left, 0) == 5
    assert claimed(store, batch, "alice", left, 1) == 0
    assert claimed(store, batch, "alice", left, 2) == 5


def test_an_owner_above_its_share_leaves_the_slots_that_it_frees(
    store: Store, batch: Batch
) -> None:
    store.write(want_nothing, "bob")
    left = LeftSlots()
    assert claimed(store, batch, "alice", left, 0) == 10
    store.write(want_slots, "bob", batch.id, after(30))
    finish(store, batch, "alice", 3, 30)
    assert claimed(store, batch, "alice", left, 30) == 0
    assert claimed(store, batch, "bob", LeftSlots(), 31) == 3


def test_who_asked_for_slots_long_ago_and_has_none_is_not_waited_for(
    store: Store, batch: Batch
) -> None:
    assert claimed(store, batch, "alice", LeftSlots(), 5) == 10


def test_a_slow_owner_keeps_its_share_while_its_runs_are_in_flight(
    store: Store, batch: Batch
) -> None:
    assert claimed(store, batch, "bob", LeftSlots(), 0) == 5
    finish(store, batch, "bob", 4, 20)
    assert claimed(store, batch, "alice", LeftSlots(), 20) == 5
    assert claimed(store, batch, "bob", LeftSlots(), 21) == 4


def test_dead_draining_and_other_batches_owners_have_no_share(store: Store, batch: Batch) -> None:
    enlist(store, "carol")
    assert store.read(rivals, "alice", batch.id, NOW) == ["bob"]
    assert store.read(rivals, "alice", batch.id + 1, NOW) == []
    assert claimed(store, batch, "bob", LeftSlots(), 0) == 5
    store.write(want_nothing, "bob")
    assert store.read(rivals, "alice", batch.id, NOW) == []
    store.write(want_slots, "bob", batch.id, NOW)
    assert store.read(rivals, "alice", batch.id, NOW) == ["bob"]
    assert store.read(rivals, "alice", batch.id, after(60)) == [], "its lease has ended"
    store.write(rescue_attempts, "alice", batch.id, after(61))
    assert store.read(rivals, "alice", batch.id, NOW) == []


def test_a_claim_of_an_owner_that_is_alone_reads_no_attempts_for_its_share(
    store: Store, batch: Batch
) -> None:
    store.write(end_owner, "bob", NOW)
    seen: list[str] = []
    note = lambda *args: seen.append(args[2])  # noqa: E731
    event.listen(Engine, "before_cursor_execute", note)
    try:
        claimed(store, batch, "alice", LeftSlots(), 0)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    about_owners = [each for each in seen if "wants_until" in each]
    assert len(about_owners) == 2


def test_a_stop_is_on_disk_before_the_cancel(store: Store, batch: Batch) -> None:
    claimed(store, batch, "alice", LeftSlots(), 0)
    first, *others = store.read(runs_in_flight, "alice", batch.id)
    store.write(request_cancel_at_stop, "bob", [first.attempt_id])
    assert not store.read(runs_in_flight, "alice", batch.id)[0].cancelled_at_stop, "not its own"
    store.write(request_cancel_at_stop, "alice", [first.attempt_id])
    found = store.read(runs_in_flight, "alice", batch.id)
    assert [each.cancelled_at_stop for each in found] == [True, *[False] * len(others)]
    assert found[0].cancel_reason is None
