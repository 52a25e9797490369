"""Finished jobs → CSV: one row per job, and one column per field of the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, set_aside_note
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.formula_guard import cut_at_separators, guard, guard_inside, is_formula
from batchrunner.outputs.json_values import Json, read, write
from batchrunner.outputs.table import ExportTable
from batchrunner.text.json_size import is_parsable

#: Maximum columns from results; nobody can use a sheet with more.
MAX_COLUMNS = 1_000
#: Longest name of a column, in characters; what lies below a longer one has no column.
MAX_NAME_LENGTH = 1_000
#: Characters of a cell that are written at once.
_CHUNK_LENGTH = 1024**2

_ESCAPED_IN_NAMES = re.compile("[.\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_csv(table: ExportTable, file: IO[bytes], *, start: str = "", end: str = "\n") -> Written:
    r"""
    Write a header, then one row for each job, in two passes over the jobs.

    After FIELDS come `result`, `artifacts` where any job has some, and one column for each path
    into the results, in the order in which they first appear: `result.price`,
    `result.offer.currency`. Arrays and empty objects are JSON text, null is an empty cell, and
    numbers are written as the API wrote them.

    `result` itself holds what has no path: results that are not objects, text that is not JSON, and
    the whole result, as sent, of a row with a value that has no column: there are MAX_COLUMNS, with
    names of at most MAX_NAME_LENGTH. A result that is too large to be parsed is set aside: its cell
    says how to print it.

    In a name, `\.` is a dot of the key, `\\` a backslash, and `\u000a` a character that does not
    fit into a header. So different paths never share a column. An empty key is an empty part.

    Rows end in *end*; cells are quoted where they must be, and keep their own line ends. NUL is
    written as ␀, unpaired surrogates as U+FFFD, and formulas with a `'` in front (`unguard`).
    """
    sheet = _Sheet(_columns(table.jobs()))
    file.write((start + sheet.header() + end).encode())
    count = 0
    for count, job in enumerate(table.jobs(), start=1):  # noqa: B007
        for part in sheet.row(job):
            file.write(part.encode())
        file.write(end.encode())
    return Written(jobs=count, rows=count, guarded=sheet.guarded)


FORMAT = Format(
    name="csv", help="one row per job, comma-separated", write=write_csv, suffixes=(".csv",)
)


def _columns(jobs: Iterable[FinishedJob]) -> list[str]:
    columns = dict.fromkeys([*FIELDS, RESULT])
    limit, any_artifacts = len(columns) + MAX_COLUMNS, False
    for job in jobs:
        any_artifacts = any_artifacts or bool(job.artifacts)
        for name, _ in _leaves(job) if len(columns) < limit else ():
            if name is not None and name not in columns:
                columns[name] = None
                if len(columns) == limit:
                    break
    fixed = len(FIELDS) + 1
    return [*columns][:fixed] + [ARTIFACTS] * any_artifacts + [*columns][fixed:]


class _Sheet:
    """Writes rows under one header, and counts the guarded cells."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._index = {name: index for index, name in enumerate(columns)}
        self.guarded = 0

    def header(self) -> str:
        return ",".join(_quoted(guard(name)) for name in self._index)

    def row(self, job: FinishedJob) -> Iterator[str]:
        """Give the parts of a row; one part, unless a cell is long."""
        cells: list[str | Iterator[str]] = [""] * len(self._index)
        for index, get in enumerate(FIELDS.values()):
            if (field := get(job)) is not None:
                cells[index] = self._cell(str(field))
        if job.artifacts and ARTIFACTS in self._index:
            cells[self._index[ARTIFACTS]] = self._cell(write(list(job.artifacts)))
        cells[self._index[RESULT]] = self._fill(cells, job)
        return _joined(cells)

    def _fill(self, cells: list[str | Iterator[str]], job: FinishedJob) -> str | Iterator[str]:
        """Fill the cells of a result's values; return the cell of what has no column."""
        rest: Json = None
        for name, value in _leaves(job):
            if name == RESULT:
                rest = value
            elif name not in self._index:
                rest = job.result
            elif value is not None:
                cells[self._index[name]] = self._cell(value)
        return "" if rest is None else self._cell(rest)

    def _cell(self, value: Json) -> str | Iterator[str]:
        text = value if isinstance(value, str) else write(value)
        if len(text) > _CHUNK_LENGTH:
            return self._long_cell(text)
        text = _printable(text)
        safe = guard(text)
        if safe is not text:
            self.guarded += 1
        return _quoted(safe)

    def _long_cell(self, text: str) -> Iterator[str]:
        is_guarded = text[0] != "\0" and is_formula(text)
        yield "\"'" if is_guarded else '"'
        for part in cut_at_separators(text, _CHUNK_LENGTH):
            safe = guard_inside(part)
            is_guarded = is_guarded or safe is not part
            for start in range(0, len(safe), _CHUNK_LENGTH):
                yield _printable(safe[start : start + _CHUNK_LENGTH]).replace('"', '""')
        self.guarded += is_guarded
        yield '"'


def _joined(cells: list[str | Iterator[str]]) -> Iterator[str]:
    """Give a row in as few parts as its long cells allow."""
    short: list[str] = []
    for cell in cells:
        if isinstance(cell, str):
            short.append(cell)
            continue
        yield ",".join([*short, ""])
        yield from cell
        short = [""]
    yield ",".join(short)


def _printable(text: str) -> str:
    if "\0" in text or not text.isascii():
        return _SURROGATE.sub("\ufffd", text).replace("\0", "␀")
    return text


def _quoted(text: str) -> str:
    # The same as csv.writer, in half the time.
    if '"' in text:
        text = text.replace('"', '""')
    elif not ("," in text or "\n" in text or "\r" in text):
        return text
    return f'"{text}"'


def _leaves(job: FinishedJob) -> Iterator[tuple[str | None, Json]]:
    """Give the values of a job's result with the names of their columns; None: it has no name."""
    if job.result is None:
        return
    if not is_parsable(job.result):
        yield RESULT, set_aside_note(job)
        return
    try:
        value = read(job.result)
    except ValueError:
        yield RESULT, job.result
        return
    if isinstance(value, dict) and value:
        yield from _leaves_below(value, RESULT)
    else:
        yield RESULT, value


def _leaves_below(value: Mapping[str, Json], parent: str) -> Iterator[tuple[str | None, Json]]:
    for key, item in value.items():
        # Most keys are identifiers, and this check is quicker than a search.
        part = key if key.isidentifier() else _ESCAPED_IN_NAMES.sub(_escape, key)
        name = f"{parent}.{part}"
        if len(name) > MAX_NAME_LENGTH:
            yield None, item
        elif isinstance(item, dict) and item:
            yield from _leaves_below(item, name)
        else:
            yield name, item


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return f"\\{char}" if char in ".\\" else f"\\u{ord(char):04x}"
