"""Remembers which files a batch wrote, so that no other file is ever replaced; text statements."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from batchrunner.store.instants import instant_of, stored_instant
from batchrunner.store.plain_sql import (
    FileTransaction,
    among,
    list_value,
    rows,
    run,
    text_only,
    tuples,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """A file as an export wrote it."""

    batch_id: int
    batch: str
    series: str | None
    path: str
    jobs: int
    size: int
    digest: str
    written_at: datetime


_FILES = """
SELECT batch_id, name AS batch, series, path, jobs, size, digest, written_at
FROM exports JOIN batches ON batches.id = exports.batch_id
WHERE path = :path ORDER BY exports.id DESC
"""


@text_only
def files_at(tx: Connection | FileTransaction, path: str) -> Sequence[WrittenFile]:
    """Return what exports of any batch wrote to this place, newest first."""
    found = rows(tx, _FILES, path=path)
    for row in found:
        row.written_at = instant_of(row.written_at)
    return [WrittenFile(**vars(row)) for row in found]


@text_only
def first_export_at(tx: Connection | FileTransaction, batch_id: int) -> datetime | None:
    """Return when a batch wrote the oldest file that is remembered."""
    first = "SELECT written_at FROM exports WHERE batch_id = :batch ORDER BY id LIMIT 1"
    found = rows(tx, first, batch=batch_id)
    return instant_of(found[0].written_at) if found else None


_RECORD = """
INSERT INTO exports (batch_id, path, format, jobs, size, digest, written_at)
VALUES (:batch, :path, :format, :jobs, :size, :digest, :at)
"""


@text_only
def record_export(
    tx: Connection | FileTransaction,
    batch_id: int,
    path: str,
    *,
    format: str,
    jobs: int,
    size: int,
    digest: str,
    now: datetime,
) -> None:
    """
    Record a file that is about to take the place of the one at *path*.

    What was there stays known until `forget_older_files`: a kill in between leaves either file, and
    the next export knows both.
    """
    at, what = stored_instant(now), {"format": format, "jobs": jobs, "size": size, "digest": digest}
    run(tx, _RECORD, batch=batch_id, path=path, at=at, **what)


_FORGET = """
DELETE FROM exports WHERE path = :path AND id < (
    SELECT max(newest.id) FROM exports AS newest
    WHERE newest.path = :path AND newest.digest = :digest
)
"""


@text_only
def forget_older_files(tx: Connection | FileTransaction, path: str, digest: str) -> None:
    """Forget what was at *path* before the newest file with this digest."""
    run(tx, _FORGET, path=path, digest=digest)


# ---- where a batch comes from ----


@text_only
def carried_columns(tx: Connection | FileTransaction, batch_id: int) -> tuple[str, ...]:
    """Return the names of the columns that a batch carries from its file, in their order."""
    (row,) = rows(tx, "SELECT columns FROM batches WHERE id = :batch", batch=batch_id)
    return tuple(json.loads(row.columns or "[]"))


@text_only
def source_paths(tx: Connection | FileTransaction, batch_id: int) -> list[str]:
    """Return the files that a batch was loaded from."""
    (row,) = rows(tx, "SELECT sources FROM batches WHERE id = :batch", batch=batch_id)
    return [source["path"] for source in json.loads(row.sources or "[]")]


# ---- jobs that a file already has ----


@text_only
def jobs_of_runs(
    tx: Connection | FileTransaction, batch_id: int, run_ids: Collection[str]
) -> Mapping[str, tuple[int, int]]:
    """Return the row and the attempt's number of each of these runs that are the batch's."""
    statement = (
        "SELECT run_id, job_id, number FROM attempts "
        f"WHERE batch_id = :batch AND {among(tx, 'run_id', 'runs')}"
    )
    found = tuples(tx, statement, batch=batch_id, runs=list_value(tx, run_ids))
    return {run_id: (job_id, number) for run_id, job_id, number in found}
