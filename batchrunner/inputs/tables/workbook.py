"""A sheet of an .xlsx workbook as a table."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetVisibleEnum

from batchrunner.errors import UsageError
from batchrunner.inputs.tables.content import Content
from batchrunner.inputs.tables.header import Header
from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.inputs.tables.sheet_values import SheetValue, cell_text, is_rounded
from batchrunner.inputs.tables.table import Row, Table, TableOptions
from batchrunner.inputs.tables.workbook_parts import (
    MAX_FILE_BYTES,
    SheetScan,
    WorkbookParts,
    cell_name,
)
from batchrunner.model.problems import JobFileErrors

_CHUNK_BYTES: Final = 1024**2
#: Rows from which the header is found.
_SAMPLE_ROWS: Final = 50
_FITTING: Final = 0.6


def open_workbook(content: Content, options: TableOptions) -> Table:
    """
    Return the chosen sheet of a workbook, or the first one with something in it.

    Raises:
        UsageError: It is another archive, is damaged, has a password, or is too large.
        JobFileErrors: The sheet has no header.
    """
    for option, given in (("--encoding", options.encoding), ("--delimiter", options.delimiter)):
        if given is not None:
            raise UsageError(f"{content.name} is a workbook", next=f"leave out {option}")
    with content.open() as stream:
        digest = _digest(content)
        parts = WorkbookParts(content, stream)
        if kind := parts.kind():
            name = shlex.quote(content.name)
            raise UsageError(
                f"{content.name} is {kind.what}", next=kind.way_out.replace("FILE", name)
            )
        parts.check()
        stream.seek(0)
        book = _calamine(content, lambda: CalamineWorkbook.from_filelike(stream))
        try:
            choice = _Choice(content, parts, book)
            name, others = choice.sheet(options.sheet)
            scan = parts.scan(choice.paths[name])
            sheet = _calamine(content, lambda: book.get_sheet_by_name(name))
        finally:
            book.close()
    content.close()
    return SheetTable(content.name, digest, name, others, sheet, scan)


def _digest(content: Content) -> str:
    digest, size = hashlib.sha256(), 0
    with content.open() as stream:
        while chunk := content.read_some(stream, _CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise UsageError(
                    f"{content.name} is larger than {MAX_FILE_BYTES // 1024**2} MB",
                    next="save the table as CSV UTF-8, and load that",
                )
    return digest.hexdigest()


def _calamine(content: Content, read: Any) -> Any:
    try:
        return read()
    except (CalamineError, OSError, ValueError) as error:
        _refuse_damaged(content, error)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which is no Exception
            raise
        _refuse_damaged(content, error)


def _refuse_damaged(content: Content, error: BaseException) -> NoReturn:
    raise UsageError(
        f"{content.name} is a workbook that cannot be read",
        next="open it in a spreadsheet program, save it again as .xlsx or as CSV UTF-8",
        why=str(error),
    ) from error


class _Choice:
    """Which sheet of a workbook is read."""

    def __init__(self, content: Content, parts: WorkbookParts, book: CalamineWorkbook) -> None:
        self._content = content
        self._parts = parts
        self._book = book
        all_paths = parts.sheet_paths()
        self.paths = {each: all_paths[each] for each in book.sheet_names if each in all_paths}

    def sheet(self, given: str | None) -> tuple[str, list[str]]:
        """Return the sheet's name, and other sheets that it could have been."""
        if given is not None:
            return self._named(given), []
        hidden = {
            each.name
            for each in self._book.sheets_metadata
            if each.visible != SheetVisibleEnum.Visible
        }
        found = [name for name, path in self.paths.items() if self._parts.has_cells(path)]
        visible = [name for name in found if name not in hidden]
        if not visible:
            what = f"is a workbook whose only sheets with cells are hidden: {_listed(found)}"
            raise UsageError(
                f"{self._content.name} {what if found else 'is a workbook without any cells'}",
                next="show the sheet, or name it: --sheet NAME" if found else "fill a sheet",
            )
        return visible[0], visible[1:]

    def _named(self, given: str) -> str:
        if given in self.paths:
            return given
        names = self._book.sheet_names
        same = [name for name in self.paths if name.strip().lower() == given.strip().lower()]
        if len(same) == 1:
            return same[0]
        if given.isascii() and given.isdigit() and 0 < int(given) <= len(names):
            name = names[int(given) - 1]
            if name in self.paths:
                return name
        raise UsageError(
            f"{self._content.name} has no sheet {given}",
            next=f"choose one of {_listed(list(self.paths))}, by its name or number",
        )


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:10]) + (", …" if len(names) > 10 else "")


