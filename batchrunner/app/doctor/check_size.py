"""Reports what a database takes on disk: what grows, and what can be removed by which command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from batchrunner.app.doctor.finding import Finding, ok
from batchrunner.text.format import byte_size, counted

if TYPE_CHECKING:
    from batchrunner.store.disk_usage import DiskUsage

#: Series that are named.
MAX_NAMED = 3


def findings(usage: DiskUsage, db: str, journal: int) -> Iterator[Finding]:
    """Report the size; *db* is the option that names the database, *journal* a journal's bytes."""
    yield ok("size", f"{byte_size(usage.total)} on disk{_per_job(usage)}")
    if usage.queued_jobs or usage.finished_jobs:
        yield ok("growth", f"what grows: {_growth(usage)}")
    if journal:
        yield ok("journal_size", f"its journal takes {byte_size(journal)} more for now")
    yield from _removable(usage, db)


def _per_job(usage: DiskUsage) -> str:
    each = [
        f"{byte_size(size)} per {kind} job"
        for kind, size in (("queued", usage.queued_bytes), ("finished", usage.finished_bytes))
        if size is not None
    ]
    return f": about {', '.join(each)}" if each else ""


def _growth(usage: DiskUsage) -> str:
    parts = [(each.table, each.bytes) for each in usage.tables]
    parts.append(("indexes", sum(each.index_bytes for each in usage.tables)))
    largest = sorted(parts, key=lambda part: -part[1])
    return ", ".join(f"{name} {byte_size(size)}" for name, size in largest)


def _removable(usage: DiskUsage, db: str) -> Iterator[Finding]:
    if usage.free:
        found = (
            f"{byte_size(usage.free)} are free pages; to give them back: batchrunner compact{db}"
        )
        yield ok("free_pages", found)
    if usage.dead_rows:
        found = f"{counted(usage.dead_rows, 'removed row')} to clean up: batchrunner compact{db}"
        yield ok("dead_rows", found)
    for each in usage.old_editions[:MAX_NAMED]:
        size = byte_size(each.jobs * (usage.finished_bytes or 0))
        found = f"{each.series}: {counted(each.editions, 'older edition')}, about {size}"
        yield ok("old_editions", f"{found}; run with --keep-editions N removes the oldest")
