"""What single values are: their type, their number, currency and unit, their language, a banner."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from batchrunner.quality.words import (
    BANNERS,
    CURRENCIES,
    LANGUAGES,
    MAX_NOTHING_LENGTH,
    NOTHING,
    UNITS,
)

#: Longest text that is read as a number with its unit.
MAX_NUMBER_LENGTH = 48
#: Words of a text that tell its language.
MAX_WORDS = 60
#: Numbers further from zero are read as text: no page has them.
MAX_NUMBER = 1e18
_CACHED_TEXTS = 32_768

_NUMBER = re.compile(r"[-+−]?\d(?:[\d.,'’ \u00a0\u202f]{0,30}\d)?")
_LETTERS_BEFORE = re.compile(r"[^\W\d_]{1,8}[-_/]?$")
_LETTERS_AFTER = re.compile(r"[^\W\d_]{1,8}")
_WORD = re.compile(r"[^\W\d_]+")
_MONTH = "jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"
_DATE = re.compile(
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}|\d{{4}}年|"
    rf"\b\d{{1,2}}\.? (?:{_MONTH})|\b(?:{_MONTH})[a-z]{{0,6}}\.? \d{{1,2}}",
    re.IGNORECASE,
)
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,190}\.[a-z]{2,}", re.IGNORECASE)
_PHONE = re.compile(r"\+?[\d ()/.-]{7,24}")
_CODE = re.compile(r"(?=[^ ]*\d)[A-Za-z0-9][A-Za-z0-9_./#-]{2,39}")


#: A text that is longer than this holds something.
SURELY_FILLED = MAX_NOTHING_LENGTH + 40


#: Stands for the currency or the unit of a number that has neither.
NO_SIGN = "no unit"


class Number(NamedTuple):
    """A number as a value has it."""

    value: float
    style: str  #: `whole`, or which sign is before its decimals: `point`, `comma`
    currency: str | None = None
    unit: str | None = None


def is_filled(value: Any) -> bool:
    """Return whether a value holds something: no null, no blank, no word for nothing."""
    if isinstance(value, str):
        if len(value) > SURELY_FILLED:
            return not value.isspace()
        text = value.strip().lower()
        return bool(text) and text not in NOTHING
    if isinstance(value, float):
        return value == value  # NaN, which some parsers read, is nothing
    return value is not None and value != [] and value != {}


def type_of(value: Any) -> str:
    """Return the type of a value, as a user calls it."""
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


# ---- numbers, currencies and units ----


def number_of(value: Any) -> Number | None:
    """Return the number that a value is, or that a short text holds beside its unit."""
    if isinstance(value, str):
        return _number_in(value) if len(value) <= MAX_NUMBER_LENGTH else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -MAX_NUMBER <= value <= MAX_NUMBER or math.isnan(value):
        return None
    return Number(float(value), "whole" if value == int(value) else "point")


@lru_cache(maxsize=_CACHED_TEXTS)
def _number_in(text: str) -> Number | None:
    found = _NUMBER.search(text)
    if found is None or _DATE.search(text):
        return None
    before, after = text[: found.start()], text[found.end() :]
    rest = f"{before} {after}".strip()
    if any(each.isdecimal() for each in rest) or _is_code(before, after):
        return None
    currency = currency_and_unit(rest)[0]
    beside = after if currency else " ".join(after.split()[:2])
    unit = currency_and_unit(beside)[1]
    unknown = len(_WORD.findall(rest)) - (currency is not None) - (unit is not None)
    read = _read(found[0]) if unknown <= (3 if currency or unit else 1) else None
    return Number(*read, currency, unit) if read else None


def _is_code(before: str, after: str) -> bool:
    """Return whether letters stand at a number that are no currency or unit: `A4`, `3D`."""
    ends, starts = _LETTERS_BEFORE.search(before), _LETTERS_AFTER.match(after)
    if ends is not None and currency_and_unit(ends[0])[0] is None:
        return True
    return starts is not None and currency_and_unit(starts[0]) == (None, None)


def _read(text: str) -> tuple[float, str] | None:
    """Return the value of digits with separators, and how its decimals are written."""
    digits = re.sub(r"[ '’\u00a0\u202f]", "", text).replace("−", "-")
    last = max(digits.rfind("."), digits.rfind(","))
    style = "whole"
    if last >= 0:
        sign = digits[last]
        alone = digits.count(sign) == 1
        is_group = not alone or (len(digits) - last == 4 and sign == "," and digits[0] != "0")
        if alone and not is_group:
            style = "point" if sign == "." else "comma"
            digits = re.sub("[.,]", "", digits[:last]) + "." + digits[last + 1 :]
        else:
            digits = re.sub("[.,]", "", digits)
    try:
        value = float(digits)
    except ValueError:
        return None
    return (value, style) if abs(value) <= MAX_NUMBER else None


@lru_cache(maxsize=_CACHED_TEXTS)
def currency_and_unit(rest: str) -> tuple[str | None, str | None]:
    """Return the currency and the unit that a short text names; None for what it does not name."""
    text = unicodedata.normalize("NFC", rest.strip().lower())
    if not text or len(text) > MAX_NUMBER_LENGTH:
        return None, None
    if text in CURRENCIES or text in UNITS:
        return CURRENCIES.get(text), None if text in CURRENCIES else UNITS[text]
    words = re.findall(r"/ ?[^\W\d]+|[^\W\d]+\$|\$[^\W\d]+|[^\W\d]+[²2.]?|[^\w\s]", text)
    pairs = [f"{one} {two}" for one, two in pairwise(words)]
    named = [
        *pairs,
        *(word.replace("/ ", "/") for word in words),
        *(word.lstrip("/ ") for word in words),
    ]
    currency = next((CURRENCIES[each] for each in named if each in CURRENCIES), None)
    unit = next((UNITS[each] for each in named if each in UNITS and each not in CURRENCIES), None)
    return currency, unit


def currency_of(value: Any) -> str | None:
    """Return the currency that a value names, alone or beside a number."""
    if not isinstance(value, str) or len(value) > MAX_NUMBER_LENGTH:
        return None
    number = _number_in(value)
    if number is None:
        return CURRENCIES.get(value.strip().lower())
    return number.currency or (None if number.unit else NO_SIGN)


def unit_of(value: Any) -> str | None:
    """Return the unit that a value names, alone or beside a number."""
    if not isinstance(value, str) or len(value) > MAX_NUMBER_LENGTH:
        return None
    number = _number_in(value)
    if number is None:
        return UNITS.get(value.strip().lower())
    return number.unit or (None if number.currency else NO_SIGN)


def style_of(value: Any) -> str | None:
    """Return how a number in a text is written: `whole`, or with a `point` or a `comma`."""
    number = number_of(value) if isinstance(value, str) else None
    return number.style if number else None


# ---- texts ----


def banner_of(value: Any) -> str | None:
    """Return what kind of banner a text is; None if it is none."""
    if not isinstance(value, str) or len(value) < 8:
        return None
    return _banner_in(value)


@lru_cache(maxsize=_CACHED_TEXTS)
def _banner_in(text: str) -> str | None:
    low = text.lower()
    return next((kind for phrase, kind in BANNERS.items() if phrase in low), None)


#: First and last letter of scripts, and the languages that they stand for.
_SCRIPTS = (
    ("\u0370", "\u03ff", "Greek"),
    ("\u0400", "\u052f", "Cyrillic"),
    ("\u0590", "\u05ff", "Hebrew"),
    ("\u0600", "\u06ff", "Arabic"),
    ("\u0900", "\u097f", "Hindi"),
    ("\u0e00", "\u0e7f", "Thai"),
    ("\u3040", "\u30ff", "Japanese"),
    ("\uac00", "\ud7af", "Korean"),
    ("\u4e00", "\u9fff", "Chinese"),
)


def language_of(value: Any) -> str | None:
    """Return the language of a text, by its script or its function words; None if unclear."""
    return _language_in(value[:600]) if isinstance(value, str) and len(value) >= 2 else None


@lru_cache(maxsize=_CACHED_TEXTS)
def _language_in(text: str) -> str | None:
    if not text.isascii() and (script := _script_in(text)):
        return script
    words = [word.lower() for word in _WORD.findall(text)[:MAX_WORDS]]
    hits: Counter[str] = Counter()
    for word in words:
        hits.update(LANGUAGES.get(word, ()))
    (first, most), (_, second) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    enough = 2 if len(words) > 6 else 1
    return first if most >= enough and most > second and len(words) > 2 else None


def _script_in(text: str) -> str | None:
    """Return the script of most letters, where that is not Latin; kana decide for Japanese."""
    letters = [each for each in text if each.isalpha()]
    counts: Counter[str] = Counter()
    for letter in letters:
        if letter > "\u036f":
            counts.update(name for first, last, name in _SCRIPTS if first <= letter <= last)
    if not counts or sum(counts.values()) < len(letters) * 0.4:
        return None
    if counts["Japanese"] and counts["Chinese"]:
        return "Japanese"
    return counts.most_common(1)[0][0]


# ---- the class of a value, which tells one column from another ----


def class_of(value: Any) -> str:
    """Return what kind of value it is, finely enough to tell a column from its neighbour."""
    if not is_filled(value):
        return "empty"
    if not isinstance(value, str):
        number = number_of(value)
        return _number_class(number, "bare") if number else type_of(value)
    return _text_class(value[:120])


def _number_class(number: Number, beside: str) -> str:
    size = math.floor(math.log10(abs(number.value))) if number.value else 0
    return f"{beside} {'whole' if number.style == 'whole' else 'decimal'} {size}"


@lru_cache(maxsize=_CACHED_TEXTS)
def _text_class(text: str) -> str:
    for pattern, name in ((_URL, "address"), (_EMAIL, "mail"), (_DATE, "date")):
        if pattern.match(text.strip()):
            return name
    number = _number_in(text) if len(text) <= MAX_NUMBER_LENGTH else None
    if number is not None:
        named = number.currency or number.unit
        if named or not _WORD.search(text):
            beside = "money" if number.currency else "measure" if named else "digits"
            return _number_class(number, beside)
    if number is None and (currency_of(text) or unit_of(text)):
        return "sign"
    if _PHONE.fullmatch(text):
        return "phone"
    if _CODE.fullmatch(text):
        return "code"
    words = len(text.split())
    return f"words {1 if words == 1 else 4 if words <= 4 else 12 if words <= 12 else 99}"