class SheetTable(Table):
    """One sheet of a workbook; all of it is in memory."""

    def __init__(
        self,
        file: str,
        digest: str,
        name: str,
        others: list[str],
        sheet: CalamineSheet,
        scan: SheetScan,
    ) -> None:
        super().__init__(file=file, kind="xlsx", digest=digest)
        self._name_of_sheet = name
        self._sheet = sheet
        self._scan = scan
        self._first_column = (sheet.start or (0, 0))[1] + 1
        if others:
            self.log.warn(
                f"the sheet `{name}` is read; others have cells too: {_listed(others)}; "
                "choose by --sheet NAME",
                1,
            )
        self._find_header()
        self._warn_of_format()

    def _rows(self) -> Iterator[Row]:
        """Give the rows below the header; blank ones are left out."""
        width = len(self.columns)
        first = self.header_row.line
        bad_rows = {row for row, _ in self._scan.errors}
        rounded: list[tuple[int, int]] = []
        for line, values in enumerate(self._sheet.iter_rows(), start=1):
            if line <= first:
                continue
            cells = self._texts(line, values)
            for number, value in enumerate(values):
                if type(value) is float and is_rounded(value):
                    rounded.append((line, number))
            if any(cells) or line in bad_rows:
                row = Row(line, cells[:width], cells)
                yield (
                    self._checked(row, len(cells))
                    if line in bad_rows or len(cells) > width
                    else row
                )
        self._warn_of_rounding(rounded)

    def _texts(self, line: int, values: Sequence[SheetValue]) -> list[str]:
        cells = [cell_text(value) for value in values]
        if self._scan.digits:
            for number, cell in enumerate(cells):
                if digits := self._scan.digits.get((line, self._first_column + number)):
                    cells[number] = cell.zfill(digits) if cell.isdigit() else cell
        return cells

    def place(self, row: Row, number: int | None) -> Place:
        """Return where a cell is: its column is the sheet's."""
        cells = [str(cell) for cell in row.source or row.cells]
        at = number or 0
        before = sum(len(cell) + 3 for cell in cells[:at])
        note = f"sheet `{self._name_of_sheet}`"
        column = self._first_column + at
        if number is not None:
            note = f"cell {cell_name(row.line, column)} of {note}"
        width = len(cells[at]) if number is not None and at < len(cells) else 1
        return Place(row.line, column, " | ".join(cells), before + 1, width, note)

    # ---- header ----

    def _find_header(self) -> None:
        sample: list[Row] = []
        for line, values in enumerate(self._sheet.iter_rows(), start=1):
            cells = [cell_text(value) for value in values]
            if any(map(str.strip, cells)):
                sample.append(Row(line, cells, cells))
            if len(sample) >= _SAMPLE_ROWS:
                break
        if not sample:
            raise UsageError(
                f"the sheet `{self._name_of_sheet}` of {self.file} is empty",
                next="choose another one by --sheet NAME",
            )
        self.header_row = sample[0]
        self._check_above(sample)
        header = Header(
            self.file,
            self.log,
            lambda number: self.place(self.header_row, number),
            lambda names: f"insert a row above it with the columns' names: {', '.join(names)}",
        )
        used = {n for row in sample[1:] for n, cell in enumerate(row.cells) if cell.strip()}
        self.columns = tuple(header.columns(sample[0].cells, used=used.__contains__))

    def _check_above(self, sample: list[Row]) -> None:
        """Refuse lines above the header, such as a title."""
        sizes = [sum(1 for cell in row.cells if cell.strip()) for row in sample]
        if sizes[0] > 1 or len(sizes) < 3:
            return
        usual = Counter(size for size in sizes if size > 1).most_common(1)
        if not usual or usual[0][1] < _FITTING * len(sizes) - 3:
            return
        at = next(n for n, size in enumerate(sizes) if size >= usual[0][0])
        line = sample[at].line
        place = self.place(self.header_row, 0)
        message = (
            f"the header seems to be in row {line}; what stands above it is no part of the table"
        )
        tip = f"delete the rows above row {line}, and save the workbook"
        raise JobFileErrors((problem_at(message, self.file, place, tip=tip),))

    # ---- what is odd ----

    def _checked(self, row: Row, width: int) -> Row:
        """Return a row with its problem if a cell has an error, or no column."""
        for number in range(width):
            error = self._scan.errors.get((row.line, self._first_column + number))
            if error is None:
                continue
            if error:
                message, tip = f"the cell has the error {error}", "fix its formula, or empty it"
            else:
                message = "the cell has a formula whose result is not in the file"
                tip = "open the workbook in a spreadsheet program, and save it"
            if number >= len(self.columns):
                return row._replace(problem=self._problem_at(message, row, number, tip))
            problem = self._spoilt(message, row, number, tip)
            if problem is not None:
                return row._replace(problem=problem)
        extra = next((n for n in range(len(self.columns), width) if row.source[n].strip()), None)
        if extra is None:
            return row
        message = "the cell stands in a column without a name"
        tip = "name the column in the header, or empty the cell"
        return row._replace(problem=self._problem_at(message, row, extra, tip))

    def _problem_at(self, message: str, row: Row, number: int, tip: str) -> Any:
        name = self.columns[number].name if number < len(self.columns) else None
        return problem_at(message, self.file, self.place(row, number), name, tip)

    def _warn_of_rounding(self, rounded: list[tuple[int, int]]) -> None:
        if rounded:
            line, number = rounded[0]
            count = "a number" if len(rounded) == 1 else f"{len(rounded):,} numbers"
            self.log.warn(
                f"{count} of 16 or more digits in the sheet, the first in cell "
                f"{cell_name(line, self._first_column + number)}: the spreadsheet keeps 15, and "
                "made the others 0; ids and card numbers have to be typed as text",
                line,
                self._first_column + number,
            )

    def _warn_of_format(self) -> None:
        if hidden := self._scan.hidden_rows:
            rows = "1 hidden row is" if hidden == 1 else f"{hidden:,} hidden rows are"
            first = self._scan.first_hidden or self.header_row.line
            named = "" if hidden == 1 else ", the first here"
            self.log.warn(f"{rows} loaded too{named}", first)
        merged = [
            (start, end)
            for start, end in self._sheet.merged_cell_ranges or ()
            if end[0] > start[0] and end[0] >= self.header_row.line
        ]
        if merged:
            (row, column), (last_row, last_column) = merged[0]
            ranges = "a range" if len(merged) == 1 else f"{len(merged):,} ranges"
            self.log.warn(
                f"{ranges} of merged cells, the first {cell_name(row + 1, column + 1)}:"
                f"{cell_name(last_row + 1, last_column + 1)}: only the first cell of each has "
                "the value, the others are empty",
                row + 1,
                column + 1,
            )
