"""Measures what a runner asks all the time, in a long queue beside a short one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from sqlalchemy import Connection

from batchrunner.model import JobFile, JobSpec, Owner, Settings
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import claim_jobs
from batchrunner.store.leases import register_owner
from batchrunner.store.reports import batch_counts, work_left
from batchrunner.store.store import Store
from benchmarks.figures import Figure

_NOW = datetime(2026, 12, 1, tzinfo=UTC)
_ME = "00000000-0000-4000-8000-000000000001"
_CLAIMED = 4
_REPEATS = 50


class _Undo(Exception):
    """Rolls a claim back, so that the next one finds the same queue."""


def figures(*, small: bool) -> Iterator[Figure]:
    """Yield the time of what a runner asks all the time, by the length of the queue."""
    short_queue, long_queue = (1_000, 10_000) if small else (10_000, 1_000_000)
    with tempfile.TemporaryDirectory() as name:
        short = _milliseconds(Path(name) / "short.db", short_queue)
        long = _milliseconds(Path(name) / "long.db", long_queue)
    for what, floor in short.items():
        yield Figure(
            part="claims",
            name=what,
            unit="CPU ms",
            ours=long[what],
            floor=floor,
            floor_name=f"the same with {short_queue:,} queued, not {long_queue:,}",
        )


def _milliseconds(path: Path, queued: int) -> dict[str, float]:
    store = Store.open(str(path))
    specs = (
        JobSpec(key=f"k{n}", url=f"https://shop{n % 100}.example/p/{n}", goal="Read the price")
        for n in range(queued)
    )
    owner = Owner(id=_ME, machine="m", pid=1, process_started_at="")
    store.write(register_owner, owner, _NOW)
    file = JobFile(name="queue", settings=Settings(concurrency=_CLAIMED), specs=tuple(specs))
    batch = store.write(load_jobs, file, _NOW).batch.id
    asked: dict[str, Callable[[], object]] = {
        f"a claim of {_CLAIMED} jobs": lambda: _claim(store, batch),
        "whether work is left": lambda: store.read(work_left, _ME, batch),
        "counts of a batch": lambda: store.read(batch_counts, batch),
    }
    try:
        return {what: median(map(_timed, [ask] * _REPEATS)) for what, ask in asked.items()}
    finally:
        store.close()


def _claim(store: Store, batch: int) -> None:
    def claim(tx: Connection) -> None:
        claimed = claim_jobs(tx, _ME, batch, _CLAIMED, _NOW)
        assert sum(len(submission.attempts) for submission in claimed) == _CLAIMED
        raise _Undo

    with suppress(_Undo):
        store.write(claim)


def _timed(ask: Callable[[], object]) -> float:
    begun = time.process_time()
    ask()
    return (time.process_time() - begun) * 1000
