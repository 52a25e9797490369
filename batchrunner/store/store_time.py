"""The time of the database, and how long a lease lasts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchrunner.store.instants import instant_of
from batchrunner.store.plain_sql import FileTransaction, is_server, rows, text_only

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: How long an owner counts as alive after it last renewed its lease.
LEASE = timedelta(seconds=60)


@text_only
def store_time(tx: Connection | FileTransaction, now: datetime) -> datetime:
    """
    Return the time of the database: its server's, or *now* without one.

    It is never earlier than the newest renewal of a lease, so it does not go back when the
    machine's clock does.
    """
    clock = rows(tx, "SELECT clock_timestamp() AS at")[0].at if is_server(tx) else now
    newest = instant_of(rows(tx, "SELECT max(lease_until) AS until FROM owners")[0].until)
    return clock if newest is None else max(clock, newest - LEASE)
