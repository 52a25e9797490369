"""Inserts or updates the rows of an export in a table of the user's own database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from batchrunner.app.output_targets import database_files, leads_to
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.outputs import ExportTable
from batchrunner.outputs.cells import Cell, CellKind
from batchrunner.outputs.column_types import as_text, type_of
from batchrunner.outputs.sheet import Sheet
from batchrunner.store.address import redacted, url_of
from batchrunner.store.errors import StoreError
from batchrunner.store.user_table import Upserted, UserColumn, UserTable, upsert
from batchrunner.store.user_types import ColumnKind, TableRefused

#: The column that tells rows apart where the user names none.
DEFAULT_KEY = "id"
_EXAMPLE = "sqlite:prices.db:prices or postgresql://user@host/name:prices"
_SQLITE = re.compile(r"sqlite:(?://)?(?P<file>.+):(?P<table>[^:]+)", re.DOTALL)
_SERVER = re.compile(
    r"(?P<address>postgres(?:ql)?(?:\+psycopg)?://[^/]*/[^:]*(?:\?.*)?):(?P<table>[^:/@?]+)",
    re.DOTALL | re.IGNORECASE,
)
_BUSY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class IntoTable:
    """A table of the user's own database, and the columns that tell its rows apart."""

    address: str = field(repr=False)  # may have a password
    table: UserTable
    key: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where the table is, without a password."""
        schema = f"{self.table.schema}." if self.table.schema else ""
        return f"{redacted(self.address)}:{schema}{self.table.name}"


def into_table(text: str, key: Sequence[str] = ()) -> IntoTable:
    """
    Return the table that a text such as `sqlite:prices.db:prices` names.

    Raises:
        UsageError: It is none; the message does not repeat it, as it may have a password.
    """
    names = tuple(key) or (DEFAULT_KEY,)
    if found := _SQLITE.fullmatch(text):
        return IntoTable(address=found["file"], table=UserTable(name=found["table"]), key=names)
    if found := _SERVER.fullmatch(text):
        schema, _, name = found["table"].rpartition(".")
        table = UserTable(name=name, schema=schema or None)
        return IntoTable(address=found["address"], table=table, key=names)
    raise UsageError("--into names no database and table", next=f"write for example {_EXAMPLE}")


def check_into(into: IntoTable, address: str, keep: Sequence[str | Path] = ()) -> None:
    """
    Check that a table can be written; called before anything is run.

    Raises:
        UsageError: Its database is the program's own, has no folder, or needs a library that is not
            installed.
    """
    engine = _engine(into)
    try:
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        if file is None:
            return
        if any(leads_to(file, kept) for kept in (*database_files(address), *keep)):
            raise UsageError(
                f"{file} is in use, and rows would change it", next="name another database"
            )
        if not Path(file).parent.is_dir():
            raise UsageError(
                f"there is no folder {Path(file).parent} for {file}",
                next=f"mkdir -p {Path(file).parent}",
            )
    finally:
        engine.dispose()


def write_into(into: IntoTable, table: ExportTable) -> Upserted:
    """
    Insert or update the rows of an export, all in one transaction.

    Raises:
        UsageError: The key is no column, is missing or not unique, or values do not fit.
        CannotContinue: The database refuses it; nothing was changed.
    """
    sheet = Sheet(table, typed=True)
    columns = _columns(sheet)
    _check_key(into.key, sheet.names)
    engine = _engine(into)
    on_server = engine.dialect.name == "postgresql"
    made = None if on_server or os.path.exists(into.address) else into.address
    convert = [_converter(column.kind, on_server=on_server) for column in columns]
    try:
        with engine.begin() as tx:
            return upsert(tx, into.table, columns, into.key, _rows(sheet, convert))
    except TableRefused as error:
        raise UsageError(
            f"{into.place}: {error.message}", next=error.next, where=into.place
        ) from error
    except (DBAPIError, SQLAlchemyError) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()
        raise CannotContinue(
            f"{into.place}: nothing was changed: {said[0] if said else 'the database refused it'}",
            next="check the address and the table, and give the same command again",
            where=into.place,
        ) from error
    finally:
        engine.dispose()
        if made is not None:
            _remove_if_empty(made)


def _remove_if_empty(path: str) -> None:
    """Remove a database that was made for nothing: no row was written."""
    with suppress(OSError):
        if not os.stat(path).st_size:
            os.unlink(path)


def _check_key(key: Sequence[str], names: Sequence[str]) -> None:
    for name in key:
        if name not in names:
            raise UsageError(
                f"the key {name!r} is no column of the rows",
                next=f"name one of them with --key: {', '.join(names[:30])}",
            )


def _rows(sheet: Sheet, convert: Sequence[Callable[[Cell], Any]]) -> Iterator[list[Any]]:
    for row in sheet.rows():
        yield [change(cell) for change, cell in zip(convert, row.cells, strict=True)]


# ---- values ----

#: Columns of whole numbers, in every export.
_COUNTS = ("attempts", "steps")


def _columns(sheet: Sheet) -> list[UserColumn]:
    return [
        UserColumn(name=name, kind=ColumnKind.INTEGER if name in _COUNTS else _kind(kind))
        for name, kind in zip(sheet.names, sheet.kinds, strict=True)
    ]


def _kind(kind: CellKind) -> ColumnKind:
    # Whole prices today may have cents tomorrow: a column for numbers takes both.
    found = type_of(kind, odd_doubles=False)
    if found in (CellKind.INTEGER, CellKind.DOUBLE):
        return ColumnKind.NUMBER
    return {CellKind.BOOL: ColumnKind.BOOLEAN, CellKind.TIME: ColumnKind.TIME}.get(
        found, ColumnKind.TEXT
    )


def _converter(kind: ColumnKind, *, on_server: bool) -> Callable[[Cell], Any]:
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        return _decimal if on_server else _number
    return (
        as_text if kind is ColumnKind.TEXT or (kind is ColumnKind.TIME and not on_server) else _same
    )


def _same(cell: Cell) -> Cell:
    return cell


def _decimal(cell: Cell) -> Decimal | None:
    return None if cell is None else Decimal(str(cell))


def _number(cell: Cell) -> float | None:
    if cell is None:
        return None
    text = str(cell)
    return int(text) if text.lstrip("-").isdigit() else float(text)


# ---- the database ----


def _engine(into: IntoTable) -> Engine:
    try:
        url = _url(into.address)
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        connect: dict[str, Any] = {"prepare_threshold": None}
        return create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=connect)
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            "PostgreSQL needs one more package", next="pip install 'batchrunner[postgres]'"
        ) from error
    except (StoreError, ArgumentError, ValueError) as error:
        raise UsageError(
            "--into names no database and table", next=f"write for example {_EXAMPLE}"
        ) from error


def _url(address: str) -> URL:
    if "://" not in address:
        return URL.create("sqlite", database=address)
    return url_of(address)


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS}
    )
    event.listen(engine, "connect", _begin_by_hand)
    event.listen(engine, "begin", _begin)
    return engine


def _begin_by_hand(connection: Any, _: object) -> None:
    # The driver would begin a transaction only at the first change of a row: tables come before.
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
