"""What a user does to a batch while it runs: pause, resume, another bound, cancel by kind."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
from sqlalchemy import text

from batchrunner.model import FailureCategory, JobState, Pause
from batchrunner.store.attempts import apply_poll, request_cancel, runs_in_flight
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, pause_batch, resume_batch, set_concurrency
from batchrunner.store.reports import batch_counts, work_left
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
    rides,
    spec,
    start,
    success,
)

BLOCKED, SYSTEM = FailureCategory.BLOCKED, FailureCategory.SYSTEM_FAILURE


# ---- pause, resume ----


def test_nobody_claims_from_a_paused_batch(store: Store) -> None:
    batch = begin(store, 3)
    enlist(store, "bob")
    store.write(pause_batch, batch.id, "ask the shop", after(1))
    for owner_id in ("alice", "bob"):
        assert claim(store, batch, owner_id, now=after(2)) == []
        standing = store.read(work_left, owner_id, batch.id)
        assert standing.pause == Pause(since=after(1), reason="ask the shop")
        assert standing.due_at == NOW, "it has not come to its end"
    assert store.write(resume_batch, batch.id, after(9))
    assert len(rides(claim(store, batch, "bob", now=after(3)))) == 3
    assert store.read(work_left, "bob", batch.id).pause is None


def test_what_is_in_flight_when_a_batch_is_paused_goes_its_way(store: Store) -> None:
    batch = begin(store, 3, concurrency=2)
    first, second = start(store, batch)
    store.write(pause_batch, batch.id, None, after(1))
    assert len(store.read(runs_in_flight, "alice", batch.id)) == 2
    assert apply_poll(store, "alice", [success(first), retry(second)], [], after(2))
    counts = store.read(batch_counts, batch.id)
    assert (counts.jobs[JobState.SUCCEEDED], counts.jobs[JobState.AVAILABLE]) == (1, 2)
    assert claim(store, batch, now=after(3)) == []


def test_a_pause_is_seen_from_elsewhere_and_outlives_a_load(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store)
    store.write(pause_batch, batch.id, "why \0 not", after(1))
    elsewhere = open_store()
    elsewhere.write(load_jobs, job_file(2), after(2))
    (found,) = elsewhere.read(list_batches)
    assert found.pause == Pause(since=after(1), reason="why \ufffd not")
    assert claim(elsewhere, batch, now=after(3)) == []


def test_a_second_pause_keeps_its_beginning_and_may_give_another_reason(store: Store) -> None:
    batch = begin(store)
    for seconds, reason, shown in ((1, None, None), (2, "a", "a"), (3, None, "a"), (4, "b", "b")):
        store.write(pause_batch, batch.id, reason, after(seconds))
        (found,) = store.read(list_batches)
        assert found.pause == Pause(since=after(1), reason=shown)
    assert store.write(resume_batch, batch.id, after(9))
    assert not store.write(resume_batch, batch.id, after(9)), "it was not paused any more"
    (found,) = store.read(list_batches)
    assert found.pause is None


def test_a_pause_of_one_batch_is_none_of_another(store: Store) -> None:
    batch = begin(store)
    other = store.write(load_jobs, job_file(name="other"), NOW).batch
    store.write(pause_batch, batch.id, None, NOW)
    assert len(rides(claim(store, other))) == 1
    assert not store.write(resume_batch, other.id, after(9))
    assert claim(store, batch) == []


def test_no_claim_that_waited_for_a_pause_gets_past_it(postgresql: str) -> None:
    """The claim must read the pause in its own transaction, behind the batch's lock."""
    store, pausing = Store.open(postgresql), Store.open(postgresql)
    batch = begin(store)
    got: list[object] = []
    claiming = Thread(target=lambda: got.extend(claim(store, batch)))
    with pausing._database.write() as tx:
        tx.execute(text("UPDATE batches SET paused_at = '2026-09-02T21:00:00.000000Z'"))
        claiming.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not tx.execute(waiting).scalar_one():
            assert claiming.is_alive()
    claiming.join()
    assert got == []
    store.close()
    pausing.close()


# ---- another bound ----


def test_another_bound_holds_for_all_owners_from_the_next_claim_on(store: Store) -> None:
    batch = begin(store, 9, concurrency=4)
    enlist(store, "bob")
    running = start(store, batch)
    store.write(set_concurrency, batch.id, 2)
    assert claim(store, batch, "bob") == [], "four run, of two that may"
    apply_poll(store, "alice", [success(a) for a in running[:2]], [], after(1))
    assert claim(store, batch, now=after(1)) == []
    apply_poll(store, "alice", [success(running[2])], [], after(2))
    assert len(rides(claim(store, batch, "bob", now=after(2)))) == 1
    store.write(set_concurrency, batch.id, 6)
    assert len(rides(claim(store, batch, now=after(3)))) == 4


