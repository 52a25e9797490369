"""Statements of text read the same as Core, through SQLAlchemy and on sqlite3 alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batchrunner.model import FailureCategory, Finding, JobState, RunHelp, RunStatus, Verdict
from batchrunner.model.quality import QualityWord
from batchrunner.model.row_choice import RowChoice
from batchrunner.store import batch_reads, count_reads, failure_reads
from batchrunner.store.attempts import apply_poll
from batchrunner.store.batches import load_jobs
from batchrunner.store.controls import cancel_jobs, pause_batch
from batchrunner.store.errors import StoreError
from batchrunner.store.file_store import FileStore
from batchrunner.store.holds import start_hold
from batchrunner.store.quality import record_quality
from batchrunner.store.reports import batch_counts
from batchrunner.store.schema import artifacts, attempts, host_breakers, jobs
from batchrunner.store.serialization import json_text
from batchrunner.store.shown_jobs import shown_job_ids
from batchrunner.store.store import Store
from tests.contract import core_reads
from tests.fakes import (
    NOW,
    after,
    begin,
    failure,
    job_file,
    keys,
    postpone,
    retry,
    run,
    start,
    success,
    suspect,
)

AGENT, GOAL = FailureCategory.AGENT_FAILURE, FailureCategory.GOAL_FAILURE


def filled(store: Store) -> int:
    """Fill a batch with something of everything, beside another one with a run in flight."""
    batch = begin(store, 12, concurrency=10)
    good, odd, lost, again, later, running, *_ = start(store, batch)
    seen = run(running.run_id, RunStatus.RUNNING)
    finding = Finding(rule="error_page", path="title", seen="404")
    decisions = [
        success(good, steps=5),
        suspect(odd, '{"title": "404"}', finding),
        failure(lost, AGENT, steps=2),
        retry(again, after(40), GOAL, steps=1),
        postpone(later, after(30)),
    ]
    apply_poll(store, "alice", decisions, [(running, seen)], after(1))
    store.write(cancel_jobs, batch.id, keys(12)[-1:], after(2))
    store.write(start_hold, "alice", batch.id, after(99), "no credits", after(2))
    store.write(pause_batch, batch.id, "for lunch", after(2))
    store.write(record_quality, batch.id, QualityWord.LOOK)
    store.write(_add_rest, batch.id, good.attempt_id, lost.attempt_id)
    start(store, store.write(load_jobs, job_file(1, name="other"), NOW).batch)
    return batch.id


def _add_rest(tx: Any, batch_id: int, good: int, lost: int) -> None:
    row = {"attempt_id": good, "batch_id": batch_id, "name": ""}
    kept = {"kind": "html", "step": 1, "state": "stored", "size": 7, "path": "a.html"}
    asked = {"kind": "listing", "step": 0, "state": "wanted", "size": None, "path": None}
    tx.execute(artifacts.insert(), [{**row, **kept}, {**row, **asked}])
    said = json_text(asdict(RunHelp(url="https://help.example", message="Log in")))
    tx.execute(attempts.update().where(attempts.c.id == lost).values(help=said))
    beside = '{"message": "slow"}'
    tx.execute(attempts.update().where(attempts.c.id == good).values(run_error=beside))
    health = {"passed": 1, "failed": 9, "consecutive_failures": 9, "failed_probes": 2}
    times = {"parked_at": NOW, "probe_at": after(60)}
    host = {"batch_id": batch_id, "host": "shop.example"}
    tx.execute(host_breakers.insert().values(**host, **health, **times))


#: What is read, and with which arguments behind the batch.
READS: list[tuple[Any, Any, dict[str, Any]]] = [
    (count_reads.read_counts, batch_counts, {}),
    (batch_reads.recorded_quality, core_reads.recorded_quality, {}),
    (batch_reads.current_hold, core_reads.current_hold, {"now": after(3)}),
    (batch_reads.current_hold, core_reads.current_hold, {"now": after(3600)}),
    (batch_reads.parked_hosts, core_reads.parked_hosts, {}),
    (batch_reads.artifact_counts, core_reads.artifact_counts, {}),
    (failure_reads.failed_attempts, core_reads.failed_attempts, {"final": True, "most": 9}),
    (failure_reads.failed_attempts, core_reads.failed_attempts, {"final": False, "most": 9}),
    (failure_reads.failed_attempts, core_reads.failed_attempts, {"final": False, "most": 1}),
    (failure_reads.advice_counts, core_reads.advice_counts, {"most": 9}),
    (failure_reads.run_errors, core_reads.run_errors, {"most": 9}),
    (failure_reads.cancelled_jobs, core_reads.cancelled_jobs, {"most": 9}),
    (failure_reads.suspect_results, core_reads.suspect_results, {}),
]


CHOICES = [
    RowChoice(states=states, categories=categories, verdicts=verdicts, join=join, last_good=good)
    for states in (frozenset(), frozenset({JobState.SUCCEEDED}))
    for categories in (frozenset(), frozenset({AGENT, GOAL}))
    for verdicts in (frozenset(), frozenset({Verdict.SUSPECT}))
    for join in (False, True)
    for good in (False, True)
]


def test_exports_show_the_same_jobs_as_in_core_on_each_connection(
    store: Store, address: str
) -> None:
    batch = filled(store)
    rerun = store.read(shown_job_ids, batch, RowChoice(states=frozenset({JobState.SUCCEEDED})))
    store.write(_run_anew, rerun[0])
    connections = [store] if "://" in address else [store, FileStore(address)]
    for each in connections:
        for choice in CHOICES:
            found = each.read(shown_job_ids, batch, choice)
            assert found == store.read(core_reads.shown_job_ids, batch, choice), choice
        assert len(each.read(shown_job_ids, batch, RowChoice(join=True))) == 12
        each.close()


def _run_anew(tx: Any, job_id: int) -> None:
    """Add a revision of a job that waits, and that replaces the one there is."""
    row = dict(tx.execute(jobs.select().where(jobs.c.id == job_id)).one()._mapping)
    tx.execute(jobs.update().where(jobs.c.id == job_id).values(superseded=True))
    new = {"state": "available", "attempt": 0, "finished_at": None, "replaces": job_id}
    del row["id"]
    tx.execute(jobs.insert().values(**{**row, **new, "revision": 2}))


def still(workers: list[batch_reads.Worker]) -> list[batch_reads.Worker]:
    """Return workers without what changes while a server's clock goes on."""
    return [replace(each, silent=timedelta(0)) for each in workers]


