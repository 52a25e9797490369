"""Cells as text."""

from __future__ import annotations

from typing import Any

from batchrunner.outputs.json_values import write


def cell_text(cell: Any) -> str:
    """Return a cell's text: as it is written in a table, or as JSON writes it."""
    if isinstance(cell, str):  # also a number of JSON, which keeps its digits
        return cell
    return "" if cell is None else write(cell)
