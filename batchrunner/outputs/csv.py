"""Finished jobs → CSV: one row per job, and one column per field of the results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import IO

from batchrunner.model import FinishedJob
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT, Jobs
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.formula_guard import guard
from batchrunner.outputs.json_values import Json, read, write

#: Maximum columns from results; nobody can use a sheet with more.
MAX_COLUMNS = 1_000

_ESCAPED_IN_NAMES = re.compile("[.\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_csv(jobs: Jobs, file: IO[bytes], *, start: str = "", end: str = "\n") -> Written:
    r"""
    Write a header, then one row for each job, in two passes over the jobs.

    After FIELDS come `result`, `artifacts` where any job has some, and one column for each path
    into the results, in the order in which they first appear: `result.price`,
    `result.offer.currency`. Arrays and empty objects are JSON text, null is an empty cell, and
    numbers are written as the API wrote them.

    `result` itself holds what has no path: results that are not objects, text that is not JSON, and
    the whole result, as sent, of a row with a value that has no column among the first
    MAX_COLUMNS.

    In a name, `\.` is a dot of the key, `\\` a backslash, and `\u000a` a character that does not
    fit into a header. So different paths never share a column. An empty key is an empty part.

    Rows end in *end*; cells are quoted where they must be, and keep their own line ends. NUL is
    written as ␀, unpaired surrogates as U+FFFD, and formulas with a `'` in front (`unguard`).
    """
    sheet = _Sheet(_columns(jobs()))
    file.write((start + sheet.header() + end).encode())
    count = 0
    for count, job in enumerate(jobs(), start=1):  # noqa: B007
        file.write((sheet.row(job) + end).encode())
    return Written(jobs=count, guarded=sheet.guarded)


FORMAT = Format(
    name="csv", help="one row per job, comma-separated", write=write_csv, suffixes=(".csv",)
)


def _columns(jobs: Iterable[FinishedJob]) -> list[str]:
    columns = dict.fromkeys([*FIELDS, RESULT])
    limit, any_artifacts = len(columns) + MAX_COLUMNS, False
    for job in jobs:
        any_artifacts = any_artifacts or bool(job.artifacts)
        for name in _leaves(job.result):
            if name not in columns and len(columns) < limit:
                columns[name] = None
    fixed = len(FIELDS) + 1
    return [*columns][:fixed] + [ARTIFACTS] * any_artifacts + [*columns][fixed:]


class _Sheet:
    """Writes rows under one header, and counts the guarded cells."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._index = {name: index for index, name in enumerate(columns)}
        self.guarded = 0

    def header(self) -> str:
        return ",".join(_quoted(guard(name)) for name in self._index)

    def row(self, job: FinishedJob) -> str:
        cells = [""] * len(self._index)
        for index, get in enumerate(FIELDS.values()):
            if (field := get(job)) is not None:
                cells[index] = self._cell(str(field))
        leaves = _leaves(job.result)
        if not leaves.keys() <= self._index.keys():
            leaves = {**leaves, RESULT: job.result}
        if job.artifacts and ARTIFACTS in self._index:
            cells[self._index[ARTIFACTS]] = self._cell(write(list(job.artifacts)))
        for name, value in leaves.items():
            if value is not None and name in self._index:
                cells[self._index[name]] = self._cell(value)
        return ",".join(cells)

    def _cell(self, value: Json) -> str:
        text = value if isinstance(value, str) else write(value)
        if "\0" in text or not text.isascii():
            text = _SURROGATE.sub("\ufffd", text).replace("\0", "␀")
        safe = guard(text)
        if safe is not text:
            self.guarded += 1
        return _quoted(safe)


def _quoted(text: str) -> str:
    # The same as csv.writer, in half the time.
    if '"' in text:
        text = text.replace('"', '""')
    elif not ("," in text or "\n" in text or "\r" in text):
        return text
    return f'"{text}"'


def _leaves(result: str | None) -> Mapping[str, Json]:
    """Return the values of a result by the names of their columns."""
    if result is None:
        return {}
    try:
        value = read(result)
    except ValueError:
        return {RESULT: result}
    leaves: dict[str, Json] = {}
    if isinstance(value, dict) and value:
        _add_leaves(value, RESULT, leaves)
    else:
        leaves[RESULT] = value
    return leaves


def _add_leaves(value: Mapping[str, Json], parent: str, leaves: dict[str, Json]) -> None:
    for key, item in value.items():
        # Most keys are identifiers, and this check is quicker than a search.
        part = key if key.isidentifier() else _ESCAPED_IN_NAMES.sub(_escape, key)
        name = f"{parent}.{part}"
        if isinstance(item, dict) and item:
            _add_leaves(item, name, leaves)
        else:
            leaves[name] = item


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    return f"\\{char}" if char in ".\\" else f"\\u{ord(char):04x}"
