"""Measures what the parts of a database take on disk, and what could be removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Table,
    Text,
    UniqueConstraint,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    text,
)

from batchrunner.model import JobState
from batchrunner.store.conditions import FINAL_STATES
from batchrunner.store.dialect import has_server
from batchrunner.store.schema import attempts, batches, jobs, metadata, results, submissions

#: Rows of a kind that are measured: so many of the oldest, and so many of the newest.
SAMPLE_SIZE = 100
#: Bytes that a row and an index entry take beside their values, about.
ROW_BYTES, ENTRY_BYTES = 12, 10
#: The tables that grow with every run.
GROWING = (jobs, submissions, attempts, results)
_is_final = jobs.c.state.in_(FINAL_STATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableUsage:
    """What one table takes on disk."""

    table: str
    rows: int
    bytes: int  #: of its rows
    index_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OldEditions:
    """The editions of a series before its newest."""

    series: str
    editions: int
    jobs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUsage:
    """
    What a database takes on disk.

    A server says how large each table is. A file says how large it is in all: that is divided by
    measured rows, so all sizes but `total` and `free` are estimates.
    """

    total: int
    free: int | None  #: bytes of pages that hold nothing; None: a server does not say
    dead_rows: int | None  #: rows that a server has not cleaned up; None: it is a file
    tables: tuple[TableUsage, ...]
    queued_jobs: int
    finished_jobs: int
    queued_bytes: int | None  #: of one job that waits; None: none does
    finished_bytes: int | None  #: of one finished job with its attempts; None: none is finished
    old_editions: tuple[OldEditions, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """The mean bytes of the measured rows of a table, and of their entries in its indexes."""

    own: float = 0.0
    entries: float = 0.0


def page_sizes(tx: Connection) -> tuple[int, int]:
    """Return the bytes of an SQLite file, and those of its pages that hold nothing."""
    page, count, free = (
        int(tx.exec_driver_sql(f"PRAGMA {name}").scalar_one())
        for name in ("page_size", "page_count", "freelist_count")
    )
    return page * count, page * free


def disk_usage(tx: Connection) -> DiskUsage:
    """Return what a database takes: rows are counted by small indexes, and few are measured."""
    counts = {table: _count(tx, table) for table in GROWING}
    sample = {table: _measured(tx, table) for table in GROWING}
    finished = _count(tx, jobs, _is_final)
    total, free, tables = _on_server(tx, counts) if has_server(tx) else _of_file(tx, counts, sample)
    return DiskUsage(
        total=total,
        free=free,
        dead_rows=_dead_rows(tx) if has_server(tx) else None,
        tables=tables,
        queued_jobs=_count(tx, jobs, jobs.c.state == JobState.AVAILABLE),
        finished_jobs=finished,
        queued_bytes=_of_job(tx, sample[jobs], tables, jobs.c.state == JobState.AVAILABLE),
        finished_bytes=_of_finished(tx, sample[jobs], tables, finished),
        old_editions=tuple(_old_editions(tx)),
    )


def _count(tx: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return int(tx.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


# ---- measured rows ----


def _measured(tx: Connection, table: Table, *where: ColumnElement[bool]) -> _Row | None:
    """Measure the oldest and the newest rows of a table; None: it has none."""
    key = next(iter(table.primary_key.columns))
    ends = [
        select(key.label("id")).where(*where).order_by(order).limit(SAMPLE_SIZE).subquery()
        for order in (key, key.desc())
    ]
    chosen = select(ends[0].c.id).union(select(ends[1].c.id))
    own = func.avg(_bytes_of(tuple(table.columns), ROW_BYTES))
    entries = func.avg(sum(_entries(tx, table), start=literal(0)))
    row = tx.execute(select(own, entries).where(key.in_(chosen))).one()
    return None if row[0] is None else _Row(own=float(row[0]), entries=float(row[1]))


def _bytes_of(columns: Sequence[Column[Any]], beside: int) -> ColumnElement[Any]:
    """Return the bytes of a row's values, about, and of what is stored beside them."""
    lengths = [func.coalesce(func.length(cast(column, Text)), 0) for column in columns]
    return sum(lengths, start=literal(beside))


def _entries(tx: Connection, table: Table) -> list[ColumnElement[Any]]:
    """Return the bytes of a row's entry in each index of a table; 0 in one that leaves it out."""
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    found = [_bytes_of(tuple(each.columns), ENTRY_BYTES) for each in unique]
    if has_server(tx):  # in a file, the rows themselves are in the order of their ids
        found.append(_bytes_of(tuple(table.primary_key.columns), ENTRY_BYTES))
    return found + [_entry(tx, index) for index in table.indexes]


