"""CSV and its kin: cells between delimiters, quoted where they contain one."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from typing import Any, Final

from batchrunner.inputs.tables.csv_cells import Span, spans, text_place
from batchrunner.inputs.tables.dialect import NO_DELIMITER, find_dialect
from batchrunner.inputs.tables.header import Header
from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.inputs.tables.sheet_values import SHEET_ERRORS
from batchrunner.inputs.tables.table import Row, Table
from batchrunner.inputs.tables.text import MAX_LINE_LENGTH, Text
from batchrunner.model.problems import JobFileErrors, Problem

#: Maximum characters of a cell.
MAX_CELL_LENGTH: Final = 1024**2
#: Characters from which the delimiter and the header are found.
_SAMPLE_LENGTH: Final = 64 * 1024
#: Characters of lines that are read at once.
_BLOCK_LENGTH: Final = 64 * 1024
#: A number of many digits as a spreadsheet shows it in a narrow column, and then saves it.
_SHORTENED = re.compile(r"[0-9][.,]?[0-9]*E\+[0-9]{2}")
_TOO_LONG: Final = f"the row has more than {MAX_LINE_LENGTH:,} characters"
#: What DOS programs write behind the last line.
_END_OF_DOS_FILE: Final = "\x1a"


class CsvTable(Table):
    """A table whose cells are separated by one character."""

    def __init__(self, text: Text, delimiter: str | None) -> None:
        super().__init__(file=text.content.name, kind="csv", digest=text.digest)
        text.check_lines()
        self._text = text
        self._is_warned = False  #: of shortened numbers
        sample = text.read(_SAMPLE_LENGTH)
        is_whole = len(sample) < _SAMPLE_LENGTH
        self._dialect = find_dialect(sample, is_whole=is_whole, delimiter=delimiter)
        self.header_row = self._header_row()
        header = Header(
            self.file,
            self.log,
            lambda number: self.place(self.header_row, number),
            self._with_names,
        )
        if self._dialect.header is None:
            self._refuse(
                "the file has no header and no rows", "write one row a line below a header"
            )
        columns = header.columns(self.header_row.cells, used=self._dialect.is_used)
        self._check_shape(len(columns))
        self.columns = tuple(columns)

    def _rows(self) -> Iterator[Row]:
        """Give the rows below the header; blank ones are left out."""
        width, first = len(self.columns), self.header_row.line + 1
        name = self.header_row.cells[0]
        short, first_short = 0, 0
        for row in self._records():
            cells = row.cells
            if len(cells) == width and cells[0][:1] > " " and row.line >= first:
                source = row.source
                is_odd = cells[0] == name or "#" in source or "E+" in source
                yield self._checked(row) if is_odd else row
            elif row.line < first or (row.problem is None and _is_blank(cells)):
                continue
            elif len(cells) == width:
                yield self._checked(row)
            elif row.problem is not None or len(cells) > width:
                yield self._without_extra(row)
            else:
                short, first_short = short + 1, first_short or row.line
                yield row._replace(cells=[*cells, *[""] * (width - len(cells))])
        if short:
            rows = "1 row has" if short == 1 else f"{short:,} rows have"
            message = f"{rows} fewer cells than the header; the missing ones are empty"
            self.log.warn(message, first_short)

    def place(self, row: Row, number: int | None) -> Place:
        """Return where a cell is, or where the row begins."""
        source = row.source or ""
        if number is None:
            text = text_place(source, 0).line_text
            return Place(row.line, 1, text, 1, len(text))
        reached, span = 0, Span(0, 0, True)
        for reached, span in enumerate(self._spans(source)):  # noqa: B007 - the last one is used
            if reached == number:
                break
        at = span.start if reached == number else span.end
        within = text_place(source, at)
        width = min(span.end - at, len(within.line_text) - within.column + 1)
        line = row.line + within.line_offset
        return Place(line, within.column, within.line_text, within.column, width)

    def _is_changed(self) -> bool:
        return self._text.content.is_changed()

    def close(self) -> None:
        """Let go of the file."""
        self._text.content.close()

    def _spans(self, source: str) -> Iterator[Span]:
        return spans(source, self._dialect.delimiter, skip_blanks=self._dialect.skip_blanks)

    # ---- records ----

    def _records(self) -> Iterator[Row]:
        """Give all records, those above the header too; a broken quote may end the reading."""
        csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_LENGTH))
        with self._text.lines() as lines:
            first = 1
            while block := lines.readlines(_BLOCK_LENGTH):
                if (cells := self._cells_of_lines(block)) is not None:
                    yield from map(Row, count(first), cells, block)
                    first += len(block)
                    continue
                record = _Record(chain(block, lines))
                for row in self._one_by_one(record, first):
                    yield row
                    if record.given >= len(block):
                        break
                else:
                    return
                first += record.given

    def _cells_of_lines(self, lines: Sequence[str]) -> list[list[str]] | None:
        """Return the cells of lines that are a record each; None if some are not, or are broken."""
        try:
            cells = list(self._reader(lines))
        except csv.Error:
            return None
        return cells if len(cells) == len(lines) else None

    def _one_by_one(self, record: _Record, first: int) -> Iterator[Row]:
        """Give the records from line *first* on: they may be broken, or have several lines."""
        reader, lines, above = self._reader(record), record.lines, first - 1
        while True:
            try:
                for cells in reader:
                    source = lines[0] if len(lines) == 1 else record.taken()
                    lines.clear()
                    yield Row(first, cells, source)
                    first = above + reader.line_num + 1
                return
            except csv.Error as error:
                reason = str(error)
            row, first = Row(first, (), record.taken()), above + reader.line_num + 1
            if (broken := self._broken(row, reason)) is None:
                return
            yield broken

    def _reader(self, lines: Iterable[str]) -> Any:
        return csv.reader(
            lines,
            delimiter=self._dialect.delimiter,
            skipinitialspace=self._dialect.skip_blanks,
            strict=True,
        )

    def _broken(self, row: Row, error: str) -> Row | None:
        """Return a row that csv refuses with its problem; or report what ends the reading."""
        if error == _TOO_LONG:
            tip = "its last quote may have no partner"
            self.log.add_problem(self.problem(error, row, None, tip))
            return None
        open_ = next((span for span in self._spans(row.source) if not span.is_closed), None)
        if open_ is None:
            message = f"a cell has more than {MAX_CELL_LENGTH:,} characters"
            return row._replace(problem=self.problem(message, row, None, "shorten it"))
        place = self._text_place(row, open_.start)
        rest = row.source[open_.end :]
        if not rest.strip() or "field larger" in error:
            message = "this quote is never closed"
            tip = 'close it at the end of its cell; inside, write each " twice'
            self.log.add_problem(problem_at(message, self.file, place, tip=tip))
            return None
        return row._replace(problem=self._text_behind_quote(row, open_, place))

    def _text_behind_quote(self, row: Row, cell: Span, place: Place) -> Problem:
        closed = self._text_place(row, cell.end)
        if closed.line > place.line:
            message = (
                f"this quote closes only in line {closed.line}, and text follows there: "
                "one of the quotes between has no partner"
            )
        else:
            message = "text follows the closing quote of this cell"
        tip = 'inside a quoted cell, write each " twice'
        if row.source[cell.end - 2 : cell.end] == '\\"':
            file = self._text.content.shell_input('sed \'s/\\\\"/""/g\'')
            tip += f'; this file writes \\" instead: {file} > fixed.csv'
        return problem_at(message, self.file, place, tip=tip)

    def _text_place(self, row: Row, at: int) -> Place:
        within = text_place(row.source, at)
        line = row.line + within.line_offset
        return Place(line, within.column, within.line_text, within.column)

    def _without_extra(self, row: Row) -> Row:
        width = len(self.columns)
        if row.problem is not None:
            return row
        cells = row.cells[:width]
        if _is_blank(row.cells[width:]):
            return row._replace(cells=cells)
        message = f"the row has {len(row.cells):,} cells, and the header {width:,}"
        tip = f"put a cell that contains {self._delimiter_name()} in quotes"
        place = self.place(row, width)
        return row._replace(cells=cells, problem=problem_at(message, self.file, place, tip=tip))

    def _checked(self, row: Row) -> Row:
        """Return a row with its problem if a spreadsheet spoilt it, or if it is a header again."""
        if row.cells == self.header_row.cells:
            tip = "delete it: tables were put one behind the other"
            return row._replace(problem=self.problem("the row repeats the header", row, None, tip))
        for number, cell in enumerate(row.cells):
            if cell in SHEET_ERRORS:
                message = f"the cell has the error {cell} of a spreadsheet"
                problem = self._spoilt(message, row, number, "fix its formula, or empty the cell")
                if problem is not None:
                    return row._replace(problem=problem)
            if _SHORTENED.fullmatch(cell) and not self._is_warned:
                self._is_warned = True
                place = self.place(row, number)
                self.log.warn(
                    f"{cell} looks like a number that a spreadsheet shortened: it has lost digits; "
                    "write such ids as text",
                    place.line,
                    place.column,
                )
        return row

    def _delimiter_name(self) -> str:
        return {"\t": "a tab"}.get(self._dialect.delimiter, f"`{self._dialect.delimiter}`")

    # ---- header ----

    def _header_row(self) -> Row:
        line = self._dialect.header.line if self._dialect.header else 1
        found = next((row for row in self._records() if row.line >= line), Row(1, (), ""))
        if found.problem is not None:
            raise JobFileErrors((found.problem,))
        if problems := self.log.problems():
            raise JobFileErrors(problems)
        return found

    def _with_names(self, names: list[str]) -> str:
        line = self._dialect.delimiter.join(names)
        command = self._text.content.shell_input(f"sed {shlex.quote(f'1i {line}')}")
        return f"put the columns' names above it, for example: {command} > with-header.csv"

    def _check_shape(self, width: int) -> None:
        dialect = self._dialect
        if dialect.above:
            line = self.header_row.line
            command = self._text.content.shell_input(f"tail -n +{line}")
            self._refuse(
                f"the header seems to be in line {line}; what stands above it is no part of it",
                f"leave out the lines above it: {command} > table.csv",
            )
        self._check_delimiter()
        if dialect.width > width:
            self._refuse_width(width)
        if dialect.skip_blanks:
            message = f"blanks behind {self._delimiter_name()} do not count, as quotes follow them"
            self.log.warn(message, self.header_row.line)

    def _check_delimiter(self) -> None:
        dialect = self._dialect
        if dialect.other == " ":
            tip = "write one of , ; | or a tab between them"
            self._refuse("the columns seem to be aligned by blanks", tip)
        elif dialect.other is not None:
            shown = ascii(dialect.other)
            given = shown if dialect.other.isprintable() else f"${shown}"
            self._refuse(f"the cells seem to be separated by {shown}", f"add --delimiter {given}")

    def _refuse_width(self, width: int) -> None:
        dialect = self._dialect
        tip = "give each column a name"
        if dialect.width == width + 1:
            tip += ", also the first one (in R: write.csv(…, row.names = FALSE))"
        if dialect.delimiter != NO_DELIMITER:
            tip += f"; or put cells that contain {self._delimiter_name()} in quotes"
        if width == 1:
            tip += "; or say that no line has more than one cell: --delimiter tab"
        columns = "1 column" if width == 1 else f"{width} columns"
        self._refuse(f"the header has {columns}, and most rows have {dialect.width} cells", tip)

    def _refuse(self, message: str, tip: str) -> None:
        place = self.place(self.header_row, None)
        raise JobFileErrors((problem_at(message, self.file, place, tip=tip),))


class _Record:
    """Gives lines to csv, and keeps those of the present record: one may have many."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._rest = lines
        self.lines: list[str] = []
        self.given = 0  #: lines, of all records
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        lines = self.lines
        for line in self._rest:
            if lines:
                self._length += len(line)
                if self._length > MAX_LINE_LENGTH:
                    raise csv.Error(_TOO_LONG)
            lines.append(line)
            self.given += 1
            yield line

    def taken(self) -> str:
        """Return the text of the present record, and begin another one."""
        text = "".join(self.lines)
        self.lines.clear()
        self._length = 0
        return text


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(map(str.strip, cells)) or list(cells) == [_END_OF_DOS_FILE]
