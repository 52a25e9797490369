"""Builds indexes that a migration left out, because each would lock a large table for long."""

from __future__ import annotations

import time

from sqlalchemy import Connection, Engine, Index, text
from sqlalchemy.schema import CreateIndex

from batchrunner.store.dialect import has_server
from batchrunner.store.schema import metadata

#: Between two questions whether it is this process's turn.
TURN_SECONDS = 0.1

#: Names of valid indexes, one a row.
_PRESENT = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index'",
    "postgresql": (
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indisvalid AND c.relnamespace = current_schema()::regnamespace"
    ),
}


def missing_indexes(tx: Connection) -> list[Index]:
    """Return the indexes of the schema that a database lacks, or whose build was cut off."""
    present = set(tx.execute(text(_PRESENT[tx.dialect.name])).scalars())
    wanted = (index for table in metadata.sorted_tables for index in table.indexes)
    return sorted(
        (index for index in wanted if index.name not in present and not index.unique),
        key=lambda index: str(index.name),
    )


def await_turn(tx: Connection, lock_id: int) -> None:
    """
    Wait until no other process changes the schema of a server's database; until the commit.

    One statement that waits would see the database as it was at its start. The build of an index
    waits for all such statements, and so each would wait for the other, without end.
    """
    mine = text("SELECT pg_try_advisory_xact_lock(:id)")
    while not tx.execute(mine, {"id": lock_id}).scalar():
        tx.rollback()  # gives up what it has seen
        time.sleep(TURN_SECONDS)


def build_indexes(engine: Engine, lock_id: int) -> None:
    """
    Build the missing indexes while others use the database.

    A server builds them beside its other work. A file is locked for one index at a time, a second
    for a million rows. *lock_id* keeps two processes from building one index.
    """
    with engine.connect() as guard:
        if has_server(guard):
            await_turn(guard, lock_id)
            for index in missing_indexes(guard):
                _build_beside(engine, index)
            return
        missing = missing_indexes(guard)
    for index in missing:
        with engine.begin() as tx:
            tx.execute(CreateIndex(index, if_not_exists=True))


def _build_beside(engine: Engine, index: Index) -> None:
    quoted = engine.dialect.identifier_preparer.quote(str(index.name))
    create = str(CreateIndex(index).compile(dialect=engine.dialect))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        # Of a build that was cut off, an index is left that no statement uses.
        tx.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")
        tx.exec_driver_sql(create.replace("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1))
