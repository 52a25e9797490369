"""Types of columns, and their cells as values of that type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from batchrunner.errors import CannotContinue
from batchrunner.outputs.cells import NOTHING, Cell, CellKind, text_of, utf8
from batchrunner.outputs.columns import instant
from batchrunner.outputs.json_values import Number

_INTEGERS = CellKind.INTEGER | CellKind.LONG_INTEGER
_ODD_DOUBLES = CellKind.NEGATIVE_ZERO | CellKind.NOT_FINITE


def type_of(kind: CellKind, *, odd_doubles: bool) -> CellKind:
    """
    Return the type of a column with cells of these kinds: TEXT, BOOL, TIME, INTEGER or DOUBLE.

    It is one that changes no value: integers of more than 64 bits, numbers with more digits than a
    double has, and a mixture of kinds are TEXT. So are NaN, infinities and -0.0, unless doubles of
    the format keep them.
    """
    if kind != NOTHING and kind in _INTEGERS:
        return CellKind.INTEGER
    doubles = CellKind.INTEGER | CellKind.DOUBLE | (_ODD_DOUBLES if odd_doubles else NOTHING)
    if kind != NOTHING and kind in doubles:
        return CellKind.DOUBLE
    return kind if kind in (CellKind.BOOL, CellKind.TIME) else CellKind.TEXT


def converters(types: Sequence[CellKind]) -> list[Callable[[Cell], Any]]:
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


_CONVERTERS: dict[CellKind, Callable[[Cell], Any]] = {
    CellKind.TEXT: as_text,
    CellKind.BOOL: _as_bool,
    CellKind.TIME: _as_time,
    CellKind.INTEGER: _as_integer,
    CellKind.DOUBLE: _as_double,
}
