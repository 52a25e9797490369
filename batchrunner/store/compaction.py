"""Gives the disk back what a database does not use, while no runner works on it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

from batchrunner.model import Owner
from batchrunner.store.batch_reads import active_workers
from batchrunner.store.dialect import has_server
from batchrunner.store.disk_usage import page_sizes
from batchrunner.store.schema import metadata
from batchrunner.store.store import Store


class RunnersWork(Exception):
    """Runners work on the database, so it may not be locked for long."""

    def __init__(self, owners: Collection[Owner]) -> None:
        super().__init__("runners work on the database")
        self.owners = tuple(owners)


def database_bytes(tx: Connection) -> tuple[int, int | None]:
    """Return the bytes of a database, and those of free pages; None: a server does not say."""
    if not has_server(tx):
        return page_sizes(tx)
    size = text("SELECT pg_total_relation_size(:name)")
    names = [table.name for table in metadata.sorted_tables]
    return sum(int(tx.execute(size, {"name": name}).scalar_one()) for name in names), None


def compact(store: Store, now: datetime, exited: Collection[str]) -> int:
    """
    Remove the free space of a database; return by how many bytes it is smaller.

    A file is written anew. A server makes the space of removed rows usable again, and gives back
    what is at the ends of tables: that takes no room on its disk. *exited* are the ids of owners
    whose process has ended.

    Raises:
        RunnersWork: A lease of another owner runs.
    """

    def check(tx: Connection) -> None:
        at_work = [each.owner for each in active_workers(tx, now) if each.leased]
        if found := [each for each in at_work if each.id not in exited]:
            raise RunnersWork(found)

    with store.alone(check) as connection:
        before, _ = database_bytes(connection)
        if has_server(connection):
            for table in metadata.sorted_tables:
                connection.execute(text(f"VACUUM (ANALYZE) {table.name}"))
        else:
            connection.exec_driver_sql("VACUUM")
        after, _ = database_bytes(connection)
    return max(before - after, 0)
