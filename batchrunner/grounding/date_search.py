"""Looks for dates and times of day, in any spelling."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice

from batchrunner.grounding.dates import DateAt, date_of, dates_in, instants_in, times_in
from batchrunner.grounding.folding import is_unspaced
from batchrunner.grounding.numbers import NumberAt
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit, has_unspaced
from batchrunner.grounding.words import CONCEPTS_OF, RELATIVE_DATES

#: A longest line that may be just "3 days ago", in characters.
_MAX_RELATIVE = 48
_SAYS_TIME = re.compile(r"\d:\d\d|\d\s?(?:[ap]\.?m|uhr|h|時|时|点|시)", re.IGNORECASE)
_MAX_PLACES = 500
#: Different dates of one part that are known; no page has so many.
_MAX_DATES = 20_000
_RELATIVE = re.compile(
    "|".join(
        re.escape(word) if is_unspaced(word[0]) else rf"(?<!\w){re.escape(word)}(?!\w)"
        for word in sorted(RELATIVE_DATES, key=len, reverse=True)
    )
)
_ONLY_TIMES = re.compile(
    r"[\d:.h時时시分분\s–\-~apm]+(?:uhr|to|bis|until|à)?[\d:.h\s–\-~apm]*(?:uhr)?", re.IGNORECASE
)


def find_date(index: PageIndex, value: str) -> Hit | None:
    """Return the place of a date; derived where the page shows less of it."""
    wanted = date_of(value)
    if not wanted:
        return None
    if hit := _same_moment(index, value):
        return hit
    if not (hit := _best(index, wanted)):
        return _stamp(index, wanted) or _relative(index)
    times = times_in(value) - {(0, 0)}
    if times and not hit.how and hit.segment and not _shows_times(hit, times):
        return hit._replace(how="its time of day is not beside it")
    return hit


def _best(index: PageIndex, wanted: list[DateAt]) -> Hit | None:
    best: Hit | None = None
    months = {each.month for each in wanted}
    for segment in index.segments:
        dates = segment.remember("dates", partial(_dates, segment))
        for shown in (date for month in months for date in dates.get(month, ())):
            how = _compare(shown, wanted)
            if how == "":
                return Hit(segment, shown.start, shown.end)
            if how and best is None:
                best = Hit(segment, shown.start, shown.end, how=how)
    return best


def _dates(segment: Segment) -> dict[int, list[DateAt]]:
    """Return the first place of each date of a part, by month."""
    first: dict[tuple[int | None, int, int | None], DateAt] = {}
    for shown in dates_in(segment.text):
        if len(first) >= _MAX_DATES:
            break
        first.setdefault(shown[:3], shown)
    by_month: dict[int, list[DateAt]] = {}
    for each in first.values():
        by_month.setdefault(each.month, []).append(each)
    return by_month


def _instants(segment: Segment) -> set[datetime]:
    return segment.remember("instants", lambda: instants_in(segment.text))


def _compare(shown: DateAt, wanted: list[DateAt]) -> str | None:
    """Return how a date in a page differs from a value; None if it is another one."""
    for each in wanted:
        if shown.month != each.month:
            continue
        if shown.day == each.day or each.day is None:
            if shown.year == each.year or each.year is None:
                return ""
            if shown.year is None and shown.day is not None:
                return "its year is not in the page"
    return None


def _shows_times(hit: Hit, times: set[tuple[int, int]]) -> bool:
    assert hit.segment is not None
    text = hit.segment.text
    return times <= times_in(text[max(0, hit.start - 100) : hit.end + 100])


def _same_moment(index: PageIndex, value: str) -> Hit | None:
    wanted = instants_in(value)
    if not wanted:
        return None
    for segment in index.segments:
        if wanted <= _instants(segment):
            return Hit(segment, shown=value)
    return None


def _stamp(index: PageIndex, wanted: list[DateAt]) -> Hit | None:
    """Return the place of a date that is written as seconds since 1970."""
    for each in wanted:
        if each.year is None or each.day is None or each.year < 1971:
            continue
        begin = datetime(each.year, each.month, each.day, tzinfo=UTC)
        first, last = begin - timedelta(hours=14), begin + timedelta(hours=38)
        for segment in index.segments:
            for second, place in segment.remember("stamps", partial(_stamps, segment)):
                if first.timestamp() <= second < last.timestamp():
                    return Hit(segment, place.start, place.end)
    return None


def _stamps(segment: Segment) -> list[tuple[int, NumberAt]]:
    """Return the numbers of a part that can be seconds or milliseconds since 1970."""
    stamps = (
        (int(number[:10]), places[0])
        for number, places in segment.numbers.items()
        if len(number) in (10, 13) and number.isdigit()
    )
    return list(islice(stamps, _MAX_DATES))


def _relative(index: PageIndex) -> Hit | None:
    """Return the place of a date such as "3 days ago"; which day it means is not checked."""
    segment = index.segments[0]  # the text: the data of a page has no such dates
    place = segment.remember("relative", lambda: _relative_line(segment))
    return Hit(segment, *place, how="the page shows a relative date") if place else None


def _relative_line(segment: Segment) -> tuple[int, int] | None:
    for found in islice(_RELATIVE.finditer(segment.folded), _MAX_PLACES):
        start, end = segment.line_at(found.start())
        words = segment.folded[start : min(end, start + _MAX_RELATIVE + 1)].split()
        if end - start > _MAX_RELATIVE or not words:
            continue
        counts = any(map(str.isdigit, "".join(words))) and any(map(_is_time, words))
        if counts or len(words) <= 2:
            return start, end
    return None


def _is_time(word: str) -> bool:
    bare = word.lstrip("0123456789")
    parts = [bare[:length] for length in range(1, 4)] if has_unspaced(bare) else [bare]
    return any("time" in CONCEPTS_OF.get(each, ()) for each in parts)


def find_times(index: PageIndex, value: str) -> Hit | None:
    """Return the place of times of day: `7:30 pm` for `19:30`."""
    wanted = times_in(value) if _SAYS_TIME.search(value) else None
    if not wanted or not _ONLY_TIMES.fullmatch(value):
        return None
    for segment in index.segments:
        for start, end, times in segment.remember("times", partial(_times, segment)):
            if wanted <= times:
                return Hit(segment, start, end)
    return None


def _times(segment: Segment) -> list[tuple[int, int, set[tuple[int, int]]]]:
    """Return the start of each line with times of day, its end for an excerpt, and the times."""
    found, start = [], 0
    for line in segment.text.split("\n"):
        if len(line) < 2000 and (times := times_in(line)):
            found.append((start, start + min(len(line), 60), times))
        start += len(line) + 1
    return found
