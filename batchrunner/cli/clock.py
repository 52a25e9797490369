"""Reads the machine's clock, and the ledger's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchrunner.store import Store


def now() -> datetime:
    """Return the time by the clock of this machine."""
    return datetime.now(UTC)


def ledger_now(store: Store) -> datetime:
    """Return the time by which a ledger's jobs are due, whatever this machine's clock says."""
    return store.time(now())
