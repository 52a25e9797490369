"""Looks for numbers, and decides whether a small number stands there for the same thing."""

from __future__ import annotations

import re
from typing import NamedTuple

from batchrunner.grounding.folding import is_unspaced
from batchrunner.grounding.found import Where
from batchrunner.grounding.numbers import NumberAt, is_common
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit
from batchrunner.grounding.values import name_words
from batchrunner.grounding.words import (
    CONCEPTS,
    CONCEPTS_OF,
    CURRENCIES_OF,
    MONTHS,
    UNITS,
    concepts_of,
)

#: How far from a number the words may stand that say what it is, in characters.
_BEFORE, _AFTER = 60, 40
#: How far from a number the other values of the same thing may stand, in characters.
_NEAR = 600
_CLOSE = 150
_SIGN_AFTER = re.compile(r"[ \x01]?([^\w\s.,;:()]{1,3}|[^\W\d_]{1,8}\$?)")
_SIGN_BEFORE = re.compile(r"([^\w\s.,;:()]{1,3}|[^\W\d_]{1,8}[.$]?|[^\W\d_]{1,3}\$)[ \x01]?\Z")
_WORD = re.compile(r"[^\W\d_]+")
_SHARES = frozenset({"percent", "percentage", "discount", "rate", "pct", "share", "rabatt"})
_NEXT_WORDS = re.compile(r"[ .-]{0,2}([^\W\d_]+(?: [^\W\d_]+)?)")
_TIMES = frozenset({"h", "hr", "hours", "uhr", "am", "pm", "min", "minutes", "s", "sec"})
_LONG_TIMES = frozenset({"day", "days", "week", "weeks", "month", "months", "year", "years"})
_CLOCK = re.compile(r"\d:\d|\d\s?[ap]\.?m", re.IGNORECASE)
#: A longest line that can be a label, in characters.
_MAX_LABEL = 40


class Subject(NamedTuple):
    """What a number is about: the words of its field, and what else its row says."""

    words: frozenset[str]  #: of the field's name
    concepts: frozenset[str]
    anchors: dict[int, list[int]]  #: where other values of the same row stand, by segment
    currencies: frozenset[str] = frozenset()  #: codes that its sign may stand for


