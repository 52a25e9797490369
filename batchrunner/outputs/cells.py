"""The values of cells, before a format writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Flag, auto
from math import isfinite
from operator import attrgetter
from typing import Any, TypeAlias, cast

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import FIELDS
from batchrunner.outputs.json_values import Json, Number, write

#: What stands in a cell. None: nothing.
Cell: TypeAlias = "Json | datetime"

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)


#: The fixed columns as text and numbers.
_FIELDS: Mapping[str, Callable[[FinishedJob], Cell]] = {
    **{name: cast("Callable[[FinishedJob], Cell]", get) for name, get in FIELDS.items()},
    "attempts": lambda job: Number(job.attempts),
    "steps": lambda job: _number_of(job.steps),
}


def _number_of(value: int | str | None) -> Number | None:
    return None if value is None else Number(value)


_TYPED: Mapping[str, Callable[[FinishedJob], Cell]] = {
    "started_at": attrgetter("started_at"),
    "finished_at": attrgetter("finished_at"),
    "cost": lambda job: _number_of(job.cost),
}


def fixed_fields(*, typed: bool) -> Mapping[str, Callable[[FinishedJob], Cell]]:
    """Return the fixed columns: with times as times and the cost as a number if *typed*."""
    return {**_FIELDS, **_TYPED} if typed else _FIELDS


def as_json(value: Any) -> Json:
    """Return a carried cell, as Python reads it from JSON, as the values that exports write."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return Number(repr(value))
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value]


def text_of(cell: Json) -> str:
    """Return the text of a cell: JSON for lists and objects."""
    return cell if isinstance(cell, str) else write(cell)


def utf8(text: str) -> str:
    """Return text that every encoding can take: U+FFFD for an unpaired surrogate."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


class CellKind(Flag):
    """What the cells of a column are: they decide its type."""

    TEXT = auto()
    BOOL = auto()
    TIME = auto()
    INTEGER = auto()  #: of 64 bits
    LONG_INTEGER = auto()  #: a double would change its digits
    DOUBLE = auto()  #: a double has the very same value
    NEGATIVE_ZERO = auto()
    NOT_FINITE = auto()  #: NaN, or an infinity


NOTHING = CellKind(0)

#: The kinds of the fixed columns, the same in every export; of a cost, its cells say it.
FIELD_KINDS: Mapping[str, CellKind] = {
    **dict.fromkeys(FIELDS, CellKind.TEXT),
    "attempts": CellKind.INTEGER,
    "steps": CellKind.INTEGER,
    "started_at": CellKind.TIME,
    "finished_at": CellKind.TIME,
    "cost": NOTHING,
}


def kind_of(cell: Cell) -> CellKind:
    """Return the kind of a cell; NOTHING for an empty one."""
    if isinstance(cell, Number):
        return _kind_of_number(cell)
    return _KINDS.get(type(cell), CellKind.TEXT)


_KINDS = {type(None): NOTHING, bool: CellKind.BOOL, datetime: CellKind.TIME}


def _kind_of_number(text: Number) -> CellKind:
    if len(text) > _LONGEST_NUMBER:
        return CellKind.TEXT
    double = float(text)
    if text.lstrip("-").isdigit():
        if double == 0 and text[0] == "-":
            return CellKind.NEGATIVE_ZERO
        if int(text) not in _INT64:
            return CellKind.TEXT
        return (
            CellKind.INTEGER
            if int(double) == int(text)
            else CellKind.INTEGER | CellKind.LONG_INTEGER
        )
    if not isfinite(double):
        return CellKind.NOT_FINITE if text.endswith(("NaN", "Infinity")) else CellKind.TEXT
    if double == 0 and text[0] == "-":
        return CellKind.NEGATIVE_ZERO if not text.strip("-0.") else CellKind.TEXT
    return CellKind.DOUBLE if same_digits(repr(double), text) else CellKind.TEXT


#: More digits than any type of number holds.
_LONGEST_NUMBER = 400


def same_digits(one: str, other: str) -> bool:
    """Whether two texts are the same number, in all digits."""
    return one == other or _digits(one) == _digits(other)


def _digits(text: str) -> tuple[str, str, int]:
    """Return the sign, the digits without zeros around them, and the power of ten behind them."""
    sign, unsigned = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent = unsigned.lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return ("", "", 0)
    power = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    return (sign, significant, power)