def test_text_reads_the_same_as_core_on_each_connection(store: Store, address: str) -> None:
    batch = filled(store)
    connections = [store] if "://" in address else [store, FileStore(address)]
    for each in connections:
        for text, core, more in READS:
            expected = store.read(core, batch, **more)
            assert expected or more.get("now") == after(3600), f"nothing tests {text.__name__}"
            assert each.read(text, batch, **more) == expected, text.__name__
        for of_batch in (None, batch):
            found = each.read(batch_reads.active_workers, after(3), of_batch)
            workers = store.read(core_reads.active_workers, after(3), of_batch)
            assert still(found) == still(workers) != []
        assert each.read(batch_reads.list_batches) == store.read(core_reads.list_batches)
        assert each.read(batch_reads.batches_in_flight) == store.read(core_reads.batches_in_flight)
    for each in connections[1:]:
        assert each._full is None, "SQLAlchemy was opened"  # type: ignore[attr-defined]
        each.close()


def test_a_file_of_an_older_schema_is_migrated_as_by_any_start(tmp_path: Path) -> None:
    path = str(tmp_path / "old.db")
    with closing(Store.open(path)) as store:
        begin(store, 2)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute("UPDATE batches SET name = 'known'")
        old.execute("UPDATE alembic_version SET version_num = 'none of ours'")
    with pytest.raises(StoreError, match="newer batchrunner"):
        FileStore(path)


def test_what_cannot_be_read_is_explained_as_by_the_whole_store(tmp_path: Path) -> None:
    path = str(tmp_path / "odd.db")
    with closing(Store.open(path)) as store:
        begin(store, 2)
    with closing(FileStore(path)) as store:
        with closing(sqlite3.connect(path)) as stranger, stranger:
            stranger.execute("UPDATE batches SET settings = 'no JSON'")
        with pytest.raises(StoreError, match="cannot be read"):
            store.read(batch_reads.list_batches)
        Path(path).unlink()
        with pytest.raises(StoreError, match="was removed"):
            store.read(batch_reads.list_batches)
