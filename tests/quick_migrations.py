"""Migrates empty SQLite files in this process by copying what all migrations make of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, inspect

from batchrunner.store import database
from batchrunner.store.revision import HEAD

_migrate = database._upgrade
#: The statements that make the schema of the newest version.
_schema: list[str] = []


@contextmanager
def quick_migrations() -> Iterator[None]:
    """
    Make each empty SQLite database from the schema of the first one that was migrated.

    All migrations take a quarter of a second: that is most of a test of a small batch. Migrations
    are tested in contract/test_migrations.py, and processes of their own run them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_upgrade", _upgrade)
        yield


def _upgrade(tx: Connection) -> None:
    is_empty = tx.dialect.name == "sqlite" and not inspect(tx).get_table_names()
    if is_empty and _schema:
        for statement in _schema:
            tx.exec_driver_sql(statement)
        tx.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
        return
    _migrate(tx)
    if is_empty:
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        _schema.extend(tx.exec_driver_sql(f"{made} ORDER BY rowid").scalars())
