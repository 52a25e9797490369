"""CSV and its kin: cells between delimiters, quoted where they contain one."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from batchrunner.inputs.tables.table import Column, Place, Row, Table
from batchrunner.inputs.tables.text import Text


class CsvTable(Table):
    """A table whose cells are separated by one character."""

    def __init__(
        self, text: Text, columns: list[Column], *, delimiter: str, first_row: int
    ) -> None:
        super().__init__(file=text.content.name, kind="csv", columns=columns, digest=text.digest)
        self._text = text
        self._delimiter = delimiter
        self._first_row = first_row

    def rows(self) -> Iterator[Row]:
        """Give the rows below the header; blank ones are left out."""
        width = len(self.columns)
        with self._text.lines() as lines:
            record: list[str] = []
            reader = csv.reader(_recorded(lines, record), delimiter=self._delimiter, strict=True)
            line = 1
            for cells in reader:
                source = record[0] if len(record) == 1 else "".join(record)
                first, line = line, line + len(record)
                record.clear()
                if first < self._first_row or not any(cells):
                    continue
                if len(cells) != width:
                    yield self._ragged(Row(first, cells, source))
                else:
                    yield Row(first, cells, source)

    def _ragged(self, row: Row) -> Row:
        width = len(self.columns)
        cells = list(row.cells)
        if not any(cells[width:]):
            return row._replace(cells=(cells + [""] * width)[:width])
        message = f"the row has {len(cells)} cells, and the header {width}"
        tip = f"put quotes around cells that contain `{self._delimiter}`"
        return row._replace(cells=cells[:width], problem=self.problem(message, row, None, tip))

    def place(self, row: Row, number: int | None) -> Place:
        """Return where a cell is."""
        return Place(row.line, 1, row.source or "", 1, 1)

    def close(self) -> None:
        """Let go of the file."""
        self._text.content.close()


def _recorded(lines: Iterator[str], record: list[str]) -> Iterator[str]:
    """Give lines, and keep those of the present row in *record*."""
    for line in lines:
        record.append(line)
        yield line
