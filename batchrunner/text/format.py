"""Counts, durations and times in words for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal


def clock(span: timedelta) -> str:
    """Return a duration for people: 8s, 3m 20s, 2h 05m."""
    seconds = round(span.total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02}s"
    return f"{seconds // 3600}h {seconds % 3600 // 60:02}m"


def local(moment: datetime) -> str:
    """Return the time of day in the user's time zone."""
    return f"{moment.astimezone():%H:%M:%S}"


def dated(moment: datetime | None) -> str:
    """Return date and time in the user's time zone; "" for None."""
    return f"{moment.astimezone():%a %Y-%m-%d %H:%M:%S %Z}" if moment else ""


def counted(count: int, thing: str) -> str:
    """Return a count with its noun, in the plural unless the count is 1."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def byte_size(count: float) -> str:
    """Return a number of bytes in the unit that people use."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def percent(share: float) -> str:
    """Return a measured share as a percentage: 0% is none, and 100% is all."""
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    return f"{min(max(100 * share, 0.1), 99.9):.1f}%"


def exact_percent(share: Decimal) -> str:
    """Return a share that a user wrote as a percentage, with all its digits."""
    return f"{(share * 100).normalize():f}%"
