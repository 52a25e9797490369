"""A table of one row without cells, which a matrix alone is combined with."""

from __future__ import annotations

from collections.abc import Iterator

from batchrunner.inputs.nodes import Pairs
from batchrunner.inputs.source import Source
from batchrunner.inputs.tables import Row, Table
from batchrunner.inputs.tables.place import Place


class MatrixTable(Table):
    """One row without cells, at the place of its matrix in the job file."""

    def __init__(self, source: Source, node: Pairs) -> None:
        super().__init__(file=source.file, kind="yaml", digest="")
        self._source = source
        self._node = node
        self.header_row = Row(node.start.line + 1, ())

    def _rows(self) -> Iterator[Row]:
        """Give the one row."""
        yield Row(self._node.start.line + 1, ())

    def place(self, row: Row, number: int | None) -> Place:
        """Return where the entry of the matrix is."""
        start = self._node.start
        line = self._source.line(start.line)
        return Place(start.line + 1, start.column + 1, line, start.column + 1, len(line))
