"""Cells as text, and as the values that jobs carry."""

from __future__ import annotations

from math import isfinite
from typing import Any

from batchrunner.outputs.json_values import Number, write


def cell_text(cell: Any) -> str:
    """Return a cell's text: as it is written in a table, or as JSON writes it."""
    if isinstance(cell, str):  # also a number of JSON, which keeps its digits
        return cell
    return "" if cell is None else write(cell)


def plain_value(cell: Any) -> Any:
    """Return a cell of JSON with Python's numbers; a number too large for them is text."""
    if isinstance(cell, Number):
        try:
            return int(cell)
        except ValueError:
            number = float(cell)
            return number if isfinite(number) else str(cell)
    if isinstance(cell, list):
        return [plain_value(each) for each in cell]
    if isinstance(cell, dict):
        return {key: plain_value(each) for key, each in cell.items()}
    return cell
