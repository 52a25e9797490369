"""Counts, spans and moments, as a person says them."""

from __future__ import annotations

from datetime import datetime, timedelta


def clock(span: timedelta) -> str:
    """Return a span of time as a person says it: 8s, 3m 20s, 2h 05m."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02}s"
    return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"


def local(moment: datetime) -> str:
    """Return a moment as the clock on the user's wall shows it."""
    return f"{moment.astimezone():%H:%M:%S}"


def dated(moment: datetime | None) -> str:
    """Return a moment that may be on another day, as the user's wall shows it; "" for none."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z}" if moment else ""


def counted(count: int, thing: str) -> str:
    """Return so many things, with an s where it belongs."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
