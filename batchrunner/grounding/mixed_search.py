"""Looks for prices, numbers with units, and numbers that a page rounds or spells out."""

from __future__ import annotations

import re
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, InvalidOperation
from functools import partial
from itertools import islice

from batchrunner.grounding.folding import readable
from batchrunner.grounding.folding import words as words_of
from batchrunner.grounding.number_search import Subject, is_about
from batchrunner.grounding.numbers import NumberAt, canonical_value, is_common, numbers_in
from batchrunner.grounding.page_index import PageIndex, Segment
from batchrunner.grounding.text_search import Hit
from batchrunner.grounding.words import CURRENCIES_OF, NUMBER_WORDS, SCALES, UNITS, concepts_of

_NOT_DIGITS = re.compile(r"[^\d.,'\s]+")
_AROUND = 60
_MAX_PLACES = 60
#: Different numbers of one part that are compared with a value; few pages have so many.
_MAX_NUMBERS = 20_000
_CENTS = re.compile(r"cent|minor|pence|amount", re.IGNORECASE)
_ISO_DURATION = re.compile(r"\bP(?:(\d{1,3})D)?T(?:(\d{1,3})H)?(?:(\d{1,4})M)?")
_HOURS = re.compile(
    r"(\d{1,3})\s?(?:h|hr|hrs|hours?|std\.?|stunden?|heures?|horas?|ore|ч|час\w*|時間|小时)"
    r"[ ,]{0,2}(?:and |und )?"
    r"(\d{1,2})\s?(?:m|min|mins|minutes?|minuten|minutos|minuti|мин\w*|分|分钟)?\b",
    re.IGNORECASE,
)


def price_parts(value: str) -> tuple[list[str], frozenset[str]] | None:
    """
    Return the numbers that a text may mean and the currencies of its sign.

    None if the text holds more than one number with a sign, a currency or `%`.
    """
    text = readable(value).strip()
    if len(text) > 40 or not any(map(str.isdigit, text)):
        return None
    numbers = list(numbers_in(text))
    spans = {(each.start, each.end) for each in numbers}
    if not numbers or len({start for start, _ in spans}) != 1:
        longest = max(numbers, key=lambda each: each.end - each.start, default=None)
        if longest is None or any(
            not (longest.start <= start and end <= longest.end) for start, end in spans
        ):
            return None
        numbers = [each for each in numbers if each[1:] == longest[1:]]
    if re.match(r"0\d", text) and text.isdigit():
        return None
    end = max(each.end for each in numbers)
    whole = [each.value for each in numbers if each.end == end]
    signs = [
        sign.strip(".").lower()
        for sign in _NOT_DIGITS.findall(text[: numbers[0].start] + " " + text[end:])
        if sign.strip(".,+-–—~*/:")
    ]
    if any(sign != "%" and sign not in CURRENCIES_OF for sign in signs):
        return None
    currencies = [CURRENCIES_OF[sign] for sign in signs if sign in CURRENCIES_OF]
    return whole, frozenset.intersection(*currencies) if currencies else frozenset()


