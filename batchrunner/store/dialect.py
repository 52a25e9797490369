"""The differences between SQLite and PostgreSQL that statements depend on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def has_server(tx: Connection) -> bool:
    """Return whether a database server is at the other end, not a file."""
    return tx.dialect.name == "postgresql"


def insert_or_ignore(tx: Connection, table: Table) -> Any:
    """Return an insert that accepts an `on_conflict` clause."""
    # Both databases spell the clause alike, but each dialect has an Insert of its own.
    if not has_server(tx):
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 -- most users do not need it

    return postgresql.insert(table)
