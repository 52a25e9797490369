"""Finds the moments at which clocks of a zone show a time, across changes of its offset; pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo


def first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """Return when clocks first show *wall*; where they skip it, the moment of the jump."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    return jump_between(second, first, zone)


def jump_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the second between two moments at which clocks jump; they jump once."""
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)
