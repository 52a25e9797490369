"""Reads the clock of this machine, and the store's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchrunner.store.store import Store


class Here(tzinfo):
    """The time zone of this machine, on any day; the system's own, which has no name."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Return how far its clock is ahead of UTC."""
        return dt.replace(tzinfo=None).astimezone().utcoffset() if dt else None

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return None: the system does not say."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """Return the zone's name at that time."""
        return dt.replace(tzinfo=None).astimezone().tzname() if dt else None

    def fromutc(self, dt: datetime) -> datetime:
        """Return what its clock shows then."""
        shown = dt.replace(tzinfo=UTC).astimezone()
        wall = shown.replace(tzinfo=self)
        return wall.replace(fold=int(wall.utcoffset() != shown.utcoffset()))


def now() -> datetime:
    """Return the time by the clock of this machine."""
    return datetime.now(UTC)


def store_now(store: Store) -> datetime:
    """Return the store's time, which decides what is due, whatever this machine's clock says."""
    from batchrunner.store.store_time import store_time

    return store.read(store_time, now())
