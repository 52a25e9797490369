"""Remembers which files a batch wrote, so that no other file is ever replaced."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, insert, or_, select

from batchrunner.model import JobState
from batchrunner.store.conditions import FINAL_STATES, is_current
from batchrunner.store.schema import attempts, batches, exports, jobs


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


def files_at(tx: Connection, path: str) -> Sequence[WrittenFile]:
    """Return what exports of any batch wrote to this place, newest first."""
    rows = tx.execute(
        select(exports, batches.c.name, batches.c.series)
        .join(batches, batches.c.id == exports.c.batch_id)
        .where(exports.c.path == path)
        .order_by(exports.c.id.desc())
    )
    return [
        WrittenFile(
            batch_id=row.batch_id,
            batch=row.name,
            series=row.series,
            path=row.path,
            jobs=row.jobs,
            size=row.size,
            digest=row.digest,
            written_at=row.written_at,
        )
        for row in rows
    ]


def first_export_at(tx: Connection, batch_id: int) -> datetime | None:
    """Return when a batch wrote the oldest file that is remembered."""
    first = select(exports.c.written_at).where(exports.c.batch_id == batch_id)
    return tx.execute(first.order_by(exports.c.id).limit(1)).scalar()


def record_export(
    tx: Connection,
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
    tx.execute(
        insert(exports).values(
            batch_id=batch_id,
            path=path,
            format=format,
            jobs=jobs,
            size=size,
            digest=digest,
            written_at=now,
        )
    )


def forget_older_files(tx: Connection, path: str, digest: str) -> None:
    """Forget what was at *path* before the newest file with this digest."""
    newest = select(func.max(exports.c.id)).where(
        exports.c.path == path, exports.c.digest == digest
    )
    kept = tx.execute(newest).scalar()
    tx.execute(delete(exports).where(exports.c.path == path, exports.c.id < kept))


# ---- where a batch comes from ----


def carried_columns(tx: Connection, batch_id: int) -> tuple[str, ...]:
    """Return the names of the columns that a batch carries from its file, in their order."""
    stored = tx.execute(select(batches.c.columns).where(batches.c.id == batch_id)).scalar()
    return tuple(json.loads(stored or "[]"))


def source_paths(tx: Connection, batch_id: int) -> list[str]:
    """Return the files that a batch was loaded from."""
    stored = tx.execute(select(batches.c.sources).where(batches.c.id == batch_id)).scalar()
    return [source["path"] for source in json.loads(stored or "[]")]


# ---- jobs that a file already has ----


def jobs_of_runs(
    tx: Connection, batch_id: int, run_ids: Collection[str]
) -> Mapping[str, tuple[int, int]]:
    """Return the row and the attempt's number of each of these runs that are the batch's."""
    rows = tx.execute(
        select(attempts.c.run_id, attempts.c.job_id, attempts.c.number).where(
            attempts.c.batch_id == batch_id, attempts.c.run_id.in_(run_ids)
        )
    )
    return {row.run_id: (row.job_id, row.number) for row in rows}


def jobs_of_keys(
    tx: Connection, batch_id: int, keys: Collection[str]
) -> Mapping[tuple[str, int], int]:
    """Return the row of each revision of these jobs of a batch, by key and revision."""
    rows = tx.execute(
        select(jobs.c.key, jobs.c.revision, jobs.c.id).where(
            jobs.c.batch_id == batch_id, jobs.c.key.in_(keys)
        )
    )
    return {(row.key, row.revision): row.id for row in rows}


def first_row(tx: Connection, batch_id: int) -> int:
    """Return the lowest row of a batch's jobs; 0 without any."""
    return tx.execute(select(func.min(jobs.c.id)).where(jobs.c.batch_id == batch_id)).scalar() or 0


def ended_jobs(
    tx: Connection, batch_id: int, since: datetime | None
) -> tuple[array[int], array[int], datetime | None]:
    """
    Return the rows of a batch's current jobs that are final, and the numbers of their attempts.

    They are in the order in which they ended; with *since*, only those that ended from then on. The
    third value is when the last of them ended.
    """
    query = select(jobs.c.id, jobs.c.attempt, jobs.c.finished_at).where(
        jobs.c.batch_id == batch_id, jobs.c.state.in_(FINAL_STATES), is_current
    )
    if since is not None:
        query = query.where(jobs.c.finished_at >= since)
    rows, numbers, last = array("q"), array("l"), None
    for row in tx.execute(query.order_by(jobs.c.finished_at, jobs.c.id)):
        rows.append(row.id)
        numbers.append(row.attempt)
        last = row.finished_at
    return rows, numbers, last


def is_finished(tx: Connection, batch_id: int) -> bool:
    """Return whether all current jobs of a batch are final."""
    open_states = or_(*(jobs.c.state == state for state in JobState if not state.is_final))
    left = exists().where(jobs.c.batch_id == batch_id, open_states, is_current)
    return not tx.execute(select(left)).scalar_one()
