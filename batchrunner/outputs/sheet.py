"""Finished jobs → the rows and columns of a table, the same for every format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from batchrunner.model import FinishedJob
from batchrunner.outputs.all_columns import AllColumns
from batchrunner.outputs.cells import Cell, CellKind
from batchrunner.outputs.export_format import Written
from batchrunner.outputs.json_values import Json, write
from batchrunner.outputs.selection import Selection
from batchrunner.outputs.shown_result import ShownRows
from batchrunner.outputs.table import ExportTable


class Row(NamedTuple):
    """A row of a table, and the job that it shows."""

    job: FinishedJob
    cells: Sequence[Cell]


class Sheet:
    """
    The columns of a table, found in a first pass over the jobs, and its rows.

    With *typed*, times are times and costs are numbers, and `kinds` says what is in each column.
    """

    def __init__(
        self, table: ExportTable, *, typed: bool = False, max_columns: int | None = None
    ) -> None:
        self._rows = ShownRows(table)
        self._columns = (
            Selection(table.view.columns, table.columns, typed=typed)
            if table.view.columns
            else AllColumns(table, typed=typed, max_columns=max_columns)
        )
        sizes = _Sizes()
        for job, value in self._rows:
            self._columns.see(job, value)
            if typed:
                sizes.add(job if table.view.explode is None else value)
        self._columns.finish()
        #: The characters of a row, on average, where rows are longest.
        self.widest = sizes.widest()

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns in the file."""
        return self._columns.names

    @property
    def kinds(self) -> Sequence[CellKind]:
        """What the cells of each column are; only of a typed sheet."""
        return self._columns.kinds

    def rows(self) -> Iterator[Row]:
        """Give the rows: one for each job, or for each element of an exploded list."""
        for job, value in self._rows:
            yield Row(job, self._columns.cells(job, value))

    def written(self, **counts: int) -> Written:
        """Return what was written, once all rows were given."""
        return Written(
            jobs=self._rows.jobs,
            rows=self._rows.rows,
            renamed=self._columns.renamed,
            absent=self._columns.absent,
            exploded=self._rows.exploded_jobs,
            **counts,
        )


class GrowingSheet:
    """
    The rows of a table of all columns in one pass: later rows may have more columns.

    The names are known at the end. Rows are of no use if `has_gaps` then: columns belong between
    others that were given already, and a `Sheet` has to give the rows anew.
    """

    def __init__(self, table: ExportTable) -> None:
        self._rows = ShownRows(table)
        self._columns = AllColumns(table, typed=False, max_columns=None)

    @property
    def has_gaps(self) -> bool:
        """Whether a column was found that belongs between others."""
        return self._columns.has_more

    def rows(self) -> Iterator[Sequence[Cell]]:
        """Give the cells of rows until there are gaps."""
        for job, value in self._rows:
            cells = self._columns.cells_so_far(job, value)
            if self.has_gaps:
                return
            yield cells

    def finish(self, guarded: int) -> tuple[Sequence[str], Written]:
        """Return the names of the columns, and what was written, once all rows were given."""
        self._columns.finish()
        return self._columns.names, Written(
            jobs=self._rows.jobs,
            rows=self._rows.rows,
            renamed=self._columns.renamed,
            exploded=self._rows.exploded_jobs,
            guarded=guarded,
        )


class _Sizes:
    """Finds how long rows are, on average, in the part of a table where they are longest."""

    _ROWS = 256

    def __init__(self) -> None:
        self._rows = self._chars = 0
        self._widest = 1

    def add(self, row: FinishedJob | Json) -> None:
        self._rows += 1
        self._chars += _chars(row)
        if self._rows == self._ROWS:
            self._close()

    def widest(self) -> int:
        self._close()
        return self._widest

    def _close(self) -> None:
        self._widest = max(self._widest, self._chars // max(1, self._rows))
        self._rows = self._chars = 0


def _chars(row: FinishedJob | Json) -> int:
    if isinstance(row, FinishedJob):
        return len(row.result or "") + len(row.url) + len(row.goal)
    return len(row) if isinstance(row, str) else len(write(row))