def find_number(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a number; a common one counts only where it is about the same."""
    for segment in index.segments:
        for place in segment.numbers.get(value, ()):
            if not _currency_fits(segment, place, subject.currencies):
                continue
            if not is_common(value) or is_about(segment, place, subject):
                return Hit(segment, place.start, place.end)
    if len(value) >= 4 and "." not in value:
        return _in_address(index, value)
    return None


def _in_address(index: PageIndex, value: str) -> Hit | None:
    pattern = re.compile(rf"(?<!\d){value}(?!\d)")
    for addresses in index.addresses:
        for each in addresses:
            if value in each and pattern.search(each):
                return Hit(None, shown=each)
    return None


def signs_beside(segment: Segment, place: NumberAt) -> list[str]:
    """Return the sign or word right before and after a number, in lower case."""
    text = segment.text
    before = _SIGN_BEFORE.search(text, max(0, place.start - 10), place.start)
    after = _SIGN_AFTER.match(text, place.end)
    return [found[1].lower().strip(" .") for found in (before, after) if found]


def _currency_fits(segment: Segment, place: NumberAt, wanted: frozenset[str]) -> bool:
    if not wanted:
        return True
    shown = [CURRENCIES_OF[sign] for sign in signs_beside(segment, place) if sign in CURRENCIES_OF]
    return not shown or any(wanted & each for each in shown)


def is_about(segment: Segment, place: NumberAt, subject: Subject) -> bool:
    """Say whether a number in a page is about what a field is about."""
    start, end = segment.line_at(place.start)
    rest = segment.folded[start : place.start] + " " + segment.folded[place.end : end]
    if segment.where is not Where.TEXT and not _WORD.search(rest):
        key = segment.key_at(place.start)
        return _key_fits(key, subject) if key else _alone(segment, place, subject)
    if _price_or_share(segment, place, subject):
        return True
    after = _word_after(segment, place)
    if _is_of_another_kind(segment, place, after, subject):
        return False
    if (said := _said_beside(segment, place, subject, after)) is not None:
        return said
    if _WORD.search(rest):
        return _in_words(segment, place, subject, end - start)
    return _alone(segment, place, subject)


def _said_beside(segment: Segment, place: NumberAt, subject: Subject, after: str) -> bool | None:
    """Say whether the words around a number name its field, or another; None: neither."""
    start, end = segment.line_at(place.start)
    beside = _concepts_of_word(after)
    if "time" not in beside and mentions(_label(segment, place, start), subject):
        return True
    if beside and subject.concepts:
        return bool(beside & subject.concepts)
    if mentions(_around(segment, place, start, end), subject):
        return "time" not in beside
    return False if beside else None


def _key_fits(key: str, subject: Subject) -> bool:
    words = frozenset(name_words(key))
    return bool(words & subject.words or concepts_of(words) & subject.concepts)


def _is_of_another_kind(segment: Segment, place: NumberAt, after: str, subject: Subject) -> bool:
    return (
        _is_part_of_time(segment, place)
        or _is_of_date(segment, place, after)
        or _is_in_other_unit(after, subject)
    )


def _is_part_of_time(segment: Segment, place: NumberAt) -> bool:
    around = segment.text[max(0, place.start - 3) : place.end + 3]
    return _CLOCK.search(around) is not None


def _word_after(segment: Segment, place: NumberAt) -> str:
    """Return the words right after a number, folded; "" if a sign is between."""
    found = _NEXT_WORDS.match(segment.text, place.end, place.end + 30)
    return segment.folded[found.start(1) : found.end(1)] if found else ""


def _is_of_date(segment: Segment, place: NumberAt, after: str) -> bool:
    if "." in place.value or after.startswith("out of"):
        return False
    before = segment.folded[max(0, place.start - 14) : place.start].split()[-1:]
    return any(word in MONTHS for word in (*after.split()[:1], *before) if len(word) > 2)


def _is_in_other_unit(after: str, subject: Subject) -> bool:
    """Say whether a number has another unit than the field's name: `24h` for months."""
    unit = after.split(" ")[0]
    for units in UNITS:
        sizes = {units[word] for word in subject.words & units.keys()}
        if unit in units and sizes and units[unit] not in sizes:
            return True
    return unit in _TIMES and bool(subject.words & _LONG_TIMES) and unit not in subject.words


def _concepts_of_word(after: str) -> frozenset[str]:
    """Return what the words right after a number say that it counts."""
    if not after:
        return frozenset()
    if is_unspaced(after[0]):
        spellings = [after[:length] for length in range(1, 5)]
    else:
        spellings = [after.split()[0], " ".join(after.split()[:2])]
    return frozenset().union(*(CONCEPTS_OF.get(each, frozenset()) for each in spellings))


def _price_or_share(segment: Segment, place: NumberAt, subject: Subject) -> bool:
    signs = signs_beside(segment, place)
    if any(sign in CURRENCIES_OF for sign in signs):
        return not subject.concepts or bool(subject.currencies) or "price" in subject.concepts
    return "%" in signs and bool(subject.words & _SHARES)


def _label(segment: Segment, place: NumberAt, start: int) -> str:
    """Return the folded words right before a number."""
    return f" {' '.join(segment.folded[max(start, place.start - 20) : place.start].split()[-2:])} "


def _around(segment: Segment, place: NumberAt, start: int, end: int) -> str:
    """Return the folded words near a number: of its line, and of the lines beside a short one."""
    if end - start <= _MAX_LABEL:
        start = segment.line_at(max(0, start - 2))[0]
        end = segment.line_at(min(len(segment.text), end + 1))[1]
    left, right = max(start, place.start - _BEFORE), min(end, place.end + _AFTER)
    return f" {' '.join(segment.folded[left:right].split())} "


def mentions(around: str, subject: Subject) -> bool:
    """Say whether folded words with spaces between name what a field is about."""
    if any(f" {word[:-1] if word.endswith('s') else word}" in around for word in subject.words):
        return True
    return any(
        _is_word_in(word, around) for concept in subject.concepts for word in CONCEPTS[concept]
    )


def _is_word_in(word: str, around: str) -> bool:
    if is_unspaced(word[0]):
        return word in around
    # A longer word may have an ending: `Stokta`, `Bewertungen`.
    return (f" {word}" if len(word) >= 4 else f" {word} ") in around


def _in_words(segment: Segment, place: NumberAt, subject: Subject, length: int) -> bool:
    """Say whether a number among other words stands close to the other values of its row."""
    distance = _distance(segment, place, subject)
    if distance is None or distance > _CLOSE:
        return False
    if any(sign in CURRENCIES_OF or sign == "%" for sign in signs_beside(segment, place)):
        return False
    # In a language without a known word for this, a short line is believed.
    if not subject.concepts:
        return True
    spoken = f"spoken {sorted(subject.words | subject.concepts)}"
    return length <= _MAX_LABEL and not segment.remember(
        spoken, lambda: mentions(segment.spaced, subject)
    )


def _alone(segment: Segment, place: NumberAt, subject: Subject) -> bool:
    """Say whether a number alone in its line belongs to its row."""
    if _is_counting(segment, place):
        return False
    distance = _distance(segment, place, subject)
    if distance is not None:
        return distance <= _NEAR
    return not subject.anchors


def _distance(segment: Segment, place: NumberAt, subject: Subject) -> int | None:
    anchors = subject.anchors.get(id(segment), [])
    return min((abs(each - place.start) for each in anchors), default=None)


def _is_counting(segment: Segment, place: NumberAt) -> bool:
    """Say whether a number is part of 1, 2, 3…, as links to further pages are."""
    before = segment.text[max(0, place.start - 24) : place.start].split("\n")[:-1][-2:]
    after = segment.text[place.end : place.end + 24].split("\n")[1:][:2]
    lines = [*before, place.value, *after]
    numbers = [int(each) if each.strip().isdigit() else None for each in lines]
    return any(
        None not in (one, two, three) and two - one == 1 == three - two  # type: ignore[operator]
        for one, two, three in zip(numbers, numbers[1:], numbers[2:], strict=False)
    )


def is_shown_short(segment: Segment, start: int, end: int, value: str, subject: Subject) -> bool:
    """Say whether one or two letters in a page are a value, and no small word of a sentence."""
    first, last = segment.line_at(start)
    if not value.isdigit() and segment.text[start : start + len(value)] == value:
        rest = segment.folded[first:start] + " " + segment.folded[end:last]
        if not rest.strip() or (len(value) >= 2 and value.isupper()):
            return True
    around = f" {' '.join(segment.folded[max(first, start - _BEFORE) : end + 20].split())} "
    key = segment.key_at(start) if segment.where is not Where.TEXT else ""
    return mentions(around, subject) or bool(key and _key_fits(key, subject))
