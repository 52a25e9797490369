"""
Runs statements that are text: through SQLAlchemy, or on an SQLite file through sqlite3 alone.

Importing SQLAlchemy takes four times as long as all that `status` reads. So what the commands that
read a little and end need is text, and runs on either connection; the tests hold each statement to
its form in Core. All other statements are Core.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from batchrunner.store.database_file import DatabaseFile
from batchrunner.store.revision import APPLICATION_ID, HEAD

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

F = TypeVar("F", bound=Callable[..., Any])

#: How long a statement waits for another process's transaction. Ours take milliseconds.
BUSY_SECONDS = 30
#: Rows that are read from a server at once.
ROWS_AT_ONCE = 5000
#: What every connection to an SQLite file sets.
PRAGMAS = (
    # A rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL file that two
    # connections use (docs/adr/0002). In this mode FULL also syncs the emptied journal.
    "journal_mode=TRUNCATE",
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
)


def text_only(function: F) -> F:
    """Mark a function of the store whose statements are all text: it needs no SQLAlchemy."""
    function.is_text_only = True  # type: ignore[attr-defined]
    return function


def is_text_only(function: Callable[..., Any]) -> bool:
    """Return whether a function runs on an `SqliteFile`, too."""
    return getattr(function, "is_text_only", False)


class FileTransaction:
    """A transaction on an SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def mappings(self, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a statement, each by its columns."""
        cursor = self._connection.execute(statement, values)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def tuples(self, statement: str, values: dict[str, Any]) -> list[Any]:
        """Return the same as tuples."""
        return self._connection.execute(statement, values).fetchall()

    def stream(self, statement: str, values: dict[str, Any]) -> Iterator[Any]:
        """Give the same one by one."""
        yield from self._connection.execute(statement, values)


class SqliteFile:
    """
    A connection to a database's file through sqlite3 alone.

    Raises:
        sqlite3.Error: The file cannot be used.
        LookupError: It has another schema than this program's, or is no database of ours.
    """

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._connection = sqlite3.connect(
            file.uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            file.opened()
            self._prepare()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def begin(self, *, writes: bool = False) -> Iterator[FileTransaction]:
        """Begin a transaction that sees the file at one moment; one that writes is on disk then."""
        self._file.check()
        self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield FileTransaction(self._connection)
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()
        if writes:
            # What was written to a file that has lost its name is not there at the next start.
            self._file.check()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _prepare(self) -> None:
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        (mark,) = self._connection.execute("PRAGMA application_id").fetchone()
        if mark != APPLICATION_ID:
            raise LookupError(mark)
        found = self._connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if found != (HEAD,):
            raise LookupError(found)


def is_server(tx: Connection | FileTransaction) -> bool:
    """Return whether a database server is at the other end, not a file."""
    return not isinstance(tx, FileTransaction) and tx.dialect.name == "postgresql"


def rows(tx: Connection | FileTransaction, statement: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a statement, each with its columns as attributes."""
    if isinstance(tx, FileTransaction):
        return [SimpleNamespace(**row) for row in tx.mappings(statement, values)]
    return [SimpleNamespace(**row) for row in tx.execute(_clause(statement), values).mappings()]


def tuples(tx: Connection | FileTransaction, statement: str, **values: Any) -> Sequence[Any]:
    """Return the rows of a statement that reads many."""
    if isinstance(tx, FileTransaction):
        return tx.tuples(statement, values)
    return tx.execute(_clause(statement), values).all()


def stream(tx: Connection | FileTransaction, statement: str, **values: Any) -> Iterator[Any]:
    """Give the rows of a statement that may have a million; only while the transaction lasts."""
    if isinstance(tx, FileTransaction):
        return tx.stream(statement, values)
    clause = _clause(statement).execution_options(yield_per=ROWS_AT_ONCE)
    return iter(tx.execute(clause, values))


def run(tx: Connection | FileTransaction, statement: str, **values: Any) -> None:
    """Run a statement that writes."""
    if isinstance(tx, FileTransaction):
        tx.tuples(statement, values)
    else:
        tx.execute(_clause(statement), values)


def among(tx: Connection | FileTransaction, column: str, name: str) -> str:
    """Return the condition that a column has one of the values of the parameter *name*."""
    if is_server(tx):
        return f"{column} = ANY(:{name})"
    return f"{column} IN (SELECT value FROM json_each(:{name}))"


def list_value(tx: Connection | FileTransaction, values: Collection[Any]) -> Any:
    """Return the value of such a parameter."""
    return [*values] if is_server(tx) else json.dumps([*values])


@lru_cache(maxsize=256)
def _clause(statement: str) -> TextClause:
    from sqlalchemy import text  # noqa: PLC0415 -- where this is called, it has been imported

    return text(statement)
