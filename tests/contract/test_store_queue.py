"""A claim finds the next jobs in a time that does not grow with the jobs that it passes over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection

from batchrunner.model import Batch, HostRule, JobSpec
from batchrunner.model.hosts import MAX_PROBES, host_of
from batchrunner.store import due_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.dialect import has_server
from batchrunner.store.reports import work_left
from batchrunner.store.store import Store
from tests.fakes import NOW, after, begin, claim, rides, spec

LATER = after(3600).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
AT = NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
#: Jobs that can be claimed, behind all others.
FREE = 5
LIMITED = {"hosts": {"full.test": HostRule(concurrency=1)}}


def fill(tx: Connection, batch: Batch, count: int) -> None:
    """Add jobs behind the first ones: of two hosts in turns, then a few of another one."""
    numbers = (
        f"SELECT n FROM generate_series(1, {count + FREE}) AS g(n)"
        if has_server(tx)
        else "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g"
        f" WHERE n < {count + FREE}) SELECT n FROM g"
    )
    tx.exec_driver_sql(
        "INSERT INTO jobs (batch_id, position, key, url, host, goal, options,"
        " output_schema_digest, state, available_at)"
        f" SELECT {batch.id}, n + 9, 'k' || n, 'https://h.test/', CASE WHEN n > {count}"
        " THEN 'free.test' WHEN n / 2 * 2 = n THEN 'dead.test' ELSE 'full.test' END,"
        f" 'Read', '{{}}', '', 'available', '{AT}' FROM ({numbers}) AS numbers"
    )


def park(tx: Connection, batch: Batch) -> None:
    for host in ("dead.test", "full.test"):
        tx.exec_driver_sql(
            "INSERT INTO host_breakers (batch_id, host, passed, failed, consecutive_failures,"
            f" parked_at, probe_at, failed_probes) VALUES ({batch.id}, '{host}', 0, 9, 9, '{AT}',"
            f" '{LATER}', 0)"
        )


def change(columns: str) -> Callable[[Connection, Batch], None]:
    def apply(tx: Connection, _: Batch) -> None:
        tx.exec_driver_sql(f"UPDATE jobs SET {columns} WHERE host IN ('dead.test', 'full.test')")

    return apply


def choose_part(tx: Connection, batch: Batch) -> None:
    tx.exec_driver_sql("UPDATE jobs SET part = (1 = 1)")
    park(tx, batch)


#: What fills the head of the queue.
SHAPES = {
    "parked hosts": park,
    "not due yet": change(f"available_at = '{LATER}'"),
    "unconfirmed refusals": change("unconfirmed = (1 = 1)"),
    "a part of parked hosts": choose_part,
}


def blocked(store: Store, count: int, shape: str) -> Batch:
    """Make a queue whose head is filled with so many jobs that cannot be claimed."""
    batch = begin(store, 0, concurrency=3)
    store.write(fill, batch, count)
    store.write(SHAPES[shape], batch)
    return batch


def work_of(store: Store, function: Any, *args: Any, **kwargs: Any) -> int:
    """Return how many hundreds of steps SQLite's machine needs."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with store._database.write() as tx:
        connection: Any = tx.connection.driver_connection
        connection.set_progress_handler(count, 100)
        function(tx, *args, **kwargs)
        connection.set_progress_handler(None, 0)
        tx.rollback()
    return steps


@pytest.mark.parametrize("shape", SHAPES)
def test_what_can_be_claimed_is_found_behind_a_blocked_head(store: Store, shape: str) -> None:
    batch = blocked(store, 1200, shape)
    given = {"part": "part" in shape}
    claimed = rides(store.write(claim_jobs, "alice", batch.id, 100, NOW, **given))
    assert [host_of(ride.url) for ride in claimed] == ["h.test"] * 3
    assert [ride.job.key for ride in claimed] == ["k1201", "k1202", "k1203"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_claim_and_the_check_do_not_grow_with_the_blocked_head(store: Store, shape: str) -> None:
    given = {"part": "part" in shape}
    batch = blocked(store, 1200, shape)
    few = work_of(store, claim_jobs, "alice", batch.id, 100, NOW, **given)
    check = work_of(store, work_left, "alice", batch.id, **given)
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM jobs"))
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM host_breakers"))
    store.write(fill, batch, 3600)
    store.write(SHAPES[shape], batch)
    assert work_of(store, claim_jobs, "alice", batch.id, 100, NOW, **given) <= few * 1.3 + 5
    assert work_of(store, work_left, "alice", batch.id, **given) <= check * 1.3 + 5


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_the_check_does_not_grow_with_jobs_of_hosts_that_were_given_up(store: Store) -> None:
    batch = blocked(store, 4000, "parked hosts")
    store.write(
        lambda tx: tx.exec_driver_sql(f"UPDATE host_breakers SET failed_probes = {MAX_PROBES}")
    )
    assert not store.read(work_left, "alice", batch.id).given_up
    assert work_of(store, work_left, "alice", batch.id) < 20
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM jobs WHERE host = 'free.test'"))
    assert store.read(work_left, "alice", batch.id).given_up
    assert work_of(store, work_left, "alice", batch.id) < 20


def test_the_last_host_is_reached_behind_many_without_a_due_job(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("JOBS_PER_PAGE", 2), ("MAX_PLACES", 4)):
        monkeypatch.setattr(due_jobs, name, most)
    batch = blocked(store, 1200, "parked hosts")

    def spread(tx: Connection) -> None:
        tx.exec_driver_sql("UPDATE jobs SET host = 'zzz.test' WHERE host = 'free.test'")
        tx.exec_driver_sql(
            f"UPDATE jobs SET host = 'later' || id, available_at = '{LATER}' WHERE position > 1100"
            " AND host = 'dead.test'"
        )

    store.write(spread)
    assert [ride.job.key for ride in rides(claim(store, batch))] == ["k1201", "k1202", "k1203"]


def test_hosts_take_turns_behind_a_blocked_head_and_keep_their_limits(store: Store) -> None:
    jobs: list[JobSpec] = [spec(f"d{n}", url=f"https://dead.test/{n}") for n in range(600)]
    for host in ("a.test", "full.test", "c.test"):
        jobs += [spec(f"{host}-{n}", url=f"https://{host}/{n}") for n in range(4)]
    batch = begin(store, jobs, concurrency=5, **LIMITED)
    store.write(park, batch)
    store.write(lambda tx: tx.exec_driver_sql("DELETE FROM host_breakers WHERE host = 'full.test'"))
    keys = [ride.job.key for ride in rides(claim(store, batch))]
    assert keys == ["a.test-0", "a.test-1", "full.test-0", "c.test-0", "c.test-1"]
