"""Inserts many rows whose values need no conversion, several times as fast as one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table

from batchrunner.store.dialect import has_server


def insert_rows(
    tx: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """
    Insert rows: their values are those of *columns*, as the database stores them.

    SQLAlchemy's own insert converts each value, which takes longer than the database does.
    """
    quote = tx.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    marks = ", ".join(["%s" if has_server(tx) else "?"] * len(columns))
    tx.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})", list(rows))
