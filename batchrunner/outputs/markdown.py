"""Finished jobs → a Markdown table, to be read by people."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import IO

from rich.cells import cell_len

from batchrunner.outputs.cells import Cell, text_of, utf8
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.table import ExportTable

#: Longest text of a cell, in characters.
MAX_CELL_LENGTH = 500
#: A table of so many rows is aligned, in columns of at most this width.
_ALIGNED_ROWS = 200
_ALIGNED_WIDTH = 40

_MARKUP = re.compile(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)|~(?=~)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LINE_END = re.compile(r"\r\n|[\r\n\v\f\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def write_markdown(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write the rows of a `Sheet` as a table in GitHub's Markdown.

    What Markdown would take for markup is escaped, and line ends are `<br>`. A cell of more than
    MAX_CELL_LENGTH characters is cut. A small table is aligned.
    """
    sheet = Sheet(table)
    cells = _Cells(table.view.nothing)
    lines = _lines(sheet, cells)
    head = list(islice(lines, _ALIGNED_ROWS + 1))
    is_small = len(head) <= _ALIGNED_ROWS
    widths = [
        min(_ALIGNED_WIDTH, max(3, *(cell_len(line[at]) for line in head))) if is_small else 3
        for at in range(len(sheet.names))
    ]
    file.write(_line(head[0], widths))
    file.write(_line(["-" * width for width in widths], widths))
    for line in head[1:]:
        file.write(_line(line, widths if is_small else ()))
    for line in lines:
        file.write(_line(line, ()))
    return sheet.written(cut=cells.cut)


FORMAT = Format(
    name="markdown",
    help="a table for people, with long cells cut",
    write=write_markdown,
    suffixes=(".md", ".markdown"),
)


def _lines(sheet: Sheet, cells: _Cells) -> Iterator[list[str]]:
    yield [cells.text(name) for name in sheet.names]
    for row in sheet.rows():
        yield [cells.text(cell) for cell in row.cells]


class _Cells:
    """Escapes the text of cells, and counts those that it cuts."""

    def __init__(self, nothing: str) -> None:
        self._nothing = nothing
        self.cut = 0

    def text(self, cell: Cell) -> str:
        if cell is None:
            return self._nothing
        text = text_of(cell)  # type: ignore[arg-type]
        if len(text) > MAX_CELL_LENGTH:
            text = f"{text[: MAX_CELL_LENGTH - 1]}…"
            self.cut += 1
        return escaped(utf8(text))


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is, on one line of a table."""
    text = _MARKUP.sub(r"\\\g<0>", _ENTITY.sub("&amp;", text).replace("<", "&lt;"))
    return _CONTROL.sub(" ", _LINE_END.sub("<br>", text))


def _line(cells: Sequence[str], widths: Sequence[int]) -> bytes:
    padded = (
        [
            f"{cell}{' ' * (width - cell_len(cell))}"
            for cell, width in zip(cells, widths, strict=True)
        ]
        if widths
        else cells
    )
    return f"| {' | '.join(padded)} |\n".encode()
