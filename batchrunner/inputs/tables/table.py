"""A table as every format gives it: columns, rows of cells, and the position of each cell."""

from __future__ import annotations

import gzip
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

from batchrunner.inputs.problem_log import HasPosition, ProblemLog
from batchrunner.inputs.source import Source, SourcePosition
from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.model.problems import Problem

#: What a file is. `yaml` is a job file, also one in JSON: it has no rows here.
TableKind = Literal["csv", "xlsx", "jsonl", "json", "urls", "yaml"]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What the user says of a file that it does not say itself."""

    encoding: str | None = None
    delimiter: str | None = None  #: one character, or a name such as `tab`
    sheet: str | None = None  #: a name, or a number from 1
    #: The user named columns or templates, so JSON whose keys are those of jobs is a table too.
    is_table: bool = False


class Column(NamedTuple):
    """A column and where its header is."""

    name: str  #: without white space around it; no two columns share a name
    number: int  #: from 0, in the cells of each row
    line: int  #: from 1
    column: int  #: from 1


class Row(NamedTuple):
    """A row; `line` and `source` let the table find its cells again."""

    line: int  #: from 1: the line where it begins, or the number of a sheet's row
    #: One per column: text as it was written; from JSON, a value of `outputs.json_values`, and
    #: None where an object lacks the key.
    cells: Sequence[Any]
    source: Any = None  #: what the format needs to find a cell's position
    problem: Problem | None = None  #: why the row cannot be used; it is not in the log


class Cell(NamedTuple):
    """
    The position of a cell; found in the file only when it is asked for.

    It can be the `start` and the `end` of a `Scalar`, so that field types report on cells.
    """

    table: Table
    row: Row
    number: int | None  #: of the column; None: the whole row

    @property
    def line(self) -> int:
        """The line, from 0."""
        return self.place().line - 1

    @property
    def column(self) -> int:
        """The column, from 0."""
        return self.place().column - 1

    @property
    def start(self) -> Cell:
        """Itself: a cell is its own position."""
        return self

    @property
    def end(self) -> Cell:
        """Itself: a cell is its own position."""
        return self

    def place(self) -> Place:
        """Return where the cell is."""
        return self.table.place(self.row, self.number)


class _Carried(NamedTuple):
    """Cells with one error that are only carried along."""

    cells: int
    place: Place  #: the first one's
    tip: str


#: Errors in cells that are only carried along, of which each is named.
_MAX_CARRIED_KINDS = 5


class Table(ABC):
    """
    The rows of a file. It can be read several times, and at most a chunk of it is in memory.

    A workbook and a JSON array are excepted: they are in memory as a whole, and bounded.
    """

    def __init__(self, *, file: str, kind: TableKind, digest: str) -> None:
        self.file = file
        self.kind = kind
        self.columns: tuple[Column, ...] = ()
        self.header_row = Row(1, (), "")
        self.digest = digest  #: SHA-256 of the content, unpacked
        self.log = TableLog(file)
        self.text: bytes | str = b""  #: the content of a job file, for kind `yaml`
        #: Numbers of the columns in which an error of a spreadsheet refuses its row; None: all.
        self.needed: frozenset[int] | None = None
        self._carried: dict[str, _Carried] = {}  # by message
        self._told_carried = False

    def rows(self) -> Iterator[Row]:
        """
        Give the rows in the order of the file, anew with each call.

        A row that cannot be used has a `problem`. What ends the reading is in the log.
        """
        try:
            self._carried.clear()
            yield from self._rows()
            self._warn_of_carried()
            is_changed = self._is_changed()
        except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile):
            is_changed = True
        if is_changed:
            place = Place(1, 1, "", 1)
            message = "the file changed while it was read"
            problem = problem_at(message, self.file, place, tip="load it again once it is written")
            self.log.add_problem(problem)

    @abstractmethod
    def _rows(self) -> Iterator[Row]:
        """Give the rows; a file that changes meanwhile may raise an error of its decoder."""

    def _is_changed(self) -> bool:
        """Return whether the file has another size now than when it was opened."""
        return False

    @abstractmethod
    def place(self, row: Row, number: int | None) -> Place:
        """Return where a cell is, or where the row begins."""

    def cell(self, row: Row, number: int | None = None) -> Cell:
        """Return the position of a cell, or of the row."""
        return Cell(self, row, number)

    def header(self, column: Column) -> Cell:
        """Return the position of a column's name."""
        return Cell(self, self.header_row, column.number)

    def problem(
        self, message: str, row: Row, number: int | None = None, tip: str | None = None
    ) -> Problem:
        """Return a problem at a cell or a row, with its column's name."""
        return problem_at(message, self.file, self.place(row, number), self._name(number), tip)

    def _spoilt(self, message: str, row: Row, number: int, tip: str) -> Problem | None:
        """Return what is wrong with a cell; None, with a warning, if it is only carried along."""
        if self.needed is None or number in self.needed:
            return self.problem(message, row, number, tip)
        known = self._carried.get(message)
        if known is not None:
            self._carried[message] = known._replace(cells=known.cells + 1)
        elif len(self._carried) < _MAX_CARRIED_KINDS:
            self._carried[message] = _Carried(1, self.place(row, number), tip)
        return None

    def _warn_of_carried(self) -> None:
        """Warn once of the cells that are only carried along and have an error."""
        if self._told_carried or not self._carried:
            return
        self._told_carried = True
        seen = "exports show such cells as the file has them, empty or with the error"
        for message, (count, place, tip) in self._carried.items():
            more = f" (and {count - 1:,} more cells)" if count > 2 else ""
            more = " (and 1 more cell)" if count == 2 else more
            self.log.warn(f"{message}{more}: {seen}; to mend them, {tip}", place.line, place.column)

    def close(self) -> None:
        """Let go of the file."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _name(self, number: int | None) -> str | None:
        return None if number is None else self.columns[number].name


class TableLog(ProblemLog):
    """The problems of one table; field types report to it on cells."""

    def __init__(self, file: str) -> None:
        super().__init__(Source("", file))

    def add(self, message: str, at: HasPosition, tip: str | None = None) -> None:
        """Report a problem at a cell, or at a node whose start is one."""
        if isinstance(at.start, Cell):
            cell = at.start
            self.add_problem(cell.table.problem(message, cell.row, cell.number, tip))
        else:
            super().add(message, at, tip)

    def add_problem(self, problem: Problem) -> None:
        """Report a problem that was found before."""
        self._problems.setdefault((problem.line, problem.column, problem.message), problem)

    def warn(self, message: str, line: int, column: int = 1) -> None:
        """Warn of what looks wrong, and is loaded."""
        where = f"{self._source.file}:{line}:{column}"
        self._warnings[SourcePosition(line - 1, column - 1)] = f"{where}: {message}"
