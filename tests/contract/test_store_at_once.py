"""Several at once: on one database nothing is claimed twice, and no limit is exceeded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import text

from batchrunner.model import JobState
from batchrunner.store.attempts import apply_poll, runs_in_flight
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs
from batchrunner.store.database import Database
from batchrunner.store.index_build import missing_indexes
from batchrunner.store.leases import register_owner, rescue_attempts
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.revision import HEAD
from batchrunner.store.store import Store
from batchrunner.store.submissions import record_runs
from tests.fakes import (
    FIRST,
    NOW,
    begin,
    claim,
    enlist,
    failure,
    job_file,
    owner,
    run_ids,
    start,
    success,
)
from tests.sweeps import some

EIGHT = [f"owner-{number}" for number in range(8)]
JOBS, BOUND = 200, 30

OPEN_AND_LOAD = """
import sys
from datetime import UTC, datetime
from batchrunner.model import JobFile, JobSpec, Settings
from batchrunner.store.batches import load_jobs
from batchrunner.store.store import Store

specs = (JobSpec(key="a", url="https://shop.example/", goal="Get the price"),)
sys.stdin.read()
store = Store.open(sys.argv[1])
now = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)
job_file = JobFile(name="prices", settings=Settings(), specs=specs)
print(store.write(load_jobs, job_file, now).added)
store.close()
"""


def at_once(work: Callable[[str], list[str]], owners: Sequence[str] = EIGHT) -> list[str]:
    """Let owners work, beginning at the same moment; return what each brings."""
    barrier = Barrier(len(owners))

    def begin_together(owner_id: str) -> list[str]:
        barrier.wait()
        return work(owner_id)

    with ThreadPoolExecutor(len(owners)) as pool:
        return [key for brought in pool.map(begin_together, owners) for key in brought]


def test_eight_claimers_take_every_job_once_and_keep_to_the_bound(
    store: Store, address: str
) -> None:
    batch = store.write(load_jobs, job_file(JOBS, concurrency=BOUND), NOW).batch
    in_flight: list[int] = []

    def work(owner_id: str) -> list[str]:
        brought: list[str] = []
        with closing(Store.open(address)) as mine:
            enlist(mine, owner_id)
            while mine.read(batch_counts, batch.id).jobs[JobState.AVAILABLE]:
                for submission in claim(mine, batch, owner_id, most=7):
                    mine.write(record_runs, owner_id, submission, run_ids(submission), NOW)
                standing = mine.read(work_left, owner_id, batch.id)
                in_flight.append(standing.in_flight_here + standing.in_flight_elsewhere)
                attempts = mine.read(runs_in_flight, owner_id, batch.id)
                apply_poll(mine, owner_id, [success(attempt) for attempt in attempts], [], NOW)
                brought += [attempt.job.key for attempt in attempts]
        return brought

    brought = Counter(at_once(work))
    assert (len(brought), set(brought.values())) == (JOBS, {1})
    assert 0 < max(in_flight) <= BOUND
    counts = store.read(batch_counts, batch.id)
    assert (counts.jobs[JobState.SUCCEEDED], counts.attempts) == (JOBS, JOBS)


def test_of_eight_rescuers_one_takes_each_attempt(store: Store, address: str) -> None:
    batch = begin(store, 40, concurrency=40)
    attempts = start(store, batch)
    enlist(store, *EIGHT)

    def work(owner_id: str) -> list[str]:
        with closing(Store.open(address)) as mine:
            mine.write(rescue_attempts, owner_id, FIRST, NOW, exited=["alice"])
            watched = mine.read(runs_in_flight, owner_id, batch.id)
            return [attempt.job.key for attempt in watched]

    assert sorted(at_once(work)) == [attempt.job.key for attempt in attempts]


def test_a_zombie_and_its_rescuer_never_both_close_an_attempt(store: Store, address: str) -> None:
    batch = begin(store, 40, concurrency=40)
    attempts = start(store, batch)
    enlist(store, *EIGHT)

    def work(owner_id: str) -> list[str]:
        with closing(Store.open(address)) as mine:
            if owner_id == EIGHT[0]:
                mine.write(rescue_attempts, owner_id, FIRST, NOW, exited=["alice"])
            writer = owner_id if owner_id == EIGHT[0] else "alice"
            brought = []
            for attempt in attempts:
                applied = apply_poll(mine, writer, [failure(attempt)], [], NOW)
                brought += [decision.attempt.job.key for decision in applied]
            return brought

    assert sorted(at_once(work)) == [attempt.job.key for attempt in attempts]
    assert store.read(batch_counts, batch.id).jobs[JobState.FAILED] == 40


@pytest.mark.sweep
def test_loading_one_file_eight_times_at_once_adds_its_jobs_once(
    store: Store, address: str
) -> None:
    def work(_: str) -> list[str]:
        with closing(Store.open(address)) as mine:
            return ["added"] * mine.write(load_jobs, job_file(50), NOW).added

    assert len(at_once(work)) == 50


@pytest.mark.sweep
def test_a_cancel_amid_claims_and_decisions_leaves_nothing_to_do(
    store: Store, address: str
) -> None:
    batch = store.write(load_jobs, job_file(JOBS, concurrency=BOUND), NOW).batch

    def work(owner_id: str) -> list[str]:
        with closing(Store.open(address)) as mine:
            enlist(mine, owner_id)
            for _ in range(6):
                if owner_id == EIGHT[0]:
                    mine.write(cancel_jobs, batch.id, [], NOW)
                    continue
                attempts = start(mine, batch, owner_id)
                apply_poll(mine, owner_id, [success(attempt) for attempt in attempts], [], NOW)
        return []

    at_once(work)
    store.write(cancel_jobs, batch.id, [], NOW)
    counts = store.read(batch_counts, batch.id)
    assert (counts.open, counts.total) == (0, JOBS)


def test_eight_threads_may_open_a_new_database_at_once(address: str) -> None:
    def work(owner_id: str) -> list[str]:
        with closing(Store.open(address)) as mine:
            mine.write(register_owner, owner(owner_id), NOW)
            return [owner_id]

    assert at_once(work) == EIGHT


@pytest.mark.sweep
@pytest.mark.parametrize("processes", some((3, 8), quick=1))
def test_processes_may_open_a_new_database_at_once(
    address: str, tmp_path: Path, processes: int
) -> None:
    program = tmp_path / "open.py"
    program.write_text(OPEN_AND_LOAD)
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(program), address]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=here, text=True
        )
        for _ in range(processes)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.close()  # all wait for this
        process.stdin = None
    said = [process.communicate()[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * processes
    assert sorted(said) == ["0"] * (processes - 1) + ["1"]


def test_several_may_build_missing_indexes_at_once(address: str) -> None:
    """None waits in a statement that another's build waits for: that would never end."""
    dropped = ("ix_jobs_queue", "ix_jobs_ready", "ix_jobs_host_queue")
    with closing(Store.open(address)) as store, store._database.write() as tx:
        for name in dropped:
            tx.execute(text(f"DROP INDEX {name}"))

    def work(owner_id: str) -> list[str]:
        Store.open(address).close()
        return [owner_id]

    at_once(work, EIGHT[:3])
    with closing(Store.open(address)) as store, store._database.read() as tx:
        assert not missing_indexes(tx)


def test_two_may_look_at_once_at_what_a_new_database_would_hold(address: str) -> None:
    def work(owner_id: str) -> list[str]:
        database = Database.connect(address)
        with closing(database), database.trial() as tx:
            assert tx.execute(text("SELECT count(*) FROM jobs")).scalar() == 0
        return [owner_id]

    assert at_once(work, EIGHT[:2]) == EIGHT[:2]


def test_a_database_that_many_made_at_once_is_migrated_once(address: str) -> None:
    def work(owner_id: str) -> list[str]:
        Store.open(address).close()
        return [owner_id]

    at_once(work)
    with closing(Store.open(address)) as store:
        enlist(store, "alice")
        with store._database.read() as tx:
            versions = tx.execute(text("SELECT version_num FROM alembic_version"))
            assert versions.scalars().all() == [HEAD]
