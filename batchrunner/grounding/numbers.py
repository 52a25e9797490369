"""Numbers in text, in any spelling: `1,299.00`, `1.299,-`, `1 299`, `12,34,567`, `1.3k`, `½`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

from batchrunner.grounding.folding import SEAM, folded, is_unspaced
from batchrunner.grounding.words import CURRENCIES_OF, SCALES

_GAP = rf"{SEAM}?[.,' ]?{SEAM}?"
#: At most so many digits with single separators between; longer runs are no quantities.
_RUN = re.compile(rf"\d(?:(?:{_GAP})\d){{0,40}}+")
_SCALE = re.compile(r"[ \x01]?([^\W\d_]{1,10}\.?)")
_GROUPED = re.compile(
    r"\d{1,3}(?:([.,' ])\d{3})(?:\1\d{3})*|\d{1,2}(?:,\d{2})+,\d{3}|\d{1,4}(?:([, ])\d{4})+"
)
_UNSPACED = re.compile(rf"[^ {SEAM}]+")
_BETWEEN_COMMAS = re.compile(r"[^,]+")
_PARTS = re.compile(r"\d+")
_MIXED = re.compile(r"(\d[\d.,' ]*?)([.,])(\d+)")
_LETTERS_BEFORE = re.compile(r"[^\W\d_]{1,7}\.?\Z")
_BIG_UNITS = re.compile(r"(\d{1,4})([億亿억])\s?(\d{1,4})([万萬만])")
#: A fraction as recipes have it: `3/4`, `2 1/2`.
_PART_OF = re.compile(r"(?<![\d/.,])(?:(\d{1,2}) )?([1-7])/([2-8])(?![\d/.,])")
#: `12-15k`: the first number is in thousands too.
_SHARED_SCALE = re.compile(
    r"(?<![\d.,])(\d{1,4}(?:[.,]\d{1,2})?)\s?(?:[-–—~]|to|bis|à|a|до|hasta|til|do)\s?[€£$¥]?"
    r"\d{1,4}(?:[.,]\d{1,2})? ?([^\W\d_]{1,10})"
)
#: The sign of a currency in place of the point: `349 € 99`.
_SIGN_INSIDE = re.compile(r"(?<![\d.,])(\d{1,3}(?:[ .,]?\d{3}){0,4})\s?[€£$]\s?(\d\d)(?![\d.,])")
#: Numbers with more digits are looked for as text.
MAX_DIGITS = 24


class NumberAt(NamedTuple):
    """A number that a text may mean, and where it stands."""

    value: str  #: canonical: digits, and decimals without zeros at the end
    start: int
    end: int


def canonical(text: str) -> str:
    """Return ASCII digits with an optional point in their shortest form."""
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{decimals}" if decimals else whole


def canonical_value(value: float | Decimal) -> str | None:
    """Return the canonical form of a number without its sign; None if it is not a usual number."""
    try:
        number = abs(Decimal(str(value)))
        if not number.is_finite() or (number and abs(number.adjusted()) > MAX_DIGITS):
            return None
        return canonical(f"{number:f}")
    except (InvalidOperation, ValueError):
        return None


def numbers_in(text: str) -> Iterator[NumberAt]:
    """Give every number that a text may mean; text is as `readable` returns it."""
    for run in _RUN.finditer(text):
        start, end = run.span()
        before = text[start - 1] if start else " "
        if before.isalpha() and not _may_touch(text, start):
            continue
        for value, left, right in _readings_of(run[0]):
            each = NumberAt(value, start + left, start + right)
            yield each
            if each.end == end and (
                text[end : end + 1].isalpha() or text[end + 1 : end + 2].isalpha()
            ):
                yield from _scaled(text, each)
    yield from _rare_forms(text)


def _rare_forms(text: str) -> Iterator[NumberAt]:
    for found in _PART_OF.finditer(text) if "/" in text else ():
        part = Decimal(found[2]) / Decimal(found[3]) + int(found[1] or 0)
        yield NumberAt(canonical(f"{part:.4f}"), *found.span())
    for span in _SHARED_SCALE.finditer(text):
        zeros = _zeros(span[2])
        for each in _whole(span[1]) if zeros else ():
            scaled = canonical_value(Decimal(each).scaleb(zeros))
            if scaled:
                yield NumberAt(scaled, *span.span(1))
    for found in _SIGN_INSIDE.finditer(text):
        whole = re.sub(r"\D", "", found[1])
        yield NumberAt(canonical(f"{whole}.{found[2]}"), *found.span())
    for found in _BIG_UNITS.finditer(text):
        value = int(found[1]) * 10**8 + int(found[3]) * 10**4
        yield NumberAt(str(value), *found.span())


def _may_touch(text: str, start: int) -> bool:
    """Say whether the letters right before a number leave it a number: a currency, or CJK."""
    if is_unspaced(text[start - 1]):
        return True
    letters = _LETTERS_BEFORE.search(text, max(0, start - 8), start)
    return letters is not None and (
        letters[0].rstrip(".").lower() in CURRENCIES_OF or letters[0] == "x"
    )


@lru_cache(maxsize=4096)
def _readings_of(run: str) -> tuple[NumberAt, ...]:
    """Return what a run of digits may mean, with places that count from its start."""
    if run.isdigit():
        return (NumberAt(canonical(run), 0, len(run)),)
    return tuple(_readings(run, 0))


def _readings(run: str, start: int) -> Iterator[NumberAt]:
    """Give what a run of digits with separators may mean, as a whole and in its parts."""
    joined = run.replace(SEAM, "")
    if SEAM in run:
        # A small `99` after `19` is often shown raised, without a point.
        parts = run.replace(SEAM, " ").split()
        if len(parts) == 2 and len(parts[1]) == 2 and parts[1].isdigit():
            for value in _whole(f"{parts[0]}.{parts[1]}"):
                yield NumberAt(value, start, start + len(run))
    for value in _whole(joined):
        yield NumberAt(value, start, start + len(run))
    if " " in run or SEAM in run:
        yield from _pieces(run, start, _UNSPACED)
    elif not any(True for _ in _whole(joined)):
        yield from _pieces(run, start, _BETWEEN_COMMAS if "," in run else _PARTS)


def _pieces(run: str, start: int, pattern: re.Pattern[str]) -> Iterator[NumberAt]:
    for piece in pattern.finditer(run):
        text = piece[0].strip(".,'")
        whole = list(_whole(text))
        at = start + piece.start()
        yield from (NumberAt(value, at, at + len(piece[0])) for value in whole)
        if not whole:
            for part in _PARTS.finditer(text):
                yield NumberAt(canonical(part[0]), at + part.start(), at + part.end())


def _whole(text: str) -> Iterator[str]:
    """Give the readings of one number with its separators: grouped, decimal, or both."""
    if text.isdigit():
        yield canonical(text)
        return
    if _GROUPED.fullmatch(text):
        yield canonical(re.sub(r"\D", "", text))
    if found := _MIXED.fullmatch(text):
        whole, point, decimals = found.groups()
        if whole.isdigit() or (point not in whole and _GROUPED.fullmatch(whole)):
            yield canonical(f"{re.sub(r'[^0-9]', '', whole)}.{decimals}")


def _scaled(text: str, number: NumberAt) -> Iterator[NumberAt]:
    found = _SCALE.match(text, number.end)
    if not found:
        return
    if zeros := _zeros(found[1]):
        scaled = canonical_value(Decimal(number.value).scaleb(zeros))
        if scaled:
            yield NumberAt(scaled, number.start, found.end())


def _zeros(text: str) -> int:
    """Return how many zeros the word right after a number stands for; 0: it is not such a word."""
    word = folded(text).strip()
    if word and is_unspaced(word[0]):
        return SCALES.get(word) or SCALES.get(word[0], 0)
    return SCALES.get(word, 0)


def is_common(value: str) -> bool:
    """
    Say whether a number stands in many pages by chance.

    Such are numbers below 1000 of up to two digits beside zeros at the end, and years.
    """
    digits = value.replace(".", "").strip("0")
    whole = value.partition(".")[0]
    return (len(digits) <= 2 and len(whole) <= 3) or (len(value) == 4 and value[:2] in ("19", "20"))
