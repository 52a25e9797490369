"""Sets of results that can be compared: batches, exported files, rows from Python."""

from __future__ import annotations

import os
import pickle
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

from batchrunner.app.input_file import open_input_table
from batchrunner.app.row_values import json_text
from batchrunner.differences import ComparedResult
from batchrunner.errors import CannotContinue, InputError, UsageError
from batchrunner.inputs.exported_results import ExportedResults
from batchrunner.inputs.own_export import KEYS, MAX_LINE, NotOurs, is_own, own_results
from batchrunner.inputs.tables import Table, TableOptions, open_table
from batchrunner.inputs.yaml import JobFileErrors, report
from batchrunner.model import Batch
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.store.compared_results import SORTED_BY, compared_results, sorted_job_ids
from batchrunner.store.store import Store

_TABLE = TableOptions(is_table=True)


class ResultSet(Protocol):
    """The results of one side of a comparison."""

    name: str  #: what it is called in texts
    is_typed: bool  #: whether 12 and "12" can be told apart in it
    overlooks: DiffSettings  #: what its job file overlooks

    def sorted_results(self, by: str) -> Iterator[ComparedResult]:
        """
        Give the results sorted by their key: the id, the url or another column.

        Raises:
            UsageError: It has no such column, or cannot be read.
        """


class BatchResults:
    """The results that a batch has in its database."""

    is_typed = True

    def __init__(self, store: Store, batch: Batch) -> None:
        self.name = batch.name
        self.overlooks = batch.settings.diff
        self._store = store
        self._batch = batch

    def sorted_results(self, by: str) -> Iterator[ComparedResult]:
        """Give the results as they are at the first one."""
        ids = self._store.read(sorted_job_ids, self._batch.id, by)
        found = self._all(compared_results(self._store, by, ids), len(ids))
        return found if by in SORTED_BY else _sorted(found)

    def _all(self, found: Iterator[ComparedResult], wanted: int) -> Iterator[ComparedResult]:
        """Give so many results; fewer would be reported as gone."""
        given = 0
        for each in found:
            given += 1
            yield each
        if given < wanted:
            raise CannotContinue(
                f"{self.name!r} was removed while it was read: newer editions took its place",
                next="compare editions that are still there: batchrunner status",
            )


class FileResults:
    """The results of an exported file, or of a list of runs of the API."""

    def __init__(self, path: Path) -> None:
        """
        Open the file, to see what it is.

        Raises:
            UsageError: There is no such file, or it is no table.
        """
        self.name = str(path)
        self.overlooks = DiffSettings()
        self._path = path
        self._is_own = _is_own_export(path)
        if self._is_own:
            self.is_typed = True
            return
        with closing(self._opened()) as table:
            self.is_typed = table.kind in ("json", "jsonl")

    def sorted_results(self, by: str) -> Iterator[ComparedResult]:
        """Give the results of the file."""
        if self._is_own and by in KEYS:
            # Nothing is given before the whole file was read.
            with suppress(NotOurs):
                yield from _sorted(_own_results(self._path, by))
                return
        with closing(self._opened()) as table:
            yield from _sorted(_results_of(table, by))

    def _opened(self) -> Table:
        try:
            table = open_input_table(self._path, _TABLE)
        except JobFileErrors as errors:
            raise InputError(report(errors), errors.problems) from errors
        if table.kind == "yaml":
            table.close()
            raise UsageError(
                f"{self.name} is a job file, which has no results",
                next="name a batch, or a file that `batchrunner export` wrote",
            )
        return table


def _is_own_export(path: Path) -> bool:
    """Return whether a file may be JSONL that an export wrote; a pipe can be read only once."""
    if path.suffix.lower() not in (".jsonl", ".ndjson") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return is_own(file.readline(MAX_LINE))
    except OSError:
        return False  # opening it as a table says why


def _own_results(path: Path, by: str) -> Iterator[ComparedResult]:
    """Give the results of such a file; raise NotOurs where it is something else after all."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        yield from own_results(file, by)
        if os.fstat(file.fileno()).st_size != size:
            raise NotOurs


class RowResults:
    """Rows such as those that `BatchHandle.rows` gives."""

    is_typed = True

    def __init__(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        self.name = name
        self.overlooks = DiffSettings()
        self._rows = [*rows]

    def sorted_results(self, by: str) -> Iterator[ComparedResult]:
        """Give the results of the rows."""
        lines = "\n".join(map(json_text, self._rows)).encode(errors="surrogatepass")
        if not lines:
            return
        with open_table(BytesIO(lines), file=f"{self.name}.jsonl", options=_TABLE) as table:
            yield from _sorted(_results_of(table, by))


def _results_of(table: Table, by: str) -> Iterator[ComparedResult]:
    try:
        yield from ExportedResults(table, by)
    except JobFileErrors as errors:
        raise InputError(report(errors), errors.problems) from errors


def _sorted(found: Iterable[ComparedResult]) -> Iterator[ComparedResult]:
    """Give results sorted by key; they are put away in a file that only this process has."""
    with closing(sqlite3.connect("")) as spool:
        spool.execute("PRAGMA journal_mode = OFF")
        spool.execute("CREATE TABLE results (key BLOB, result BLOB)")
        # As bytes, which sort as Python sorts text, and may be unpaired surrogates. One by one:
        # each may have 30 MB.
        rows = (
            (
                each.key.encode("utf-8", "surrogatepass"),
                pickle.dumps(tuple(each), pickle.HIGHEST_PROTOCOL),
            )
            for each in found
        )
        spool.executemany("INSERT INTO results VALUES (?, ?)", rows)
        for (data,) in spool.execute("SELECT result FROM results ORDER BY key, rowid"):
            yield ComparedResult(*pickle.loads(data))
