"""Dates and times of day in text, in any usual spelling and in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import NamedTuple

from batchrunner.grounding.folding import folded
from batchrunner.grounding.words import MONTHS

_YEARS_FIRST = re.compile(
    r"(?<!\d)(\d{4})\s?[-/.年년]\s?(\d{1,2})(?:\s?[-/.月월]\s?(\d{1,2})(?!\d)[日일]?|\s?[月월]|(?![\d-]))"
)
_YEARS_LAST = re.compile(r"(?<![\d.])(\d{1,2})\s?[-/.]\s?(\d{1,2})\s?[-/.]\s?(\d{4}|\d{2})(?![\d])")
_NO_YEAR = re.compile(r"(?<![\d./年-])(\d{1,2})(?:\.(\d{1,2})\.|[月월]\s?(\d{1,2})[日일])(?!\d)")
_COMPACT = re.compile(r"(?<!\d)(19\d\d|20\d\d)(0[1-9]|1[0-2])([0-3]\d)(?:T\d{4,6}Z?)?(?!\d)")
_ERA = re.compile(r"(令和|平成|昭和)\s?(\d{1,2}|元)年\s?(\d{1,2})月\s?(\d{1,2})日")
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925}
_WORD = re.compile(r"[^\s\d]{2,20}")
#: A day before the name of a month, and a day or year after it, in folded text.
_DAY_BEFORE = re.compile(
    r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|o|a|e|i)? {0,3}(?:de |del |d |of |ng )?\Z"
)
_DAY_AFTER = re.compile(
    r"(?: {0,3}(\d{1,2})(?:st|nd|rd|th)?(?!\d))?"
    r"(?: {0,3}(?:de |del |of |r )?((?:19|20|25)\d\d|\d\d)(?!\d))?"
)
_TIME = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-4])(?:[:h.時时시]\s?([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?[分분]?|(?=\s?(?:[ap]\.?m|uhr|h|時|时|点|시)(?![^\W\d_])))"
    r"(?:\s?([ap])\.?m(?![^\W\d_]))?(?![\d:])",
    re.IGNORECASE,
)
_AFTERNOON = ("오후", "午後", "下午", "晚上")
#: A half of the day in front: `오후 7시`.
_HALF_FIRST = re.compile(
    r"(오후|오전|午後|午前|下午|上午|晚上)\s?(\d{1,2})(?:[시時时点:]\s?([0-5]\d)?)"
)
#: `6-9 pm`: both in the afternoon.
_RANGE = re.compile(
    r"(?<!\d)(\d{1,2})(?::(\d\d))?\s?[-–]\s?(\d{1,2})(?::(\d\d))?\s?([ap])\.?m\b", re.IGNORECASE
)
_ZONED = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?"
)
_BUDDHIST = 543
#: What may stand in a value beside its date: names of days, hours, zones.
_BESIDE = re.compile(r"[\d\s.,:/+\-TZ()年月日년월일]|[^\W\d_]{1,12}\.?")


class DateAt(NamedTuple):
    """A date that a text may mean, and where it stands."""

    year: int | None
    month: int
    day: int | None
    start: int
    end: int


def dates_in(text: str) -> Iterator[DateAt]:
    """Give every date that a text may mean; text is as `readable` returns it."""
    yield from _numeric(text)
    yield from _with_names(text)
    for found in _ERA.finditer(text):
        year = _ERAS[found[1]] + (1 if found[2] == "元" else int(found[2]))
        yield from _valid(year, int(found[3]), int(found[4]), found.span())


def _numeric(text: str) -> Iterator[DateAt]:
    for found in _YEARS_FIRST.finditer(text):
        day = int(found[3]) if found[3] else None
        yield from _valid(int(found[1]), int(found[2]), day, found.span())
    for found in _COMPACT.finditer(text):
        yield from _valid(int(found[1]), int(found[2]), int(found[3]), found.span())
    for found in _YEARS_LAST.finditer(text):
        first, second, year = map(int, found.groups())
        yield from _valid(_full_year(year), second, first, found.span())
        yield from _valid(_full_year(year), first, second, found.span())
        if year < 100 and first <= 99:
            yield from _valid(_full_year(first), second, year, found.span())
    for found in _NO_YEAR.finditer(text):
        if found[3]:
            yield from _valid(None, int(found[1]), int(found[3]), found.span())
        else:
            yield from _valid(None, int(found[2]), int(found[1]), found.span())


def _with_names(text: str) -> Iterator[DateAt]:
    plain = folded(text)
    # Signs between the parts are spaces now; each part stands where it stood.
    for word in _WORD.finditer(plain):
        months = MONTHS.get(word[0]) or MONTHS.get(word[0].removeprefix("ב"))
        if months:
            before = _DAY_BEFORE.search(plain, max(0, word.start() - 14), word.start())
            yield from _beside_name(plain, word, before, months)


def _beside_name(
    plain: str, name: re.Match[str], before: re.Match[str] | None, months: tuple[int, ...]
) -> Iterator[DateAt]:
    after = _DAY_AFTER.match(plain, name.end())
    first, last = after.groups() if after else (None, None)
    if not (before or first or last):
        return
    span = (before.start() if before else name.start(), after.end() if after else name.end())
    if first and last and len(last) == 4:
        before = None  # `Feb 12 - Apr 26, 2027`: it belongs to the month before
    day = before[1] if before else first
    year = last or (first if before else None)
    for month in months:
        number = int(day) if day else None
        yield from _valid(_full_year(int(year)) if year else None, month, number, span)
        if year and len(year) == 2:  # it may be an hour
            yield from _valid(None, month, number, span)
        if not before and not last and number and number > 12:
            yield from _valid(_full_year(number), month, None, span)


def _full_year(year: int) -> int:
    if year < 100:
        return 2000 + year if year < 70 else 1900 + year
    return year - _BUDDHIST if 2400 < year < 2700 else year


def _valid(
    year: int | None, month: int, day: int | None, span: tuple[int, int]
) -> Iterator[DateAt]:
    if year is not None and 2400 < year < 2700:
        year -= _BUDDHIST
    try:
        date(year or 2000, month, day or 1)
    except ValueError:
        return
    if year is None or 1000 <= year <= 2300:
        yield DateAt(year, month, day, *span)


def date_of(value: str) -> list[DateAt]:
    """Return the dates that a whole value may mean; [] if it is not just a date."""
    if len(value) > 60:
        return []
    found = list(dates_in(value))
    whole = max((each.end - each.start for each in found), default=0)
    best = [each for each in found if each.end - each.start == whole]
    if not best:
        return []
    rest = value[: best[0].start] + " " + value[best[0].end :]
    return best if not _BESIDE.sub("", rest) and len(rest.split()) <= 6 else []


def times_in(text: str) -> set[tuple[int, int]]:
    """Return the times of day in a text."""
    found = set[tuple[int, int]]()
    for each in _HALF_FIRST.finditer(text):
        later = 12 if each[1] in _AFTERNOON else 0
        found.add((int(each[2]) % 12 + later, int(each[3] or 0)))
    for each in _RANGE.finditer(text):
        later = 12 if each[5].lower() == "p" else 0
        found.add((int(each[1]) % 12 + later, int(each[2] or 0)))
        found.add((int(each[3]) % 12 + later, int(each[4] or 0)))
    for each in _TIME.finditer(text):
        hour, minute = int(each[1]), int(each[2] or 0)
        half = (each[3] or "").lower()
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        found.add((hour % 24, minute))
    return found


def instants_in(text: str) -> set[datetime]:
    """Return the moments in a text that name their time zone."""
    found = set[datetime]()
    for each in _ZONED.finditer(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in each.groups()[:6])
        zone = each[7]
        if not zone:
            continue
        try:
            moment = datetime(year, month, day, hour, minute, second, tzinfo=_zone(zone))
            found.add(moment.astimezone(UTC))
        except (ValueError, OverflowError):
            continue
    return found


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    hours, minutes = int(text[1:3]), int(text[-2:])
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)
