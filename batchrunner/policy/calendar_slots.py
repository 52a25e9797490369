"""Calendar slots of a series, such as days in a time zone: which one a moment is in; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from batchrunner.policy.clock_changes import first_moment

EVERY_SAYS = "`1d`, `12h`, `1w`, `1mo`, `30min`, or `1d@18:00` for days that begin at 18:00"
#: The most days, weeks or months of a slot.
MAX_COUNT = 366


class Unit(StrEnum):
    """What slots are counted in."""

    MINUTES = "min"
    HOURS = "h"
    DAYS = "d"
    WEEKS = "w"
    MONTHS = "mo"


#: How a slot is named: by its first minute, hour, day, week or month.
_NAMES = {
    Unit.MINUTES: "%Y-%m-%dT%H%M",
    Unit.HOURS: "%Y-%m-%dT%H",
    Unit.DAYS: "%Y-%m-%d",
    Unit.WEEKS: "%G-W%V",
    Unit.MONTHS: "%Y-%m",
}
_MOMENT = "%Y-%m-%dT%H%M%S"
#: Each pattern of a name, and what completes the name to a moment.
_PATTERNS = (
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}"), "", _MOMENT),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{4}"), "", _NAMES[Unit.MINUTES]),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}"), "", _NAMES[Unit.HOURS]),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "", _NAMES[Unit.DAYS]),
    (re.compile(r"[0-9]{4}-W[0-9]{2}"), "-1", "%G-W%V-%u"),
    (re.compile(r"[0-9]{4}-[0-9]{2}"), "", _NAMES[Unit.MONTHS]),
)
_EVERY = re.compile(
    r"(?P<count>[0-9]{1,3}) ?(?P<unit>min|h|d|w|mo)"
    r"(?:@(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9]))?"
)
#: Units that a larger one must be a multiple of: else the last slot of a day or year is short.
_WHOLE = {Unit.MINUTES: (60, "an hour"), Unit.HOURS: (24, "a day"), Unit.MONTHS: (12, "a year")}
#: Different ways to write the same length.
_SAME = {(60, Unit.MINUTES): (1, Unit.HOURS), (24, Unit.HOURS): (1, Unit.DAYS)}
_SAME |= {(7, Unit.DAYS): (1, Unit.WEEKS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Every:
    """How long the slots of a series are."""

    count: int
    unit: Unit
    starts: timedelta = timedelta(0)  #: after midnight; only slots of days, weeks and months

    def __str__(self) -> str:
        """Return it as options and job files spell it."""
        hour, minute = divmod(self.starts // timedelta(minutes=1), 60)
        clock = f"@{hour:02}:{minute:02}" if self.starts else ""
        return f"{self.count}{self.unit}{clock}"

    def begin(self, wall: datetime) -> datetime:
        """Return when the slot of *wall* begins; weeks begin on Mondays."""
        return self._begin(wall - self.starts) + self.starts

    def began(self, edition: str) -> datetime | None:
        """Return when an edition of this name began, by the clocks of its zone; None: no name."""
        begin = begin_of(edition)
        is_moment = _PATTERNS[0][0].fullmatch(edition)
        return begin if begin is None or is_moment else begin + self.starts

    def name(self, begin: datetime) -> str:
        """Return the name of the slot that begins at *begin*."""
        return (begin - self.starts).strftime(_NAMES[self.unit])

    def _begin(self, wall: datetime) -> datetime:
        midnight = datetime.combine(wall.date(), time())
        match self.unit:
            case Unit.MINUTES | Unit.HOURS:
                return wall - (wall - midnight) % self._length
            case Unit.DAYS | Unit.WEEKS:  # the first day of the calendar is a Monday
                days = (wall.date().toordinal() - 1) % self._length.days
                return midnight - timedelta(days=days)
            case Unit.MONTHS:
                return _month((wall.year * 12 + wall.month - 1) // self.count * self.count)

    def next(self, begin: datetime) -> datetime:
        """Return when the slot after the one that begins at *begin* begins."""
        if self.unit is Unit.MONTHS:
            first = begin - self.starts
            return _month(first.year * 12 + first.month - 1 + self.count) + self.starts
        return begin + self._length

    @property
    def _length(self) -> timedelta:
        minutes = {Unit.MINUTES: 1, Unit.HOURS: 60, Unit.DAYS: 1440, Unit.WEEKS: 7 * 1440}
        return timedelta(minutes=self.count * minutes[self.unit])


def _month(months: int) -> datetime:
    return datetime.combine(date(months // 12, months % 12 + 1, 1), time())


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A stretch of the calendar for which a series has one edition."""

    name: str  #: such as `2026-12-01`
    wall: datetime  #: when it begins, by the clocks of its zone
    begins: datetime
    ends: datetime  #: when the next one begins


def parse_every(text: str) -> Every:
    """
    Return how long the slots are that a text names.

    Raises:
        ValueError: It names none; the message says what to write.
    """
    found = _EVERY.fullmatch(text.strip())
    if found is None:
        tip = "; minutes are `min`, and months are `mo`" if text.strip().endswith("m") else ""
        raise ValueError(f"write {EVERY_SAYS}{tip}")
    written = int(found["count"]), Unit(found["unit"])
    count, unit = _SAME.get(written, written)
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"give a number from 1 to {MAX_COUNT}")
    whole, name = _WHOLE.get(unit, (count, ""))
    if whole % count:
        fitting = ", ".join(f"{each}{unit}" for each in range(1, whole + 1) if whole % each == 0)
        raise ValueError(f"slots must divide {name} evenly: write one of {fitting}")
    starts = timedelta(hours=int(found["hour"] or 0), minutes=int(found["minute"] or 0))
    if starts and unit in (Unit.MINUTES, Unit.HOURS):
        raise ValueError("only slots of days, weeks and months may begin at another hour")
    return Every(count=count, unit=unit, starts=starts)


def slot_at(now: datetime, every: Every, zone: tzinfo) -> Slot:
    """
    Return the slot that *now* is in, by the clocks of a zone.

    A slot that clocks skip does not exist. Where they go back, the slot before the change lasts
    until they show a time that they have not shown before, so that a later moment is never in an
    earlier slot.
    """
    begin = every.begin(now.astimezone(zone).replace(tzinfo=None, fold=0))
    while (ends := first_moment(every.next(begin), zone)) <= now:
        begin = every.next(begin)
    return Slot(name=every.name(begin), wall=begin, begins=first_moment(begin, zone), ends=ends)


def name_of_moment(now: datetime, zone: tzinfo) -> str:
    """Return the name of an edition that begins *now*, whatever the slot."""
    return now.astimezone(zone).strftime(_MOMENT)


def begin_of(name: str) -> datetime | None:
    """Return when an edition of this name begins, by the clocks of its zone; None: no name."""
    for pattern, rest, format in _PATTERNS:
        if pattern.fullmatch(name):
            try:
                return datetime.strptime(name + rest, format)  # noqa: DTZ007 - it has no zone
            except ValueError:
                return None
    return None


def covers_slot(newest: str, slot: Slot, every: Every) -> bool:
    """
    Whether an edition belongs to a slot or to a later one, so that the slot begins no other.

    A later one means that the clock has gone back, or another zone or length is given.
    """
    began = every.began(newest)
    return began is not None and began >= slot.wall
