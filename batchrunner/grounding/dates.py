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
#: A month's name with what stands around it.
_NAME = "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True))
_NAMED = re.compile(
    rf"(?:(?<!\w)(\d{{1,2}})(?:st|nd|rd|th|er|o|a|e|ten|th of|i)?[ .,-]*(?:de |del |d |of |ng )?)?"
    rf"(?<![^\W\d_])({_NAME})(?![^\W\d_])"
    rf"(?:[ .,-]*(\d{{1,2}})(?:st|nd|rd|th)?(?![\d:]))?"
    rf"(?:[ .,'-]*(?:de |del |of |r )?((?:19|20|25)\d\d|\d\d(?![\d:])))?"
)
_TIME = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-4])(?:[:h.時时시]\s?([0-5]\d)(?::[0-5]\d(?:\.\d+)?)?[分분]?|(?=\s?(?:[ap]\.?m|uhr|h|時|时|点|시)(?![^\W\d_])))"
    r"(?:\s?([ap])\.?m(?![^\W\d_]))?(?![\d:])",
    re.IGNORECASE,
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
        yield from _valid(year, int(found[3]), int(found[4]), found)


def _numeric(text: str) -> Iterator[DateAt]:
    for found in _YEARS_FIRST.finditer(text):
        day = int(found[3]) if found[3] else None
        yield from _valid(int(found[1]), int(found[2]), day, found)
    for found in _COMPACT.finditer(text):
        yield from _valid(int(found[1]), int(found[2]), int(found[3]), found)
    for found in _YEARS_LAST.finditer(text):
        first, second, year = map(int, found.groups())
        yield from _valid(_full_year(year), second, first, found)
        yield from _valid(_full_year(year), first, second, found)
        if year < 100 and first <= 99:
            yield from _valid(_full_year(first), second, year, found)
    for found in _NO_YEAR.finditer(text):
        if found[3]:
            yield from _valid(None, int(found[1]), int(found[3]), found)
        else:
            yield from _valid(None, int(found[2]), int(found[1]), found)


def _with_names(text: str) -> Iterator[DateAt]:
    plain = folded(text)
    # Signs between the parts are spaces now; each part stands where it stood.
    for found in _NAMED.finditer(plain):
        before, name, after, last = found.groups()
        if not (before or after or last):
            continue
        year = _full_year(int(last)) if last else None
        day = before or after
        if len(last or after or "") == 2 and (before or last):  # it may be an hour
            for month in MONTHS[name]:
                yield from _valid(None, month, int(day) if day else None, found)
        if before and after and not last:
            year = _full_year(int(after))
        for month in MONTHS[name]:
            yield from _valid(year, month, int(day) if day else None, found)
            if day and not last and not (before and after) and int(day) > 12:
                yield from _valid(_full_year(int(day)), month, None, found)


def _full_year(year: int) -> int:
    if year < 100:
        return 2000 + year if year < 70 else 1900 + year
    return year - _BUDDHIST if 2400 < year < 2700 else year


def _valid(year: int | None, month: int, day: int | None, found: re.Match[str]) -> Iterator[DateAt]:
    if year is not None and 2400 < year < 2700:
        year -= _BUDDHIST
    try:
        date(year or 2000, month, day or 1)
    except ValueError:
        return
    if year is None or 1000 <= year <= 2300:
        yield DateAt(year, month, day, *found.span())


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
