"""Where something is in a table, for people."""

from __future__ import annotations

from typing import NamedTuple

from batchrunner.model.problems import Problem

#: Maximum characters of a source line that a problem keeps on each side of its position.
_WINDOW = 200


class Place(NamedTuple):
    """Where a cell is, for people."""

    line: int  #: from 1
    column: int  #: from 1, in characters; in a sheet, the number of the column
    source_line: str
    source_column: int  #: from 1: where the cell is in `source_line`
    width: int = 1
    note: str = ""  #: what else names it, such as `cell B7 of the sheet "Prices"`


def problem_at(
    message: str, file: str, place: Place, column_name: str | None = None, tip: str | None = None
) -> Problem:
    """Return a problem; of a long source line, it keeps what is around the position."""
    at = place.source_column - 1
    start = max(0, at - _WINDOW)
    notes = [place.note, f"column `{column_name}`" if column_name is not None else ""]
    return Problem(
        file=file,
        line=place.line,
        column=place.column,
        message=message,
        source_line=place.source_line[start : at + _WINDOW],
        source_column=at - start + 1,
        width=max(1, min(place.width, _WINDOW)),
        place=", ".join(filter(None, notes)) or None,
        tip=tip,
    )
