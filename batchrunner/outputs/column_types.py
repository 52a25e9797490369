"""Types of columns, and their cells as values of that type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from batchrunner.errors import CannotContinue
from batchrunner.outputs.cells import NOTHING, Cell, Kind, text_of, utf8
from batchrunner.outputs.columns import instant
from batchrunner.outputs.json_values import Number

_INTEGERS = Kind.INTEGER | Kind.LONG_INTEGER
_ODD_DOUBLES = Kind.NEGATIVE_ZERO | Kind.NOT_FINITE


def type_of(kind: Kind, *, odd_doubles: bool) -> Kind:
    """
    Return the type of a column with cells of these kinds: TEXT, BOOL, TIME, INTEGER or DOUBLE.

    It is one that changes no value: integers of more than 64 bits, numbers with more digits than a
    double has, and a mixture of kinds are TEXT. So are NaN, infinities and -0.0, unless doubles of
    the format keep them.
    """
    if kind != NOTHING and kind in _INTEGERS:
        return Kind.INTEGER
    doubles = Kind.INTEGER | Kind.DOUBLE | (_ODD_DOUBLES if odd_doubles else NOTHING)
    if kind != NOTHING and kind in doubles:
        return Kind.DOUBLE
    return kind if kind in (Kind.BOOL, Kind.TIME) else Kind.TEXT


def converters(types: Sequence[Kind]) -> list[Callable[[Cell], Any]]:
    """Return for each column what makes a value of its type of a cell; None stays None."""
    return [_CONVERTERS[kind] for kind in types]


def as_text(cell: Cell) -> str | None:
    """Return a cell as text."""
    if cell is None:
        return None
    return instant(cell) if isinstance(cell, datetime) else utf8(text_of(cell))


def _as_bool(cell: Cell) -> bool | None:
    return cell if cell is None or isinstance(cell, bool) else _changed()


def _as_time(cell: Cell) -> datetime | None:
    return cell if cell is None or isinstance(cell, datetime) else _changed()


def _as_integer(cell: Cell) -> int | None:
    if cell is None:
        return None
    return int(cell) if isinstance(cell, Number) and cell.lstrip("-").isdigit() else _changed()


def _as_double(cell: Cell) -> float | None:
    if cell is None:
        return None
    return float(cell) if isinstance(cell, Number) else _changed()


def _changed() -> Any:
    raise CannotContinue(
        "a job was run again while it was exported, and its new result has another type",
        next="export once more",
    )


_CONVERTERS: dict[Kind, Callable[[Cell], Any]] = {
    Kind.TEXT: as_text,
    Kind.BOOL: _as_bool,
    Kind.TIME: _as_time,
    Kind.INTEGER: _as_integer,
    Kind.DOUBLE: _as_double,
}