def test_what_was_set_holds_until_the_file_says_something_new(store: Store) -> None:
    batch = begin(store, 1, concurrency=4)
    store.write(set_concurrency, batch.id, 2)
    again = store.write(load_jobs, job_file(2, concurrency=4, max_attempts=5), after(1))
    assert (again.batch.settings.concurrency, again.batch.settings.max_attempts) == (2, 5)
    assert again.before is not None
    assert (again.before.concurrency, again.before.max_attempts) == (2, 3)
    anew = store.write(load_jobs, job_file(2, concurrency=7), after(2))
    assert anew.batch.settings.concurrency == 7
    back = store.write(load_jobs, job_file(2, concurrency=4), after(3))
    assert back.batch.settings.concurrency == 4, "what was set is forgotten"
    assert store.read(list_batches) == [back.batch]


def test_a_new_batch_has_no_settings_before(store: Store) -> None:
    assert store.write(load_jobs, job_file(), NOW).before is None


# ---- cancel by kind ----


def states(store: Store, batch_id: int) -> dict[str, int]:
    return {state.value: n for state, n in store.read(batch_counts, batch_id).jobs.items() if n}


URLS = (
    "https://shop.example/1",
    "https://SHOP.example:8443/2",
    "https://user:word@shop.example/3",
    "https://other.example/?from=https://shop.example/",
    "https://not-shop.example/",
    "https://shop.example.org/",
)


def test_jobs_are_cancelled_by_their_host(store: Store) -> None:
    batch = begin(store, [spec(f"job-{n}", url=url) for n, url in enumerate(URLS)], concurrency=1)
    start(store, batch)
    assert store.write(cancel_jobs, batch.id, [], after(1), hosts=["Shop.example"]) == (2, 1)
    (attempt,) = store.read(runs_in_flight, "alice", batch.id)
    assert attempt.cancel_reason is FailureCategory.RUN_CANCELLED
    assert states(store, batch.id) == {"running": 1, "cancelled": 2, "available": 3}
    assert store.write(cancel_jobs, batch.id, [], after(2), hosts=["nowhere.example"]) == (0, 0)


def test_a_host_may_be_named_with_its_port(store: Store) -> None:
    batch = begin(store, [spec(f"job-{n}", url=url) for n, url in enumerate(URLS)])
    assert store.write(cancel_jobs, batch.id, [], after(1), hosts=["shop.example:8443"]) == (1, 0)


def test_more_jobs_of_a_host_are_cancelled_than_one_statement_names(store: Store) -> None:
    batch = begin(store, 1205)
    assert store.write(cancel_jobs, batch.id, [], after(1), hosts=["shop.example"]) == (1205, 0)


def test_jobs_that_wait_after_a_failure_are_cancelled_by_its_category(store: Store) -> None:
    batch = begin(store, 6, concurrency=5)
    blocked, broken, final, running, _ = start(store, batch)
    decisions = [
        retry(blocked, after(900), BLOCKED),
        retry(broken, after(900), SYSTEM),
        failure(final, BLOCKED),
        retry(running, NOW, BLOCKED),
    ]
    apply_poll(store, "alice", decisions, [], after(1))
    store.write(set_concurrency, batch.id, 2)
    (again,) = rides(claim(store, batch, now=after(2)))
    assert again.job.id == running.job.id, "it met the failure, and is being tried again"
    assert store.write(cancel_jobs, batch.id, [], after(3), categories=[BLOCKED]) == (1, 0)
    expected = {"running": 2, "cancelled": 1, "failed": 1, "available": 2}
    assert states(store, batch.id) == expected
    assert store.write(cancel_jobs, batch.id, [], after(4), categories=[BLOCKED, SYSTEM]) == (1, 0)


@pytest.mark.parametrize(
    ("keys", "hosts", "count"),
    [(["job-0"], ["shop.example"], 1), (["job-3"], ["shop.example"], 0), ([], [], 6)],
)
def test_every_kind_that_is_given_chooses(
    store: Store, keys: list[str], hosts: list[str], count: int
) -> None:
    batch = begin(store, [spec(f"job-{n}", url=url) for n, url in enumerate(URLS)])
    assert store.write(cancel_jobs, batch.id, keys, after(1), hosts=hosts) == (count, 0)


# ---- a deadline ----


def test_a_run_that_is_called_back_for_a_deadline_is_known_as_such_to_whoever_watches(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, 3, concurrency=3)
    late, wanted_no_more, overdue = start(store, batch)
    store.write(cancel_jobs, batch.id, [wanted_no_more.job.key], after(1))
    why = FailureCategory.TIMED_OUT
    store.write(request_cancel, "alice", [overdue.attempt_id], why)
    every = [each.attempt_id for each in (late, wanted_no_more, overdue)]
    store.write(request_cancel, "alice", every, why, for_deadline=True)
    seen = [
        (a.cancel_reason, a.cancelled_for_deadline)
        for a in open_store().read(runs_in_flight, "alice", batch.id)
    ]
    assert seen == [(why, True), (FailureCategory.RUN_CANCELLED, False), (why, False)]


def test_a_run_that_lingered_with_its_result_is_known_as_such_to_whoever_watches(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, 2, concurrency=2)
    lingering, overdue = start(store, batch)
    why = FailureCategory.TIMED_OUT
    store.write(request_cancel, "alice", [lingering.attempt_id], why, after_result=True)
    store.write(request_cancel, "alice", [overdue.attempt_id], why)
    assert [
        a.cancelled_after_result for a in open_store().read(runs_in_flight, "alice", batch.id)
    ] == [
        True,
        False,
    ]
