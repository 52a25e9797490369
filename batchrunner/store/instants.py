"""Moments as the database stores them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


# What happens in one transaction mostly happens at one moment: it is converted once.
@lru_cache(maxsize=256)
def stored_instant(at: datetime) -> str:
    """Return an aware datetime as the database stores it: text with microseconds."""
    # Not strftime: it writes the year 1, which some servers start with, as "1".
    naive = at.astimezone(UTC).replace(tzinfo=None)
    return naive.isoformat(timespec="microseconds") + "Z"


def instant_text(at: datetime | None) -> str | None:
    """Return a moment as the database stores it; None for NULL."""
    return None if at is None else stored_instant(at)


@lru_cache(maxsize=1024)
def instant_of(stored: str | None) -> datetime | None:
    """Return the moment that a column has; None for NULL."""
    return None if stored is None else datetime.fromisoformat(stored)