def _entry(tx: Connection, index: Index) -> ColumnElement[Any]:
    size = _bytes_of(tuple(index.columns), ENTRY_BYTES)
    where = index.dialect_options[tx.dialect.name]["where"]
    return size if where is None else case((where, size), else_=0)


# ---- tables ----

_Sizes = tuple[int, int | None, tuple[TableUsage, ...]]


def _of_file(tx: Connection, counts: dict[Table, int], sample: dict[Table, _Row | None]) -> _Sizes:
    """Divide the pages of a file among its tables, by their rows and what those measure."""
    total, free = page_sizes(tx)
    rows = {table: sample[table] or _Row() for table in GROWING}
    weight = sum(counts[table] * (row.own + row.entries) for table, row in rows.items())
    scale = max(total - free - _beside(tx, counts), 0) / weight if weight else 0.0
    return (
        total,
        free,
        tuple(
            TableUsage(
                table=table.name,
                rows=counts[table],
                bytes=round(counts[table] * row.own * scale),
                index_bytes=round(counts[table] * row.entries * scale),
            )
            for table, row in rows.items()
        ),
    )


def _beside(tx: Connection, counts: dict[Table, int]) -> int:
    """Return the bytes of what is in a file beside the rows that grow: a page each, about."""
    names = ", ".join(f"'{table.name}'" for table, rows in counts.items() if rows)
    where = f"rootpage > 0 AND tbl_name NOT IN ({names})"
    beside = tx.exec_driver_sql(f"SELECT count(*) FROM sqlite_schema WHERE {where}").scalar_one()
    return int(beside) * int(tx.exec_driver_sql("PRAGMA page_size").scalar_one())


def _on_server(tx: Connection, counts: dict[Table, int]) -> _Sizes:
    size = text("SELECT pg_table_size(:name) AS own, pg_indexes_size(:name) AS entries")
    sizes = {
        table: tx.execute(size, {"name": table.name}).one() for table in metadata.sorted_tables
    }
    total = sum(row.own + row.entries for row in sizes.values())
    found = [
        TableUsage(
            table=table.name,
            rows=counts[table],
            bytes=int(sizes[table].own),
            index_bytes=int(sizes[table].entries),
        )
        for table in GROWING
    ]
    return total, None, tuple(found)


def _dead_rows(tx: Connection) -> int:
    dead = text(
        "SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables"
        " WHERE schemaname = current_schema() AND relname = ANY(:names)"
    )
    names = [table.name for table in metadata.sorted_tables]
    return int(tx.execute(dead, {"names": names}).scalar_one())


# ---- jobs ----


def _of_job(
    tx: Connection, mean: _Row | None, tables: Sequence[TableUsage], where: ColumnElement[bool]
) -> int | None:
    """Return what the rows of such jobs take, each with its entries in the indexes."""
    row, usage = _measured(tx, jobs, where), tables[0]
    if row is None or mean is None:
        return None
    own = usage.bytes / usage.rows * row.own / mean.own
    return round(own + usage.index_bytes / usage.rows * row.entries / (mean.entries or 1))


def _of_finished(
    tx: Connection, mean: _Row | None, tables: Sequence[TableUsage], finished: int
) -> int | None:
    own = _of_job(tx, mean, tables, _is_final)
    if own is None:
        return None
    ran = _count(tx, jobs, jobs.c.attempt > 0)
    return own + sum(each.bytes + each.index_bytes for each in tables[1:]) // max(ran, finished)


def _old_editions(tx: Connection) -> list[OldEditions]:
    shown = and_(batches.c.series.is_not(None), batches.c.pruned_at.is_(None))
    newest = select(func.max(batches.c.id)).where(shown).group_by(batches.c.series)
    count = func.count(batches.c.id.distinct())
    rows = tx.execute(
        select(batches.c.series, count.label("editions"), func.count(jobs.c.id).label("jobs"))
        .outerjoin(jobs, jobs.c.batch_id == batches.c.id)
        .where(shown, batches.c.id.not_in(newest))
        .group_by(batches.c.series)
        .order_by(batches.c.series)
    )
    return [OldEditions(series=row.series, editions=row.editions, jobs=row.jobs) for row in rows]
