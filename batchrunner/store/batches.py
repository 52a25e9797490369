"""Loads job files into batches and jobs, and reads batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from batchrunner.model import Batch, JobFile, LoadResult
from batchrunner.model.comparison import UNDECIDED, Comparison, EditDecision
from batchrunner.model.hosts import host_of
from batchrunner.policy.canary import choose_canary
from batchrunner.store import counters
from batchrunner.store.accepted import inherit_accepted
from batchrunner.store.batch_rows import SET_LATER, batch_of
from batchrunner.store.bulk_insert import insert_rows
from batchrunner.store.canary_gate import keep_canary
from batchrunner.store.counter_changes import loaded
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.edits import follow_file
from batchrunner.store.job_rows import LOAD_CHUNK, NEW_JOB_COLUMNS, JobRows, chunks
from batchrunner.store.schema import batches, jobs
from batchrunner.store.serialization import json_text, settings_of, settings_text
from batchrunner.store.unseen_batch import UnseenBatch, show_batch


def load_jobs(
    tx: Connection,
    file: JobFile,
    now: datetime,
    decision: EditDecision = UNDECIDED,
    unseen: UnseenBatch | None = None,
) -> LoadResult:
    """
    Add a job file's batch if it is new; otherwise let the jobs of the batch follow the file.

    A new batch is *unseen* if that has the jobs of the file.

    Raises:
        EditUndecided: The edit is so large that the user must decide on it; nothing changed.
    """
    shown = unseen is not None and show_batch(tx, unseen, file, now)
    known, batch = _upsert_batch(tx, file, now)
    known = None if shown else known
    row = tx.execute(select(batches).where(batches.c.id == batch.id)).one()
    # Another process may have made the batch since: then its jobs are there by now.
    if shown or not _has_jobs(tx, batch.id):
        if not shown:
            _add_all(tx, batch.id, file, now)
        rows = len(file.specs)
        counters.add_numbers(tx, batch.id, counters.NOBODY, loaded(rows))
        comparison = Comparison(batch=file.name, rows=rows, new=rows, rate=batch.step_price)
    else:
        comparison = follow_file(tx, file, row, decision, now)
        keep_canary(tx, batch.id, file.settings.canary)
    if file.series is not None:
        inherit_accepted(tx, batch.id, now)
    return LoadResult(
        batch=batch,
        added=comparison.new,
        known=len(file.specs) - comparison.new,
        changed=tuple(example.key for example in comparison.examples),
        before=known.settings if known else None,
        comparison=comparison,
    )


def _add_all(tx: Connection, batch_id: int, file: JobFile, now: datetime) -> None:
    """Add the jobs of a file to a batch without jobs."""
    for rows in new_rows(batch_id, file, now):
        insert_rows(tx, jobs, NEW_JOB_COLUMNS, rows)


def new_rows(batch_id: int, file: JobFile, now: datetime) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of the jobs of a file, as many as one statement inserts."""
    canary = file.settings.canary
    kinds = ((host_of(spec.url), spec.goal) for spec in file.specs)
    first = set(choose_canary(kinds, canary.jobs)) if canary else set()
    new = JobRows(batch_id, file, now)
    for chunk in chunks(enumerate(file.specs, 1), LOAD_CHUNK):
        yield [new.row(position, spec, canary=position - 1 in first) for position, spec in chunk]


def _has_jobs(tx: Connection, batch_id: int) -> bool:
    return (
        tx.execute(select(jobs.c.id).where(jobs.c.batch_id == batch_id).limit(1)).first()
        is not None
    )


#: Batches that were not removed.
_SHOWN = select(batches).where(batches.c.pruned_at.is_(None))


def find_batch(tx: Connection, name: str) -> Batch | None:
    """Return the batch with this name."""
    row = tx.execute(_SHOWN.where(batches.c.name == name)).first()
    return batch_of(row) if row else None


def bind_to_api(tx: Connection, batch_id: int, origin: str) -> str:
    """Set the API that has a batch's runs, unless it is set; return it."""
    tx.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.api_origin.is_(None))
        .values(api_origin=origin)
    )
    bound: str = tx.execute(
        select(batches.c.api_origin).where(batches.c.id == batch_id)
    ).scalar_one()
    return bound


def _upsert_batch(tx: Connection, file: JobFile, now: datetime) -> tuple[Batch | None, Batch]:
    """Add or update a batch; return it as it was, if it existed, and as it is."""
    name, settings = file.name, file.settings
    named = select(batches).where(batches.c.name == name)
    known = tx.execute(named.with_for_update()).first()
    stored = settings_text(settings)
    new: dict[str, Any] = {"settings": stored, **_origin(file)}
    row = {"name": name, "created_at": now, "counted": True, **new}
    # A value that changed in the file takes precedence over one that was set later.
    before = settings_of(known.settings) if known else settings
    new |= {name: None for name in SET_LATER if getattr(before, name) != getattr(settings, name)}
    adding = insert_or_ignore(tx, batches)
    tx.execute(adding.on_conflict_do_update(index_elements=["name"], set_=new), row)
    return batch_of(known) if known else None, batch_of(tx.execute(named).one())


def _origin(file: JobFile) -> dict[str, Any]:
    """Return the columns of a batch that say which files and which carried columns it has."""
    sources = [asdict(source) for source in file.sources]
    origin = {"columns": json_text(file.columns), "sources": json_text(sources)}
    if file.edition is None:
        return origin
    return {**origin, "series": file.series, "edition": file.edition, "pruned_at": None}
