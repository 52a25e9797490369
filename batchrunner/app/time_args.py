"""Parses times of day and dates, such as 07:00 or 2026-10-25T02:30+01:00, across clock changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from batchrunner.policy.clock_changes import jump_between

_TEXT = re.compile(
    r"(?P<when>(?:[0-9]{4}-?[0-9]{2}-?[0-9]{2}\s+)?[^\s\[]+)"
    r"(?:\s+(?P<zone>[^\s\[\]]+)|\[(?P<bracketed>[^\[\]]+)\])?"
)
_TIME_OF_DAY = re.compile(r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})")
#: Days around today that are searched for the next such time; zones differ in their date.
DAYS_SEARCHED = range(-1, 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeArgument:
    """A point in time, with a note if clocks show it twice or never."""

    at: datetime
    note: str | None = None


def parse_time(text: str, now: datetime, here: tzinfo) -> TimeArgument:
    """
    Return the point in time that a text names.

    HH:MM is the next such time after *now*. Times are in the zone *here*, unless a zone follows
    (`22:00 Europe/Berlin`) or, after a date, an offset.

    Raises:
        ValueError: The text names no point in time; the message says why.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is neither HH:MM nor a date and time")
    name = found["zone"] or found["bracketed"]
    zone = _zone(name) if name else here
    if clock := _TIME_OF_DAY.fullmatch(found["when"]):
        return _next(_time_of_day(clock), now, zone)
    return _dated(found["when"], zone, named=name is not None)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def _time_of_day(clock: re.Match[str]) -> time:
    try:
        return time(int(clock["hour"]), int(clock["minute"]))
    except ValueError as error:
        raise ValueError(f"no clock shows {clock.group()}") from error


def _dated(when: str, zone: tzinfo, *, named: bool) -> TimeArgument:
    try:
        wall = datetime.fromisoformat("T".join(when.split()))
    except ValueError as error:
        raise ValueError("it is neither HH:MM nor a date and time") from error
    if re.fullmatch(r"[0-9W-]+", when):
        raise ValueError("it names a day and no hour")
    if wall.tzinfo is None:
        return _meanings(wall, zone)[0]
    if named:
        raise ValueError("it names an offset and a zone: which one?")
    return TimeArgument(at=wall.astimezone(UTC))


def _next(at: time, now: datetime, zone: tzinfo) -> TimeArgument:
    today = now.astimezone(zone).date()
    candidates = [each for day in DAYS_SEARCHED for each in _meanings(_on(today, day, at), zone)]
    return min((each for each in candidates if each.at > now), key=lambda each: each.at)


def _on(today: date, days: int, at: time) -> datetime:
    return datetime.combine(today + timedelta(days=days), at)


def _meanings(wall: datetime, zone: tzinfo) -> list[TimeArgument]:
    """Return the points in time at which clocks show *wall*, in order."""
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return [TimeArgument(at=first.astimezone(UTC))]
    shown = f"{wall:%H:%M}"
    if first.astimezone(UTC) < second.astimezone(UTC):
        return [
            TimeArgument(
                at=each.astimezone(UTC), note=f"{shown} comes twice that night: the {which} one"
            )
            for which, each in (("first", first), ("second", second))
        ]
    jump = jump_between(second.astimezone(UTC), first.astimezone(UTC), zone)
    after = jump.astimezone(zone)
    return [
        TimeArgument(at=jump, note=f"there is no {shown} that night: {after:%H:%M}, after the jump")
    ]
