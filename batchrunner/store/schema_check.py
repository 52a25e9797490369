"""Compares the tables of a database with what the schema says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Connection,
    Index,
    Inspector,
    Table,
    UniqueConstraint,
    inspect,
    text,
)

from batchrunner.store.schema import metadata

_TRIGGERS = {
    "sqlite": "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace"
    ),
}


def schema_differences(tx: Connection) -> list[str]:
    """Return the tables, columns, checks, indexes and triggers that differ from the schema."""
    inspector = inspect(tx)
    present = set(inspector.get_table_names())
    found: list[str] = []
    for table in metadata.tables.values():
        if table.name in present:
            found += _in_table(inspector, table)
        else:
            found.append(f"the table {table.name} is missing")
    return found + list(_triggers(tx))


def _in_table(inspector: Inspector, table: Table) -> Iterator[str]:
    columns = {column["name"] for column in inspector.get_columns(table.name)}
    for name in sorted({column.name for column in table.columns} ^ columns):
        what = "is not ours" if name in columns else "is missing"
        yield f"the column {name} of {table.name} {what}"
    yield from _constraints(inspector, table)
    yield from _indexes(inspector, table)


def _constraints(inspector: Inspector, table: Table) -> Iterator[str]:
    checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
    unique = {tuple(one["column_names"]) for one in inspector.get_unique_constraints(table.name)}
    for constraint in table.constraints:
        if isinstance(constraint, CheckConstraint) and constraint.name not in checks:
            yield f"the check {constraint.name} is missing"
        if isinstance(constraint, UniqueConstraint):
            columns = tuple(column.name for column in constraint.columns)
            if columns not in unique:
                yield f"{table.name} may hold two rows of one {' and '.join(columns)}"


def _indexes(inspector: Inspector, table: Table) -> Iterator[str]:
    on_file = inspector.dialect.name == "sqlite"
    present = {
        str(index["name"]): _index_found(index) for index in inspector.get_indexes(table.name)
    }
    wanted = {str(index.name): _index_expected(index, compared=on_file) for index in table.indexes}
    ours = {constraint.name for constraint in table.constraints}
    for name, index in wanted.items():
        if name not in present:
            yield f"the index {name} is missing"
        elif present[name] != index:
            yield f"the index {name} is another one"
    for name in sorted(present.keys() - wanted.keys() - ours):
        if present[name][0]:
            yield f"the unique index {name} of {table.name} is not ours"


def _index_found(index: Any) -> tuple[bool, tuple[str, ...], str]:
    condition = index.get("dialect_options", {}).get("sqlite_where", "")
    return bool(index["unique"]), tuple(index["column_names"]), str(condition)


def _index_expected(index: Index, *, compared: bool) -> tuple[bool, tuple[str, ...], str]:
    # A server rewrites conditions.
    condition = index.dialect_options["sqlite"]["where"] if compared else None
    columns = tuple(column.name for column in index.columns)
    return bool(index.unique), columns, "" if condition is None else str(condition)


def _triggers(tx: Connection) -> Iterator[str]:
    for name, table in tx.execute(text(_TRIGGERS[tx.dialect.name])):
        if table in metadata.tables:
            yield f"the trigger {name} on {table} is not ours"
