"""Column names from the cells of a header, or why these cells are no header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from batchrunner.inputs.tables.place import Place, problem_at
from batchrunner.inputs.tables.table import Column, TableLog
from batchrunner.model.problems import JobFileErrors, Problem

#: Maximum columns of a table; Excel has as many.
MAX_COLUMNS: Final = 16_384
#: Columns that name what a job is: two of one name would be two jobs.
_JOB_COLUMNS: Final = frozenset({"url", "goal", "id"})
_URL = re.compile(r"\s*(?:https?|ftp)://", re.IGNORECASE)
#: Characters without width, which editors and programs leave in names.
_INVISIBLE = re.compile("[\ufeff\u200b-\u200f\u2060]")
#: Other quotes than those of CSV, around a name.
_OTHER_QUOTES = re.compile(r"\s*(?:'.*'|“.*”|„.*[“”]|«.*»|`.*`)\s*")

#: Where a cell of the header is, by its number from 0.
Locate = Callable[[int], Place]


class Header:
    """Reads the cells of a header."""

    def __init__(
        self, file: str, log: TableLog, locate: Locate, with_names: Callable[[list[str]], str]
    ) -> None:
        self._file = file
        self._log = log
        self._locate = locate
        self._with_names = with_names  #: how to add these names to the file, as a tip

    def columns(self, cells: Sequence[str], *, used: Callable[[int], bool]) -> list[Column]:
        """
        Return the columns; *used* says whether a column without a name has cells in its rows.

        Raises:
            JobFileErrors: The cells are no header, or their names cannot be used.
        """
        if len(cells) > MAX_COLUMNS:
            message = f"the header has {len(cells):,} columns; {MAX_COLUMNS:,} are allowed"
            self._refuse([self._problem(0, message, "leave out columns that are not needed")])
        number = next((n for n, cell in enumerate(cells) if _URL.match(cell)), None)
        if number is not None:
            self._refuse([self._no_header(cells, number)])
        if len(cells) > 1 and all(map(_OTHER_QUOTES.fullmatch, cells)):
            message = "the names are in other quotes than those of CSV"
            self._refuse([self._problem(0, message, 'write " around cells that need quotes')])
        names = [" ".join(_INVISIBLE.sub("", cell).split()) for cell in cells]
        while names and not names[-1] and not used(len(names) - 1):
            names.pop()
        self._check_repeated(names)
        return self._named(names)

    def _named(self, names: list[str]) -> list[Column]:
        known = set(names)
        seen: set[str] = set()
        columns = []
        for number, name in enumerate(names):
            place = self._locate(number)
            if not name or name in seen:
                new = _free_name(name or "column", number, known)
                why = f"a second column `{name}`" if name else "a column without a name"
                self._log.warn(f"{why} is loaded as `{new}`", place.line, place.column)
                name = new
            seen.add(name)
            known.add(name)
            columns.append(Column(name, number, place.line, place.column))
        return columns

    def _check_repeated(self, names: list[str]) -> None:
        problems = []
        for number, name in enumerate(names):
            if name in _JOB_COLUMNS and name in names[:number]:
                message = f"a second column is named `{name}`"
                problems.append(self._problem(number, message, "rename one of them"))
        if problems:
            self._refuse(problems)

    def _no_header(self, cells: Sequence[str], number: int) -> Problem:
        tip = self._with_names(header_names(cells, number))
        return self._problem(number, "the first row has a url: the table has no header", tip)

    def _problem(self, number: int, message: str, tip: str) -> Problem:
        return problem_at(message, self._file, self._locate(number), tip=tip)

    def _refuse(self, problems: Iterable[Problem]) -> Any:
        raise JobFileErrors(tuple(problems))


def header_names(cells: Sequence[str], url: int) -> list[str]:
    """Return names for the columns of a table without a header: the cell at *url* is a url."""
    names = [f"column{number}" for number in range(1, len(cells) + 1)]
    names[url] = "url"
    others = [number for number in range(len(cells)) if number != url]
    if others:
        longest = max(others, key=lambda number: len(cells[number]))
        names[longest] = "goal"
    return names


def _free_name(name: str, number: int, known: set[str]) -> str:
    new = f"{name} {number + 1}"
    while new in known:
        new += "+"
    return new
