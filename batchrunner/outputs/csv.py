"""Finished jobs → CSV, one row a job and one column a field of their results."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, Jobs
from batchrunner.outputs.formula_guard import guard
from batchrunner.outputs.json_values import Json, read, write

#: Columns that results may open; a sheet with more helps nobody.
MAX_COLUMNS = 1_000

_UNFIT_FOR_NAMES = re.compile("[.\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def csv_lines(jobs: Jobs) -> Generator[str, None, int]:
    r"""
    Give a header, then one row for each job, in two passes; return how many cells were guarded.

    After FIELDS come `result`, `artifacts` where any job has some, and one column for each path
    into the results, in the order in which they first appear: `result.price`,
    `result.offer.currency`. Arrays and empty objects are JSON text, null is an empty cell, and
    numbers are written as the API wrote them.

    `result` itself holds what has no path: results that are no objects, text that is not JSON, and
    the whole result, as sent, of a row with a value for which there was no column among the first
    MOST_COLUMNS.

    In a name, `\.` is a dot of the key and `\\` a backslash, and `\u000a` a character that has no
    place in a header, so different paths never share a column; an empty key is an empty part.

    Rows end in `\n`; cells are quoted where they must be, and keep their own line ends. NUL is
    written as ␀, half characters as U+FFFD, and formulas with a `'` before them (`unguard`).
    """
    return (yield from _lines(jobs, end="\n"))


def excel_lines(jobs: Jobs) -> Generator[str, None, int]:
    r"""Give the same for a double click in Excel: after a byte order mark, with `\r\n`."""
    return (yield from _lines(jobs, start="\ufeff", end="\r\n"))


def _lines(jobs: Jobs, *, start: str = "", end: str) -> Generator[str, None, int]:
    sheet = _Sheet(_columns(jobs()))
    yield start + sheet.header() + end
    for job in jobs():
        yield sheet.row(job) + end
    return sheet.guarded


def _columns(jobs: Iterable[FinishedJob]) -> list[str]:
    columns = dict.fromkeys([*FIELDS, RESULT])
    most, captured = len(columns) + MAX_COLUMNS, False
    for job in jobs:
        captured = captured or bool(job.artifacts)
        for name in _leaves(job.result):
            if name not in columns and len(columns) < most:
                columns[name] = None
    first = len(FIELDS) + 1
    return [*columns][:first] + [ARTIFACTS] * captured + [*columns][first:]


class _Sheet:
    """Rows under the same header, and how many of their cells were guarded."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._places = {name: place for place, name in enumerate(columns)}
        self.guarded = 0

    def header(self) -> str:
        return ",".join(map(_quoted, self._places))

    def row(self, job: FinishedJob) -> str:
        cells = [""] * len(self._places)
        for place, get in enumerate(FIELDS.values()):
            if (field := get(job)) is not None:
                cells[place] = self._cell(str(field))
        leaves = _leaves(job.result)
        if not leaves.keys() <= self._places.keys():
            leaves = {**leaves, RESULT: job.result}
        if job.artifacts and ARTIFACTS in self._places:
            cells[self._places[ARTIFACTS]] = self._cell(write(list(job.artifacts)))
        for name, value in leaves.items():
            if value is not None and name in self._places:
                cells[self._places[name]] = self._cell(value)
        return ",".join(cells)

    def _cell(self, value: Json) -> str:
        text = value if isinstance(value, str) else write(value)
        if "\0" in text or not text.isascii():
            text = _HALF_CHARACTER.sub("\ufffd", text).replace("\0", "␀")
        safe = guard(text)
        if safe is not text:
            self.guarded += 1
        return _quoted(safe)


def _quoted(text: str) -> str:
    # As csv.writer does, in half the time.
    if '"' in text:
        text = text.replace('"', '""')
    elif not ("," in text or "\n" in text or "\r" in text):
        return text
    return f'"{text}"'


def _leaves(result: str | None) -> Mapping[str, Json]:
    """Return the values in a result by the names of their columns."""
    if result is None:
        return {}
    try:
        value = read(result)
    except ValueError:
        return {RESULT: result}
    leaves: dict[str, Json] = {}
    if isinstance(value, dict) and value:
        _gather(value, RESULT, leaves)
    else:
        leaves[RESULT] = value
    return leaves


def _gather(value: Mapping[str, Json], above: str, leaves: dict[str, Json]) -> None:
    for key, item in value.items():
        # Most keys are identifiers, and to ask that is quicker than to search.
        part = key if key.isidentifier() else _UNFIT_FOR_NAMES.sub(_escape, key)
        name = f"{above}.{part}"
        if isinstance(item, dict) and item:
            _gather(item, name, leaves)
        else:
            leaves[name] = item


def _escape(unfit: re.Match[str]) -> str:
    char = unfit[0]
    return f"\\{char}" if char in ".\\" else f"\\u{ord(char):04x}"
