"""Reads what a 429 or 503 says: how long to wait, and what there was too much of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from batchrunner.model import Throttle

#: Maximum wait that a server may ask for; a longer one is shortened to this.
MAX_RETRY_AFTER = timedelta(hours=1)

#: Seconds in a unit, by its first letters; without a unit, a number means seconds.
_UNITS = {"ms": 0.001, "mi": 60.0, "m": 60.0, "h": 3600.0, "ho": 3600.0}
_DURATION = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)\s*"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)?\b",
    re.IGNORECASE,
)
#: Most characters of an answer that are searched.
_MAX_TEXT = 2000
#: How a message says the wait, as in "Try again in 60 seconds".
_TRY_AGAIN = re.compile(
    rf"\b(?:try|retry)(?:ing)?(?: again)? (?:in|after) {_DURATION.pattern}", re.IGNORECASE
)
#: Names that answers have for the wait in a body.
_WAIT_MEMBERS = ("retry_after", "retryAfter", "retry_after_seconds", "retryAfterSeconds")
_ABOUT_RUNS = re.compile(
    r"concurren|simultaneous|in parallel|at (the same time|once)|in[ _-]?flight"
    r"|(active|running|ongoing|open) (agents?|browsers?|runs?|sessions?|tasks?)",
    re.IGNORECASE,
)
_ABOUT_REQUESTS = re.compile(
    r"(per|a|each|every|/) ?(second|sec|minute|min|hour|day)\b|_per_(second|minute|hour|day)"
    r"|\brp[ms]\b",
    re.IGNORECASE,
)


def wait_in(headers: Mapping[str, str], error: Mapping[str, Any]) -> timedelta | None:
    """Return how long an answer asks to wait: by its header, its error's members or its message."""
    details = error.get("details")
    members = [error, *([details] if isinstance(details, Mapping) else [])]
    said = [each.get(name) for each in members for name in _WAIT_MEMBERS]
    waits = [header_wait(headers), *map(wait_of, said), _wait_in_text(error.get("message"))]
    return next((wait for wait in waits if wait is not None), None)


def header_wait(headers: Mapping[str, str]) -> timedelta | None:
    """Return the wait in Retry-After, in seconds or until a date; None if it says none."""
    value = headers.get("retry-after", "").strip()
    # A proxy may repeat a header, and the values are joined.
    numbers = [wait_of(part.strip()) for part in value.split(",")]
    waits = [wait for wait in numbers if wait is not None]
    if waits and len(waits) == len(numbers):
        return max(waits)
    # The date is by the server's clock, which the same answer shows.
    until, server_now = _date(value), _date(headers.get("date", ""))
    if until is None or server_now is None:
        return None
    return wait_of((until - server_now).total_seconds())


def read_server_date(headers: Mapping[str, str]) -> datetime | None:
    """Return the time of an answer by the server's clock; None if it is not given."""
    return _date(headers.get("date", ""))


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)  # "-0000" is UTC as well


def wait_of(value: Any) -> timedelta | None:
    """Return a wait in seconds, as a number or as text with or without a unit; None if it is none.

    A wait that is over says nothing: the usual one applies.
    """
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip())
        value = _seconds(found) if found else _number(value)
    # NaN is the only value that differs from itself.
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return None
    if value < 0:
        return None
    return timedelta(seconds=min(value, MAX_RETRY_AFTER.total_seconds()))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _wait_in_text(message: Any) -> timedelta | None:
    found = _TRY_AGAIN.search(message[:_MAX_TEXT]) if isinstance(message, str) else None
    return wait_of(_seconds(found)) if found else None


def _seconds(found: re.Match[str]) -> float:
    unit = (found.group(2) or "s").lower()
    factor = 0.001 if unit.startswith("mil") else _UNITS.get(unit[:2], 1.0)
    return float(found.group(1)) * factor


def throttle_in(error: Mapping[str, Any]) -> Throttle | None:
    """
    Return what a 429 says that there is too much of; None if it does not say.

    Details alone mean a limit on requests per minute of the account's plan; a 429 for want of
    capacity has none.
    """
    details = error.get("details")
    said = (error.get("code"), error.get("message"), details or "")
    text = " ".join(str(each)[:_MAX_TEXT] for each in said)
    if _ABOUT_RUNS.search(text):
        return Throttle.RUNS
    return Throttle.REQUESTS if details or _ABOUT_REQUESTS.search(text) else None
