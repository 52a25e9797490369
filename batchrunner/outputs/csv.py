"""Finished jobs → CSV: one row per job, and one column per field of the results."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from batchrunner.outputs.cells import Cell, text_of, utf8
from batchrunner.outputs.columns import FIELDS
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.formula_guard import cut_at_separators, guard, guard_inside, is_formula
from batchrunner.outputs.json_values import Json, Number
from batchrunner.outputs.sheet import GrowingSheet, Sheet
from batchrunner.outputs.table import ExportTable, View

#: The column of text whose cells are numbers.
_COST = "cost"
#: Its place among all columns.
_COSTS = {[*FIELDS].index(_COST)}
#: Characters of a cell that are written at once.
_CHUNK_LENGTH = 1024**2
#: What a disk without space answers.
_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
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
    Write a header, then the rows of a `Sheet`.

    Numbers are written as the API wrote them, lists and objects as JSON text. Rows end in *end*;
    cells are quoted where they must be, and keep their own line ends. NUL is written as ␀, unpaired
    surrogates as U+FFFD, and formulas with a `'` in front (`unguard`). Without a guard, formulas
    and NUL are written as they are. With another *decimal* sign, numbers and costs have that one;
    numbers inside of lists, objects and texts stay.
    """
    rows = _Rows(table.view, separator, end, decimal)
    if not table.view.columns:
        written = _write_once(table, file, rows, start)
        if written is not None:
            return written
    rows.guarded = 0
    sheet = Sheet(table)
    file.write((start + rows.header(sheet.names)).encode())
    costs = {number for number, name in enumerate(sheet.names) if name == _COST}
    for row in sheet.rows():
        for part in rows.parts(row.cells, costs):
            file.write(part.encode())
    return sheet.written(guarded=rows.guarded)


def _write_once(table: ExportTable, file: IO[bytes], rows: _Rows, start: str) -> Written | None:
    """
    Write the file in one pass over the jobs; write nothing and return None if that cannot be.

    A file beside it takes the rows until all columns are known: new ones only follow the others.
    """
    sheet = GrowingSheet(table)
    with _side_file(table.scratch or tempfile.gettempdir()) as side:
        waiting = _WaitingRows(side)
        for cells in sheet.rows():
            waiting.add(rows.parts(cells, _COSTS), len(cells))
        if sheet.has_gaps:
            return None
        names, written = sheet.finish(rows.guarded)
        file.write((start + rows.header(names)).encode())
        waiting.copy(file, len(names), rows)
    return written


@contextmanager
def _side_file(folder: str) -> Iterator[IO[bytes]]:
    """
    Open a file without a name.

    Raises:
        OSError: There is no space for it; the error's `filename` is *folder*.
    """
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=_CHUNK_LENGTH) as side:
            yield side
    except OSError as error:
        if error.filename is None and error.errno in _NO_SPACE:
            raise OSError(error.errno, error.strerror, folder) from error
        raise


class _WaitingRows:
    """Rows in a file that may get more columns at their ends."""

    def __init__(self, side: IO[bytes]) -> None:
        self._side = side
        self._lengths = array("Q")
        self._widths: list[tuple[int, int]] = []  #: the first row of each width, and that width

    def add(self, parts: Iterable[str], width: int) -> None:
        """Add a row with its end."""
        if not self._widths or self._widths[-1][1] != width:
            self._widths.append((len(self._lengths), width))
        length = 0
        for part in parts:
            length += self._side.write(part.encode())
        self._lengths.append(length)

    def copy(self, file: IO[bytes], width: int, rows: _Rows) -> None:
        """Write the rows, each with so many columns."""
        self._side.seek(0)
        ends = [first for first, _ in self._widths[1:]]
        for (first, narrow), end in zip(self._widths, ends, strict=False):
            more = rows.empty(width - narrow)
            for length in self._lengths[first:end]:
                file.write(self._side.read(length)[: -len(rows.end)] + more)
        shutil.copyfileobj(self._side, file, _CHUNK_LENGTH)


FORMAT = Format(
    name="csv", help="one row per job, comma-separated", write=write_csv, suffixes=(".csv",)
)


class _Rows:
    """Writes rows, and counts the guarded cells."""

    def __init__(self, view: View, separator: str, end: str, decimal: str) -> None:
        self._guards = view.guard
        self._separator = separator
        self._decimal = decimal
        self._quoted: Callable[[str], str] = _quoted_for(separator, view.nothing)
        self._nothing = view.nothing
        self.end = end.encode()
        self._end = end
        self.guarded = 0

    def header(self, names: Sequence[str]) -> str:
        """Return the first row; names are not counted."""
        guarded = self.guarded
        header = self._separator.join([self.text(name) for name in names]) + self._end
        self.guarded = guarded
        return header

    def empty(self, cells: int) -> bytes:
        """Return the end of a row behind so many empty cells."""
        return ((self._separator + self._nothing) * cells + self._end).encode()

    def parts(self, cells: Sequence[Cell], costs: Container[int]) -> Iterator[str]:
        """Give the parts of a row; *costs* are the columns of text whose cells are numbers."""
        values = cells if self._decimal == "." else self._with_decimal(cells, costs)
        yield from self.row(values)  # type: ignore[arg-type]  # none is a time
        yield self._end

    def _with_decimal(self, cells: Sequence[Cell], costs: Container[int]) -> list[Cell]:
        return [
            cell.replace(".", self._decimal)
            if isinstance(cell, Number) or (number in costs and isinstance(cell, str))
            else cell
            for number, cell in enumerate(cells)
        ]

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
