"""Numbers in texts, however they are written: `12,50`, `1.299,00 €`, `$ 1,299`."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

#: Longer texts are no amounts.
MAX_LENGTH = 60
#: A number with separators, and what stands around it, without digits.
_AMOUNT = re.compile(
    r"(?P<before>[^\d+\-−]*?)"
    r"(?P<number>[+\-−]?[ \xa0]?\d[\d.,'’٫٬ \xa0\u2009\u202f]*(?:[eE][+-]?\d{1,3})?)"
    r"(?P<after>[^\d]*)",
    re.DOTALL,
)
_BLANKS = re.compile(r"['’٬ \xa0\u2009\u202f]")
_GROUPED = re.compile(r"\d{1,3}(?:\D\d{3})+")


class Amount(NamedTuple):
    """A number in a text, and the text around it."""

    value: float
    unit: str  #: what stands around the number, without white space


def number_of(value: Any) -> float | None:
    """Return a JSON number as a float; None if it is none."""
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None


def amount_of(value: Any) -> Amount | None:
    """
    Return the number that a value is, or that a text has in it; None if there is not just one.

    The last of two kinds of separators is the decimal one, and so is a single one, unless it is a
    comma before exactly three digits.
    """
    number = number_of(value)
    if number is not None:
        return Amount(number, "")
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return None
    match = _AMOUNT.fullmatch(value)
    if match is None:
        return None
    parsed = _parsed(match["number"].strip(" .,\xa0\u2009\u202f"))
    if parsed is None or not isfinite(parsed):
        return None
    return Amount(parsed, f"{match['before'].strip()}{match['after'].strip()}")


def _parsed(text: str) -> float | None:
    text = _BLANKS.sub("", text).replace("−", "-").replace("٫", ".")
    mantissa, exponent_sign, exponent = text.lower().partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("+-")
    comma, dot = digits.rfind(","), digits.rfind(".")
    if comma >= 0 and dot >= 0:
        group = "," if comma < dot else "."
        digits = digits.replace(group, "")
        comma = -1 if group == "," else digits.rfind(",")
    elif digits.count(".") > 1 or (comma >= 0 and _GROUPED.fullmatch(digits)):
        if not _GROUPED.fullmatch(digits):
            return None
        digits = digits.replace(".", "").replace(",", "")
    digits = digits.replace(",", ".")
    try:
        return float(Decimal(f"{sign}{digits}{exponent_sign}{exponent}"))
    except ArithmeticError:
        return None


def is_within(before: float, after: float, *, share: float, span: float) -> bool:
    """Whether two numbers differ by at most *share* of the larger one, or by at most *span*."""
    largest = max(abs(before), abs(after))
    if not isfinite(largest):
        return before == after
    # A little more, so that 1.10 and 1.15 are within 0.05 of each other.
    return abs(after - before) <= max(share * largest, span) + 1e-9 * largest
