"""Loads job files into batches and jobs, and reads batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, func, not_, select, update

from batchrunner.model import (
    Batch,
    Canary,
    JobFile,
    JobSpec,
    JobSpecs,
    JobState,
    LoadResult,
    Pause,
    Rate,
    Settings,
)
from batchrunner.model.hosts import host_of
from batchrunner.model.output_schema import plain_schema
from batchrunner.model.question import question_digest
from batchrunner.policy.budget import rate_in_force
from batchrunner.policy.canary import choose_canary
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.schema import batches, jobs
from batchrunner.store.serialization import (
    budget_of,
    json_text,
    limits_text,
    plain_rules,
    settings_of,
    settings_text,
)

T = TypeVar("T")

#: Rows in one statement. More are not faster on SQLite.
LOAD_CHUNK = 1000
#: Settings that `set` can replace.
SET_LATER = ("concurrency", "budget")


def load_jobs(tx: Connection, file: JobFile, now: datetime) -> LoadResult:
    """
    Add a job file's batch if it is new, and its new jobs.

    A known job keeps its state, and takes its position, rules and limits from the file.
    """
    settings, specs = file.settings, file.specs
    known, batch = _upsert_batch(tx, file, now)
    before = _count(tx, batch.id)
    first = set() if before else _canary(settings.canary, specs)
    changed: list[str] = []
    for chunk in chunks(enumerate(specs, 1), LOAD_CHUNK):
        rows = [
            job_row(batch.id, file, position, spec, now, canary=position - 1 in first)
            for position, spec in chunk
        ]
        if before:
            changed += _changed(tx, batch.id, rows)
        # A known job only gets its new position in the file, and the new rules.
        insert = insert_or_ignore(tx, jobs)
        names = ("position", "policy", "expect", "limits", "columns", "from_file")
        new = {name: insert.excluded[name] for name in names}
        newest = {"index_elements": ["batch_id", "key"], "index_where": not_(jobs.c.superseded)}
        tx.execute(insert.on_conflict_do_update(**newest, set_=new), rows)
    added = _count(tx, batch.id) - before
    return LoadResult(
        batch=batch,
        added=added,
        known=len(specs) - added,
        changed=tuple(changed),
        before=known.settings if known else None,
    )


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of *size*; the last one may be shorter."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk


def _canary(canary: Canary | None, specs: JobSpecs) -> set[int]:
    """Return the indexes of the jobs of the canary; only a new batch has one."""
    if canary is None:
        return set()
    return set(choose_canary([(host_of(spec.url), spec.goal) for spec in specs], canary.jobs))


#: Batches that were not removed.
_SHOWN = select(batches).where(batches.c.pruned_at.is_(None))


def find_batch(tx: Connection, name: str) -> Batch | None:
    """Return the batch with this name."""
    row = tx.execute(_SHOWN.where(batches.c.name == name)).first()
    return batch_of(row) if row else None


def list_batches(tx: Connection) -> list[Batch]:
    """Return every batch, oldest first."""
    return [batch_of(row) for row in tx.execute(_SHOWN.order_by(batches.c.id))]


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


def output_schema_digest(options: Mapping[str, Any]) -> str:
    """Return a digest of the output_schema, which all runs of a create request share."""
    schema = options.get("output_schema")
    if schema is None:
        return ""
    return hashlib.sha256(json_text(plain_schema(schema)).encode()).hexdigest()[:32]


def _upsert_batch(tx: Connection, file: JobFile, now: datetime) -> tuple[Batch | None, Batch]:
    """Add or update a batch; return it as it was, if it existed, and as it is."""
    name, settings = file.name, file.settings
    named = select(batches).where(batches.c.name == name)
    known = tx.execute(named.with_for_update()).first()
    stored = settings_text(settings)
    new: dict[str, Any] = {"settings": stored, **_origin(file)}
    row = {"name": name, "created_at": now, **new}
    # A value that changed in the file takes precedence over one that was set later.
    before = settings_of(known.settings) if known else settings
    new |= {name: None for name in SET_LATER if getattr(before, name) != getattr(settings, name)}
    insert = insert_or_ignore(tx, batches)
    tx.execute(
        insert.on_conflict_do_update(index_elements=["name"], set_=new),
        row,
    )
    return batch_of(known) if known else None, batch_of(tx.execute(named).one())


def _origin(file: JobFile) -> dict[str, Any]:
    """Return the columns of a batch that say which files and which carried columns it has."""
    sources = [asdict(source) for source in file.sources]
    origin = {"columns": json_text(file.columns), "sources": json_text(sources)}
    if file.edition is None:
        return origin
    return {**origin, "series": file.series, "edition": file.edition, "pruned_at": None}


def settings_in_force(row: Any) -> Settings:
    """Return a batch's settings, with the values that replaced some of them."""
    settings = settings_of(row.settings)
    if row.budget is not None:
        settings = replace(settings, budget=budget_of(json.loads(row.budget)))
    return settings if row.concurrency is None else replace(settings, concurrency=row.concurrency)


def rate_of(row: Any) -> Rate | None:
    """Return what a step of a batch costs, and the source of that price."""
    return rate_in_force(
        settings_in_force(row), Decimal(row.step_price) if row.step_price else None
    )


def batch_of(row: Row[Any]) -> Batch:
    """Return the batch of a row."""
    return Batch(
        id=row.id,
        name=row.name,
        settings=settings_in_force(row),
        api_origin=row.api_origin,
        pause=pause_of(row),
        step_price=rate_of(row),
        series=row.series,
        edition=row.edition,
    )


def pause_of(row: Any) -> Pause | None:
    """Return since when and why a batch is paused; None if it is not."""
    return Pause(since=row.paused_at, reason=row.pause_reason) if row.paused_at else None


def job_row(
    batch_id: int, file: JobFile, position: int, spec: JobSpec, now: datetime, *, canary: bool
) -> dict[str, Any]:
    """Return the row of a new job."""
    return {
        "batch_id": batch_id,
        "position": position,
        "key": spec.key,
        "url": spec.url,
        "host": host_of(spec.url),
        "goal": spec.goal,
        "options": json_text(spec.options),
        "policy": json_text(plain_rules(spec.policy)) if spec.policy else None,
        "expect": json_text(spec.expect) if spec.expect else None,
        "limits": limits_text(spec.limits),
        "output_schema_digest": output_schema_digest(spec.options),
        "canary": canary,
        "digest": question_digest(spec.url, spec.goal, spec.options),
        # Carried cells keep their order.
        "columns": json.dumps(spec.columns, separators=(",", ":")) if spec.columns else None,
        "from_file": file.from_file,
        "state": JobState.AVAILABLE,
        "available_at": now,
        "loaded_at": now,
    }


def _changed(tx: Connection, batch_id: int, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the keys of jobs whose content in the database differs."""
    stored = tx.execute(
        select(jobs.c.key, jobs.c.url, jobs.c.goal, jobs.c.options).where(
            jobs.c.batch_id == batch_id, jobs.c.key.in_([row["key"] for row in rows])
        )
    )
    contents = {row.key: (row.url, row.goal, row.options) for row in stored}
    for row in rows:
        now = (row["url"], row["goal"], row["options"])
        if contents.get(row["key"], now) != now:
            yield row["key"]


def _count(tx: Connection, batch_id: int) -> int:
    return tx.execute(
        select(func.count()).select_from(jobs).where(jobs.c.batch_id == batch_id)
    ).scalar_one()