def find_mixed(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a text with numbers, in other spellings or other words."""
    text = readable(value)
    groups: dict[int, set[str]] = {}
    for each in numbers_in(text):
        groups.setdefault(each.start, set()).add(each.value)
    if not groups or len(groups) > 8:
        return None
    words = [
        word
        for word in words_of(text)
        if not word.isdigit() and word not in SCALES and word not in CURRENCIES_OF
    ]
    if any(any(map(str.isdigit, word)) and not _unit(word) for word in words):
        return None
    bare = {word.lstrip("0123456789") for word in words} - {""}
    first, *others = groups.values()
    about = subject._replace(
        words=subject.words | bare, concepts=subject.concepts | concepts_of(bare)
    )
    for segment in index.segments:
        for number in first:
            for place in segment.numbers.get(number, ())[:_MAX_PLACES]:
                hit = _compare(segment, place, bare, others, about)
                if hit:
                    return hit
    return None


def _unit(word: str) -> bool:
    return re.fullmatch(r"\d+[^\W\d_]{1,12}\d?", word) is not None


def _compare(
    segment: Segment, place: NumberAt, words: set[str], others: list[set[str]], subject: Subject
) -> Hit | None:
    left, right = max(0, place.start - _AROUND), place.end + _AROUND
    if others:
        beside = {each.value for each in numbers_in(segment.seamed[left:right])}
        if not all(each & beside for each in others):
            return None
    around = set(re.findall(r"[^\W\d_]+\d?", segment.folded[left:right]))
    if all(word in around or _short(word, around) for word in words):
        return Hit(segment, place.start, place.end)
    if is_about(segment, place, subject) and concepts_of(words):
        return Hit(segment, place.start, place.end, how="said in other words")
    return None


def _short(word: str, around: set[str]) -> bool:
    return any(
        len(each) >= 1 and each[0] == word[0] and (word.startswith(each) or each.startswith(word))
        for each in around
    )


def find_rounded(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a number that the value rounds, or cuts the decimals of."""
    places = len(value.partition(".")[2])
    if len(value) < 2:
        return None
    step, wanted = Decimal(1).scaleb(-places), Decimal(value)
    for segment in index.segments:
        for shown, at in segment.remember("fractions", partial(_fractions, segment)):
            if not _may_round(shown, places) or wanted not in _rounded(shown, step):
                continue
            for place in at:
                if not is_common(value) or is_about(segment, place, subject):
                    return Hit(segment, place.start, place.end, how="rounded")
    return None


def _fractions(segment: Segment) -> list[tuple[str, list[NumberAt]]]:
    """Return the numbers of a part that have decimals."""
    found = ((shown, at) for shown, at in segment.numbers.items() if _may_round(shown, 0))
    return list(islice(found, _MAX_NUMBERS))


def find_scaled(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a number that a field counts in thousands or millions."""
    zeros = next((SCALES[word] for word in subject.words if len(word) > 4 and word in SCALES), None)
    step = Decimal(1).scaleb(-len(value.partition(".")[2]))
    for segment in index.segments if zeros else ():
        for shown, at in islice(segment.numbers.items(), _MAX_NUMBERS):
            if len(shown) < 20 and Decimal(value) in _rounded(
                str(Decimal(shown).scaleb(-(zeros or 0))), step
            ):
                return Hit(segment, at[0].start, at[0].end, how="in another unit")
    return None


def find_cents(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a price in a page's data that counts cents."""
    cents = canonical_value(Decimal(value) * 100) if "price" in subject.concepts else None
    for segment in index.segments if cents else ():
        for place in segment.numbers.get(cents or "", ()):
            if _CENTS.search(segment.key_at(place.start)):
                return Hit(segment, place.start, place.end, how="in another unit")
    return None


def _may_round(shown: str, places: int) -> bool:
    return "." in shown and len(shown.partition(".")[2]) > places and len(shown) <= 20


def _rounded(shown: str, step: Decimal) -> set[Decimal]:
    try:
        exact = Decimal(shown)
        return {exact.quantize(step, ROUND_HALF_UP), exact.quantize(step, ROUND_FLOOR)}
    except InvalidOperation:
        return set()


def find_with_unit(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place of a number in another unit than the field's name says: 1.5 kg for 1500."""
    for units in UNITS:
        for unit in subject.words & units.keys():
            inner = Decimal(value) * Decimal(units[unit])
            for other, size in units.items():
                shown = canonical_value((inner / Decimal(size)).quantize(Decimal("1e-6")))
                if size != units[unit] and shown and (hit := _with_unit(index, shown, other)):
                    return hit
            if unit in ("min", "mins", "minutes") and (hit := _hours(index, Decimal(value))):
                return hit
    return None


def _with_unit(index: PageIndex, value: str, unit: str) -> Hit | None:
    for segment in index.segments:
        for place in segment.numbers.get(value, ()):
            if segment.folded[place.end : place.end + 12].split()[:1] == [unit]:
                return Hit(segment, place.start, place.end, how="in another unit")
    return None


def _hours(index: PageIndex, minutes: Decimal) -> Hit | None:
    for segment in index.segments:
        place = segment.remember("hours", partial(_durations, segment)).get(minutes)
        if place:
            return Hit(segment, *place, how="in another unit")
    return None


def _durations(segment: Segment) -> dict[int | Decimal, tuple[int, int]]:
    """Return the first place of each duration with hours or as ISO 8601 has it, in minutes."""
    first: dict[int | Decimal, tuple[int, int]] = {}
    for found in _ISO_DURATION.finditer(segment.text):
        days, hours, rest = (int(part or 0) for part in found.groups())
        first.setdefault(days * 1440 + hours * 60 + rest, found.span())
    for found in _HOURS.finditer(segment.text):
        first.setdefault(int(found[1]) * 60 + int(found[2]), found.span())
    return first


def find_word_for_number(index: PageIndex, value: str, subject: Subject) -> Hit | None:
    """Return the place where a page spells a small number out."""
    for word, number in NUMBER_WORDS.items():
        if number != value:
            continue
        for segment in index.segments[:2]:
            if f" {word} " not in segment.spaced:
                continue
            for place in segment.places([word]):
                at = NumberAt(value, *place.span())
                if is_about(segment, at, subject):
                    return Hit(segment, *place.span(), how="spelled out")
    return None
