"""Values of a sheet as text: as they were typed, as far as the file has that."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

SheetValue = int | float | str | bool | time | date | datetime | timedelta

#: What a spreadsheet shows, and saves as CSV, in place of a value.
SHEET_ERRORS: Final = frozenset(
    {"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!"}
    | {"#####", "######", "#######", "########", "#########", "##########"}
)
#: From here on, a spreadsheet has lost digits: it keeps 15.
ROUNDED_FROM: Final = 10.0**15
_MAX_PLAIN: Final = 1e21


def cell_text(value: SheetValue) -> str:
    """Return a value as text: numbers without `.0`, dates in ISO form, booleans as in CSV."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, timedelta):
        return _duration(value)
    return value.isoformat()


def is_rounded(value: SheetValue) -> bool:
    """Return whether a number has so many digits that the spreadsheet has rounded it."""
    return isinstance(value, float) and abs(value) >= ROUNDED_FROM


def _number(value: int | float) -> str:
    if isinstance(value, int) or value.is_integer():
        if abs(value) < ROUNDED_FROM:
            return str(int(value))
        return format(Decimal(repr(value)), "f") if abs(value) < _MAX_PLAIN else repr(value)
    exact, shown = repr(value), format(value, ".15g")
    # Excel shows 15 digits: 0.30000000000000004 is 0.3 there.
    return shown if len(exact) - len(shown) >= 3 else exact


def _duration(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
