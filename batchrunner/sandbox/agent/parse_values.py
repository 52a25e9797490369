"""Parses text of a page: prices, numbers and truth values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from price_parser import Price as ParsedPrice

#: How many characters are searched for a value; longer text is prose.
_MAX_LENGTH = 400

_SYMBOL = (
    r"(?:US\$|R\$|[$€£¥₹₩]|(?<![A-Za-z])"
    r"(?:CHF|USD|EUR|GBP|JPY|INR|BRL|PLN|SEK|DKK|NOK|zł|kr|Rs\.?)(?![A-Za-z]))"
)
# Every repetition has a bound, so that no hostile page can make the search slow.
_AMOUNT = r"(?:\d{1,3}(?:[.,'’\s]\d{3}){1,4}|\d{1,12})(?:[.,]\d{1,4})?(?![.,]?\d)"
_PRICE = re.compile(rf"{_SYMBOL}\s?{_AMOUNT}|(?<![\d.,]){_AMOUNT}\s?{_SYMBOL}")
_FRACTION = re.compile(r"\D*0\.")
_FROM = re.compile(r"\b(?:from|starting at|as low as|ab)\s*$", re.I)
_PERIOD = re.compile(r"^\s*(?:/|per|a|each)\s*(day|week|month|mo|year|yr)\b", re.I)
_PERIODS = {"mo": "month", "yr": "year"}

_CURRENCIES = {
    "$": "USD",
    "US$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "Rs": "INR",
    "₩": "KRW",
    "R$": "BRL",
    "zł": "PLN",
}

_NUMBER = r"[+\-−]?(?:[1-9]\d{0,2}(?:,\d{3}){1,5}|(?:0|[1-9]\d{0,14}))(?:\.\d{1,12})?"
_WHOLE_NUMBER = re.compile(_NUMBER, re.ASCII)
_SOME_NUMBER = re.compile(rf"(?<![\w.,]){_NUMBER}(?![.,]?\d)", re.ASCII)

_NO = re.compile(
    r"out of stock|sold out|unavailable|not available|discontinued|(?:pre|back)-?order"
    r"|made to order|^(?:no|false|0)$",
    re.I,
)
_YES = re.compile(r"in stock|low stock|limited availability|available|^(?:yes|true|1)$", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """An amount of money as a page shows it."""

    text: str
    amount: float
    currency: str | None  #: an ISO code, if the currency sign has only one meaning here
    is_from: bool  #: the lowest of several prices
    period: str | None  #: the period that the price pays for


def find_price(text: str) -> Price | None:
    """Return the first amount with a currency in a text."""
    text = text[:_MAX_LENGTH]
    found = _PRICE.search(text)
    if found is None:
        return None
    shown = found.group().replace("’", "'")
    # The parser takes three digits after a point for thousands; `$0.005` has none.
    point = "." if _FRACTION.match(shown) else None
    parsed = ParsedPrice.fromstring(shown, decimal_separator=point)
    if parsed.amount is None:
        return None
    period = _PERIOD.match(text[found.end() :])
    unit = period.group(1).lower() if period else None
    is_from = _FROM.search(text[: found.start()]) is not None
    return Price(
        text=("from " if is_from else "") + found.group().strip(),
        amount=float(parsed.amount),
        currency=_CURRENCIES.get(parsed.currency or "", parsed.currency),
        is_from=is_from,
        period=_PERIODS.get(unit, unit) if unit else None,
    )


def number(text: str) -> int | float | None:
    """Return a text as a number if all of it is one: `"8,804,190"`, but not `"00123"`."""
    text = text.strip()
    return _as_number(text) if _WHOLE_NUMBER.fullmatch(text) else None


def find_number(text: str) -> int | float | None:
    """Return the first number in a text such as `"4.6 out of 5"`."""
    found = _SOME_NUMBER.search(text[:_MAX_LENGTH])
    return _as_number(found.group()) if found else None


def truth(text: str) -> bool | None:
    """Return whether a text means yes or no, in the words of shops and forms."""
    text = text.strip()[:_MAX_LENGTH]
    if _NO.search(text):
        return False
    return True if _YES.search(text) else None


def _as_number(text: str) -> int | float:
    plain = text.replace(",", "").replace("−", "-")
    return float(plain) if "." in plain else int(plain)
