"""Finished jobs → an SQLite database: tables of results and attempts, and a view of failures."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import IO, Any

from batchrunner.model import JobState
from batchrunner.outputs.cells import CellKind
from batchrunner.outputs.column_types import converters, type_of
from batchrunner.outputs.columns import FAILURE_COLUMNS, FIELDS, instant
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.table import ExportTable
from batchrunner.policy.escalation import showable_overrides

#: Most columns of a table in SQLite as it is usually built.
MAX_COLUMNS = 2_000

_COLUMN_TYPES = {
    CellKind.TEXT: "TEXT",
    CellKind.BOOL: "BOOLEAN",
    CellKind.TIME: "TEXT",
    CellKind.INTEGER: "INTEGER",
    CellKind.DOUBLE: "REAL",
}
_ATTEMPTS = """
create table attempts (
    id text not null, revision integer not null, number integer not null,
    outcome text, counted boolean, code text, message text,
    steps integer, run_id text, started_at text, finished_at text, changes text
)
"""


def write_sqlite(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write a database with the rows of a `Sheet` as the table `results`.

    Columns are INTEGER, REAL, BOOLEAN (0 and 1) or TEXT, so that no value changes; instants are
    text in UTC. The table `attempts` has all attempts of the jobs by number, and the view
    `failures` the failed jobs with their reasons.
    """
    with tempfile.TemporaryDirectory(prefix=".batchrunner-", dir=table.scratch) as folder:
        path = f"{folder}/export.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("pragma journal_mode = off")
            database.execute("pragma synchronous = off")
            database.execute("begin")
            written = _fill(database, table)
            database.execute("commit")
        with open(path, "rb") as whole:
            shutil.copyfileobj(whole, file, 1024**2)
    return written


FORMAT = Format(
    name="sqlite",
    help="a database with the tables `results` and `attempts`",
    write=write_sqlite,
    suffixes=(".sqlite", ".sqlite3", ".db"),
    is_text=False,
    max_columns=MAX_COLUMNS,
)


def _fill(database: sqlite3.Connection, table: ExportTable) -> Written:
    sheet = Sheet(table, typed=True, max_columns=MAX_COLUMNS)
    types = [type_of(kind, odd_doubles=False) for kind in sheet.kinds]
    columns = [
        f"{_quoted(name)} {_COLUMN_TYPES[kind]}"
        for name, kind in zip(sheet.names, types, strict=True)
    ]
    database.execute(f"create table results ({', '.join(columns)})")
    _insert(database, "results", _rows(sheet, types), len(columns))
    if not table.view.columns:
        _add_failures(database, sheet.names[len(FIELDS) : len(FIELDS) + len(table.columns)])
        database.execute("create index results_by_id on results (id)")
    database.execute(_ATTEMPTS)
    _insert(database, "attempts", _attempts(table), 12)
    database.execute("create index attempts_by_id on attempts (id)")
    return sheet.written()


def _add_failures(database: sqlite3.Connection, carried: Sequence[str]) -> None:
    names = ", ".join(map(_quoted, [*FAILURE_COLUMNS, *carried]))
    database.execute(
        f"create view failures as select distinct {names} from results "
        f"where state = '{JobState.FAILED}'"
    )


def _rows(sheet: Sheet, types: Sequence[CellKind]) -> Iterator[list[Any]]:
    as_stored = converters([CellKind.TEXT if kind is CellKind.TIME else kind for kind in types])
    for row in sheet.rows():
        yield [convert(cell) for convert, cell in zip(as_stored, row.cells, strict=True)]


def _attempts(table: ExportTable) -> Iterator[list[Any]]:
    for attempt in table.attempts():
        changes = attempt.option_overrides
        yield [
            attempt.key,
            attempt.revision,
            attempt.number,
            attempt.outcome,
            attempt.counted,
            attempt.code,
            attempt.message,
            attempt.steps,
            attempt.run_id,
            instant(attempt.started_at),
            instant(attempt.finished_at),
            json.dumps(showable_overrides(changes)) if changes else None,
        ]


def _insert(database: sqlite3.Connection, name: str, rows: Iterable[list[Any]], width: int) -> None:
    database.executemany(f"insert into {name} values ({', '.join('?' * width)})", rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
