"""Finds batches that have run the jobs of a file before, in this database or in another file."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, exists, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from batchrunner.model import JobState
from batchrunner.model.places import BatchSource, FileSample, Holding, holdings_of
from batchrunner.model.question import question_digest
from batchrunner.store.revision import APPLICATION_ID
from batchrunner.store.schema import batches, jobs
from batchrunner.store.serialization import options_of

#: Suffixes of files that may be a database, and the most of them in one folder that are opened.
SUFFIXES = (".db", ".sqlite", ".sqlite3")
MAX_FILES = 30
#: Where an SQLite file says whose it is, and how many bytes that takes.
_MARK_AT, _MARK_LENGTH = 68, 4
#: Names in one statement.
_CHUNK = 200


def holdings(tx: Connection, sample: FileSample, origin: str | None) -> tuple[Holding, ...]:
    """Return the batches on an API that have run jobs of a file, the most similar first."""
    return holdings_of(sample, _rows(tx, sample, origin))


_tried = jobs.alias()
#: Whether any job of the batch was run: one that was only loaded has cost nothing.
_has_run = exists().where(_tried.c.batch_id == batches.c.id, _tried.c.attempt > 0)


def _rows(
    tx: Connection, sample: FileSample, origin: str | None
) -> Iterator[tuple[str, str, str, bool]]:
    urls = sorted(sample.urls)
    # Only columns that older versions have, too. Each batch is asked once whether it has run.
    have_run = select(batches.c.id).where(_has_run)
    if origin is not None:
        have_run = have_run.where(batches.c.api_origin == origin)
    ids = [*tx.execute(have_run).scalars()]
    for start in range(0, len(urls) if ids else 0, _CHUNK):
        found = (
            select(batches.c.name, jobs.c.url, jobs.c.goal, jobs.c.options, jobs.c.state)
            .join(batches, batches.c.id == jobs.c.batch_id)
            .where(jobs.c.url.in_(urls[start : start + _CHUNK]), batches.c.id.in_(ids))
        )
        for row in tx.execute(found):
            digest = question_digest(row.url, row.goal, options_of(row.options, None))
            # What failed has no result to lose: it may be run again in a file of its own.
            has_none = row.state in (JobState.FAILED, JobState.CANCELLED)
            yield row.name, row.url, digest, has_none


def batch_sources(tx: Connection) -> list[BatchSource]:
    """Return where each batch was loaded from, the oldest first; editions by their series."""
    rows = tx.execute(select(batches.c.name, batches.c.series, batches.c.sources))
    return [
        BatchSource(batch=row.series or row.name, path=_first_path(row.sources)) for row in rows
    ]


def _first_path(stored: str | None) -> str | None:
    sources = json.loads(stored or "[]")
    return sources[0]["path"] if sources else None


def has_urls(tx: Connection, name: str, sample: FileSample) -> bool:
    """Return whether a batch, or an edition of a series of this name, has any url of a file."""
    named = or_(batches.c.name == name, batches.c.series == name)
    urls = sorted(sample.urls)
    for start in range(0, len(urls), _CHUNK):
        found = (
            select(jobs.c.id)
            .join(batches, batches.c.id == jobs.c.batch_id)
            .where(named, jobs.c.url.in_(urls[start : start + _CHUNK]))
        )
        if tx.execute(found.limit(1)).first():
            return True
    return False


# ---- other files ----


def databases_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are databases of this program."""
    with suppress(OSError):
        names = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
        yield from (path for path in names[:MAX_FILES] if _is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        if path.stat().st_uid != os.getuid():
            return False  # nobody else's file is opened
        with path.open("rb") as file:
            file.seek(_MARK_AT)
            mark = file.read(_MARK_LENGTH)
    except OSError:
        return False
    return mark == APPLICATION_ID.to_bytes(_MARK_LENGTH, "big")


def holdings_in_file(
    path: Path, sample: FileSample, origin: str | None
) -> tuple[Holding, ...] | None:
    """Return the same of a database that is not the one in use; None where it cannot be read."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )
    try:
        with engine.connect() as tx:
            return holdings(tx, sample, origin)
    except (SQLAlchemyError, ValueError, TypeError, LookupError):
        return None  # of a version that names things otherwise, locked, or damaged
    finally:
        engine.dispose()
