"""A part of a batch: chosen once, kept over restarts and processes, and never exceeded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Thread

from sqlalchemy import select, update

from batchrunner.model import Batch, Budget, Canary, JobSpec
from batchrunner.model.part import ChosenPart, Part
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import budget_status, claim_jobs
from batchrunner.store.part import choose_part
from batchrunner.store.reports import work_left
from batchrunner.store.schema import jobs
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs
from tests.fakes import NOW, begin, enlist, job_file, retry, rides, run_ids, spec, success


def limit(count: int) -> Part:
    return Part(jobs=count, spread=False)


def sample(count: int) -> Part:
    return Part(jobs=count, spread=True)


def on_hosts(count: int, hosts: int) -> Iterable[JobSpec]:
    return [spec(f"{at:04}", url=f"https://host-{at % hosts}.test/{at}") for at in range(count)]


def chosen(store: Store, batch: Batch) -> set[str]:
    marked = select(jobs.c.key).where(jobs.c.batch_id == batch.id, jobs.c.part)
    return set(store.read(lambda tx: tx.execute(marked).scalars().all()))


def claim_part(store: Store, batch: Batch, owner_id: str = "alice") -> list[str]:
    found = store.write(claim_jobs, owner_id, batch.id, 100, NOW, part=True)
    for submission in found:
        store.write(record_runs, owner_id, submission, run_ids(submission), NOW)
    return [ride.job.key for ride in rides(found)]


def finish_all(store: Store, batch: Batch, owner_id: str = "alice") -> None:
    runs = store.read(runs_in_flight, owner_id, batch.id)
    apply_poll(store, owner_id, [success(run) for run in runs], [], NOW)


def test_a_limit_takes_the_first_jobs_of_the_file_and_no_others(store: Store) -> None:
    batch = begin(store, 10, concurrency=100)
    assert store.write(choose_part, batch.id, limit(3)) == ChosenPart(jobs=3, open=3)
    first = claim_part(store, batch)
    assert len(first) == 3
    finish_all(store, batch)
    assert claim_part(store, batch) == []
    assert store.read(work_left, "alice", batch.id, True).due_at is None, "the part is done"
    assert store.read(work_left, "alice", batch.id).due_at is not None, "the batch is not"


def test_the_same_part_again_adds_nothing_and_a_larger_one_the_difference(store: Store) -> None:
    batch = begin(store, on_hosts(30, 5), concurrency=100)
    for part in (sample(6), sample(6), limit(6)):
        assert store.write(choose_part, batch.id, part).jobs == 6
    before = chosen(store, batch)
    claim_part(store, batch)
    finish_all(store, batch)
    assert store.write(choose_part, batch.id, sample(6)) == ChosenPart(jobs=6, open=0)
    assert store.write(choose_part, batch.id, sample(8)) == ChosenPart(jobs=8, open=2)
    assert before < chosen(store, batch)


def test_a_part_holds_after_a_restart_and_over_processes(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, 20, concurrency=100)
    enlist(store, "bob")
    store.write(choose_part, batch.id, limit(4))
    assert len(claim_part(store, batch)) == 4
    other = open_store()
    other.write(choose_part, batch.id, limit(4))
    assert claim_part(other, batch, "bob") == []
    finish_all(store, batch)
    assert other.write(choose_part, batch.id, limit(4)).open == 0
    assert claim_part(other, batch, "bob") == []


def test_two_processes_that_choose_at_once_choose_one_part(
    store: Store, open_store: Callable[[], Store]
) -> None:
    batch = begin(store, on_hosts(40, 7), concurrency=100)
    stores = [open_store() for _ in range(2)]
    threads = [
        Thread(target=each.write, args=(choose_part, batch.id, sample(9))) for each in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chosen(store, batch)) == 9


def test_a_sample_is_spread_over_the_hosts_and_always_the_same(store: Store) -> None:
    def sampled(name: str) -> set[str]:
        file = job_file(on_hosts(100, 10), name=name)
        batch = store.write(load_jobs, file, NOW).batch
        store.write(choose_part, batch.id, sample(20))
        return chosen(store, batch)

    found = sampled("one")
    assert sorted(int(key) % 10 for key in found) == sorted([*range(10)] * 2)
    assert sampled("two") == found


def test_a_job_of_the_part_is_retried_within_it(store: Store) -> None:
    batch = begin(store, 10, concurrency=100)
    store.write(choose_part, batch.id, limit(1))
    (first,) = claim_part(store, batch)
    (run,) = store.read(runs_in_flight, "alice", batch.id)
    apply_poll(store, "alice", [retry(run)], [], NOW)
    assert claim_part(store, batch) == [first]


def test_jobs_that_are_final_or_not_current_are_not_chosen(store: Store) -> None:
    batch = begin(store, 6, concurrency=2)
    store.write(claim_jobs, "alice", batch.id, 100, NOW)
    rows = select(jobs.c.id).where(jobs.c.batch_id == batch.id).order_by(jobs.c.position)
    third, fourth = store.read(lambda tx: tx.execute(rows).scalars().all())[2:4]
    over = {"state": "cancelled", "finished_at": NOW}
    store.write(lambda tx: tx.execute(update(jobs).where(jobs.c.id == third).values(**over)))
    gone = {**over, "withdrawn": True}
    store.write(lambda tx: tx.execute(update(jobs).where(jobs.c.id == fourth).values(**gone)))
    assert store.write(choose_part, batch.id, limit(10)) == ChosenPart(jobs=4, open=4)


def test_a_part_has_the_jobs_of_the_canary_first(store: Store) -> None:
    batch = begin(store, on_hosts(20, 4), concurrency=100, canary=Canary(jobs=3))
    store.write(choose_part, batch.id, limit(2))
    assert len(claim_part(store, batch)) == 2, "a part within the canary does not wait for the rest"
    store.write(choose_part, batch.id, limit(6))
    canary = select(jobs.c.key).where(jobs.c.batch_id == batch.id, jobs.c.canary)
    assert set(store.read(lambda tx: tx.execute(canary).scalars().all())) <= chosen(store, batch)


def test_the_next_cost_is_that_of_a_job_of_the_part(store: Store) -> None:
    cheap, dear = ({"agent_config": {"max_steps": steps}} for steps in (5, 90))
    batch = begin(
        store, [spec("a", options=dear), spec("b", options=cheap)], budget=Budget(steps=50)
    )
    store.write(choose_part, batch.id, limit(1))
    status = store.read(budget_status, batch.id, NOW, part=True)
    assert status is not None
    assert (status.needs, status.used_up) == (90, True), "the batch does not wait for ever"
