"""The promises of the design as checks; every harness that runs a batch uses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select

from batchrunner.model import JobState
from batchrunner.schema import attempts, jobs, orphans, results
from batchrunner.store import Store


class RemoteRun(Protocol):
    """A run as the sandbox's own ledger has it."""

    @property
    def run_id(self) -> str: ...

    @property
    def steps(self) -> int: ...

    @property
    def fate(self) -> str: ...


@dataclass(frozen=True)
class Books:
    """Everything that the store holds of a batch, read with plain statements of our own."""

    jobs: list[Any]
    attempts: list[Any]
    results: dict[int, str]
    orphans: dict[str, Any]

    @classmethod
    def of(cls, store: Store, batch_id: int) -> Books:
        """Read them."""
        with store._database.read() as tx:
            return cls(
                jobs=list(tx.execute(select(jobs).where(jobs.c.batch_id == batch_id))),
                attempts=list(tx.execute(select(attempts).where(attempts.c.batch_id == batch_id))),
                results={row.attempt_id: row.body for row in tx.execute(select(results))},
                orphans={row.run_id: row for row in tx.execute(select(orphans))},
            )


def check_always(store: Store, batch_id: int, loaded: int) -> None:
    """Check what holds at every instant, whatever happened."""
    books = Books.of(store, batch_id)
    assert len(books.jobs) == loaded, "a job was lost"
    tally = store.tally(batch_id)
    assert sum(tally.jobs.values()) == loaded, "the tally does not add up"
    opened = Counter(a.job_id for a in books.attempts if a.closed_at is None)
    succeeded = Counter(a.job_id for a in books.attempts if a.outcome == "succeeded")
    assert max(opened.values(), default=0) <= 1, "two open attempts for one job"
    assert max(succeeded.values(), default=0) <= 1, "a job succeeded twice"
    counted = Counter(a.job_id for a in books.attempts if a.counted and a.outcome != "succeeded")
    newest: dict[int, int] = {}
    for attempt in books.attempts:
        newest[attempt.job_id] = max(newest.get(attempt.job_id, 0), attempt.number)
    for job in books.jobs:
        assert (job.state == JobState.RUNNING) == (opened[job.id] == 1), job
        assert (job.state == JobState.SUCCEEDED) == (succeeded[job.id] == 1), job
        # Fewer where the user put the job back: then they are counted anew.
        assert job.failures <= counted[job.id], job
        assert job.attempt == newest.get(job.id, 0), job


def check_end(store: Store, batch_id: int, loaded: int, ledger: Collection[RemoteRun]) -> None:
    """Check what holds when a batch has come to its end: the books balance with the API's."""
    check_always(store, batch_id, loaded)
    books = Books.of(store, batch_id)
    assert all(JobState(job.state).is_final for job in books.jobs), "a job is not final"
    known = Counter(a.run_id for a in books.attempts if a.run_id is not None)
    assert max(known.values(), default=1) == 1, "a run belongs to two attempts"
    # A run with the fate "lost" is shown to nobody and costs nothing: where the answer of its
    # create was lost as well, no client can know of it.
    hidden = {run.run_id for run in ledger if run.fate == "lost"}
    created = {run.run_id for run in ledger}
    assert set(known) <= created, "an attempt has a run that the API never created"
    assert not set(known) & set(books.orphans), "a run that an attempt has is called an orphan"
    strays = created - hidden - set(known)
    assert strays <= set(books.orphans), "a run was created that belongs to nobody"
    assert all(row.ended_at for row in books.orphans.values()), "an orphan was left alive"
    bill = {run.run_id: run.steps for run in ledger}
    for attempt in books.attempts:
        if attempt.outcome == "succeeded":
            assert attempt.id in books.results, "a success without a result on disk"
        if attempt.steps is not None:
            assert attempt.steps == bill[attempt.run_id], "another bill than the API's"
