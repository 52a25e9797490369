"""Finished jobs → an Excel workbook: a sheet of results, and one of failures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

from batchrunner.model import JobState
from batchrunner.outputs.cells import Cell, same_digits
from batchrunner.outputs.column_names import INPUT_PREFIX, column_names
from batchrunner.outputs.column_types import as_text
from batchrunner.outputs.columns import FAILURE_COLUMNS
from batchrunner.outputs.error_keeping_file import ErrorKeepingFile
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.json_values import Number
from batchrunner.outputs.selection import Selection
from batchrunner.outputs.sheet import Sheet
from batchrunner.outputs.table import ExportTable, SelectedColumn

#: What a sheet in Excel holds.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
#: The longest text of a cell, in UTF-16 code units.
MAX_CELL_LENGTH = 32_767

#: Digits that Excel keeps of a number, and the limits of its numbers.
_DIGITS = 15
_SMALLEST, _LARGEST = 1e-307, 9.99e307
_FIRST_DAY = datetime(1900, 3, 1, tzinfo=UTC)
_MIN_WIDTH, _MAX_WIDTH = 8, 60


def write_xlsx(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write the rows of a `Sheet` as the sheet `results`, and the failed jobs as `failures`.

    Texts stay texts: nothing becomes a formula, a link, a number or a date. A number is one if
    Excel keeps all its digits, and text otherwise. Instants are dates in UTC. A text that is longer
    than MAX_CELL_LENGTH is cut. Rows that a sheet cannot hold go on in `results 2`.
    """
    from xlsxwriter import Workbook

    sheet = Sheet(table, typed=True, max_columns=MAX_COLUMNS)
    target = ErrorKeepingFile(file)
    with tempfile.TemporaryDirectory(prefix=".batchrunner-", dir=table.scratch) as folder:
        workbook = Workbook(target, {"constant_memory": True, "tmpdir": folder})
        workbook.use_zip64()
        try:
            results = _Sheets(workbook, "results", sheet.names)
            for row in sheet.rows():
                results.add(row.cells)
            failures = _add_failures(workbook, table)
        except BaseException as error:
            target.error = error
        # Also after an error, so that its temporary files are closed.
        workbook.close()
    if target.error:
        raise target.error
    return sheet.written(cut=results.cut + failures.cut, sheets=results.sheets)


FORMAT = Format(
    name="xlsx",
    help="an Excel workbook with sheets of results and failures",
    write=write_xlsx,
    suffixes=(".xlsx",),
    is_text=False,
    requires=("xlsxwriter",),
    max_columns=MAX_COLUMNS,
)


class _Sheets:
    """Writes rows below a frozen header, on as many sheets as they need, and counts cut cells."""

    def __init__(self, workbook: Any, title: str, names: Sequence[str]) -> None:
        self._workbook = workbook
        self._title = title
        self._names = names
        self._date = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._bold = workbook.add_format({"bold": True})
        self.sheets = self.cut = 0
        self._begin()

    def add(self, cells: Sequence[Cell]) -> None:
        """Write a row."""
        if self._row == MAX_ROWS:
            self._begin()
        for column, cell in enumerate(cells):
            if cell is not None:
                self._write(column, cell)
        self._row += 1

    def _begin(self) -> None:
        self.sheets += 1
        title = self._title if self.sheets == 1 else f"{self._title} {self.sheets}"
        self._sheet = self._workbook.add_worksheet(title)
        self._sheet.freeze_panes(1, 0)
        for column, name in enumerate(self._names):
            width = min(_MAX_WIDTH, max(_MIN_WIDTH, len(name) + 2))
            self._sheet.set_column(column, column, width)
            self._text(0, column, name, self._bold)
        self._row = 1

    def _write(self, column: int, cell: Cell) -> None:
        if isinstance(cell, bool):
            self._sheet.write_boolean(self._row, column, cell)
        elif isinstance(cell, Number) and _keeps_digits(cell):
            self._sheet.write_number(self._row, column, float(cell))
        elif isinstance(cell, datetime) and cell >= _FIRST_DAY:
            at = cell.astimezone(UTC).replace(tzinfo=None)
            self._sheet.write_datetime(self._row, column, at, self._date)
        else:
            self._text(self._row, column, as_text(cell) or "")

    def _text(self, row: int, column: int, text: str, format: Any = None) -> None:
        if len(text) > MAX_CELL_LENGTH // 2 and _units(text) > MAX_CELL_LENGTH:
            self.cut += 1
            text = f"{_first_units(text, MAX_CELL_LENGTH - 1)}…"
        if text.startswith("<r>") and text.endswith("</r>"):
            # The library takes such a text for one with formats inside.
            self._sheet.write_rich_string(row, column, text[:1], text[1:2], text[2:])
        else:
            self._sheet.write_string(row, column, text, format)


def _add_failures(workbook: Any, table: ExportTable) -> _Sheets:
    carried, _ = column_names(FAILURE_COLUMNS, table.columns, [])
    sheets = _Sheets(workbook, "failures", [*FAILURE_COLUMNS, *carried])
    names = [*FAILURE_COLUMNS, *(f"{INPUT_PREFIX}{name}" for name in table.columns)]
    columns = [SelectedColumn(source=name, name=name) for name in names]
    selection = Selection(columns, table.columns, typed=True)
    for job in table.jobs():
        if job.state == JobState.FAILED:
            sheets.add(selection.cells(job, None))
    return sheets


def _keeps_digits(number: Number) -> bool:
    double = float(number)
    if double == 0:
        return number[0] != "-" and not number.strip("0.eE+")
    if not _SMALLEST <= abs(double) <= _LARGEST:
        return False
    return same_digits(f"{double:.{_DIGITS}g}", number)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _first_units(text: str, most: int) -> str:
    return text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")
