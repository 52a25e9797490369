"""What the columns of a user's own table can hold without a loss."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, inspect, text, types

from batchrunner.store.dialect import has_server


class TableRefused(Exception):
    """The rows cannot be written; nothing was changed."""

    def __init__(self, message: str, next: str) -> None:
        super().__init__(message)
        self.message = message
        self.next = next


class ColumnKind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    INTEGER = "integer"  #: of at most 64 bits
    NUMBER = "number"  #: whole or not
    BOOLEAN = "boolean"
    TIME = "time"
    # Only of columns that are there:
    ANYTHING = "anything"  #: stored as given
    OTHER = "other"  #: something that no value of ours is

    @property
    def words(self) -> str:
        """What it is, for people."""
        return {
            ColumnKind.INTEGER: "whole numbers",
            ColumnKind.NUMBER: "numbers",
            ColumnKind.BOOLEAN: "true and false",
            ColumnKind.TIME: "times",
            ColumnKind.OTHER: "values of another type",
        }.get(self, "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnThere:
    """A column that a table has."""

    name: str
    kind: ColumnKind
    type: types.TypeEngine[Any]  #: as the database names it


def accepts(there: ColumnKind, kind: ColumnKind) -> bool:
    """Return whether a column that is there can hold values of a kind, perhaps not all of them."""
    if there is ColumnKind.NUMBER:
        return kind in (ColumnKind.NUMBER, ColumnKind.INTEGER)
    return there in (ColumnKind.TEXT, ColumnKind.ANYTHING, kind)


def columns_there(tx: Connection, table: str, schema: str | None) -> list[ColumnThere]:
    """Return the columns of a table."""
    if has_server(tx):
        return [
            ColumnThere(name=each["name"], kind=_kind_of_type(each["type"]), type=each["type"])
            for each in inspect(tx).get_columns(table, schema=schema)
        ]
    rows = tx.execute(text("SELECT name, type FROM pragma_table_xinfo(:table)"), {"table": table})
    return [
        ColumnThere(name=row.name, kind=kind, type=types.REAL() if is_real else types.Text())
        for row in rows
        for kind, is_real in [_kind_of_declared(row.type)]
    ]


def _kind_of_declared(declared: str) -> tuple[ColumnKind, bool]:
    """Return what SQLite makes of values in a column that was declared so, and if it is REAL."""
    name = declared.upper()
    if "BOOL" in name:
        return ColumnKind.BOOLEAN, False
    if any(part in name for part in ("DATE", "TIME")):
        return ColumnKind.TIME, False
    if "INT" in name:
        return ColumnKind.NUMBER, False  # it takes fractions, too
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return ColumnKind.TEXT, False
    if not name or "BLOB" in name or name == "ANY":
        return ColumnKind.ANYTHING, False
    return ColumnKind.NUMBER, any(part in name for part in ("REAL", "FLOA", "DOUB"))


def _kind_of_type(type: Any) -> ColumnKind:
    if isinstance(type, types.String):
        return ColumnKind.TEXT
    if isinstance(type, types.Integer | types.Numeric | types.Float):
        return ColumnKind.NUMBER
    if isinstance(type, types.Boolean):
        return ColumnKind.BOOLEAN
    if isinstance(type, types.DateTime) and type.timezone:
        return ColumnKind.TIME
    return ColumnKind.OTHER
