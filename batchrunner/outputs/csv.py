"""Finished jobs → CSV: one row per job, and one column per field of the results."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
from typing import IO

from batchrunner.outputs.cells import Cell, text_of, utf8
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.formula_guard import cut_at_separators, guard, guard_inside, is_formula
from batchrunner.outputs.json_values import Json, Number
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.table import ExportTable, View

#: The column of text whose cells are numbers.
_COST = "cost"
#: Characters of a cell that are written at once.
_CHUNK_LENGTH = 1024**2
#: Text that is written as it is: a quick check that most cells pass.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:/_?&%#@=+~()-]*+")


def write_csv(
    table: ExportTable,
    file: IO[bytes],
    *,
    start: str = "",
    end: str = "\n",
    separator: str = ",",
    decimal: str = ".",
) -> Written:
    """
    Write a header, then the rows of a `Sheet`, in two passes over the jobs.

    Numbers are written as the API wrote them, lists and objects as JSON text. Rows end in *end*;
    cells are quoted where they must be, and keep their own line ends. NUL is written as ␀, unpaired
    surrogates as U+FFFD, and formulas with a `'` in front (`unguard`). Without a guard, formulas
    and NUL are written as they are. With another *decimal* sign, numbers and costs have that one;
    numbers inside of lists, objects and texts stay.
    """
    sheet = Sheet(table)
    cells = _Cells(table.view, separator)
    header = separator.join([cells.text(name) for name in sheet.names])
    cells.guarded = 0
    file.write((start + header + end).encode())
    costs = {number for number, name in enumerate(sheet.names) if name == _COST}
    for row in sheet.rows():
        values = row.cells if decimal == "." else _with_decimal(row.cells, decimal, costs)
        for part in cells.row(values):  # type: ignore[arg-type]
            file.write(part.encode())
        file.write(end.encode())
    return sheet.written(guarded=cells.guarded)


FORMAT = Format(
    name="csv", help="one row per job, comma-separated", write=write_csv, suffixes=(".csv",)
)


def _with_decimal(cells: Sequence[Cell], sign: str, costs: Container[int]) -> list[Cell]:
    return [
        cell.replace(".", sign)
        if isinstance(cell, Number) or (number in costs and isinstance(cell, str))
        else cell
        for number, cell in enumerate(cells)
    ]


class _Cells:
    """Writes cells, and counts the guarded ones."""

    def __init__(self, view: View, separator: str) -> None:
        self._guards = view.guard
        self._separator = separator
        self._quoted: Callable[[str], str] = _quoted_for(separator, view.nothing)
        self._nothing = view.nothing
        self.guarded = 0

    def row(self, values: Sequence[Json]) -> Iterator[str]:
        """Give the parts of a row; one part, unless a cell is long."""
        short: list[str] = []
        for value in values:
            if value is None:
                short.append(self._nothing)
                continue
            text = value if isinstance(value, str) else text_of(value)
            if len(text) <= _CHUNK_LENGTH:
                short.append(self.text(text))
                continue
            yield self._separator.join([*short, ""])
            yield from self._long(text)
            short = [""]
        yield self._separator.join(short)

    def text(self, text: str) -> str:
        """Return the text of a cell as it is written."""
        if _PLAIN.fullmatch(text) and text != self._nothing:
            return text
        text = utf8(text)
        if self._guards:
            text = text.replace("\0", "␀")
            safe = guard(text)
            self.guarded += safe is not text
            text = safe
        return self._quoted(text)

    def _long(self, text: str) -> Iterator[str]:
        if self._guards:
            text = text.replace("\0", "␀")
        is_guarded = self._guards and is_formula(text)
        yield "\"'" if is_guarded else '"'
        for part in cut_at_separators(text, _CHUNK_LENGTH):
            safe = guard_inside(part) if self._guards else part
            is_guarded = is_guarded or safe is not part
            for start in range(0, len(safe), _CHUNK_LENGTH):
                yield utf8(safe[start : start + _CHUNK_LENGTH]).replace('"', '""')
        self.guarded += is_guarded
        yield '"'


def _quoted_for(separator: str, nothing: str) -> Callable[[str], str]:
    def quoted(text: str) -> str:
        # The same as csv.writer, in half the time.
        if '"' in text:
            text = text.replace('"', '""')
        elif not (
            separator in text or "\n" in text or "\r" in text or (nothing and text == nothing)
        ):
            return text
        return f'"{text}"'

    return quoted
