"""The rows of an exported file, or of a list of runs of the API, as results to compare."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from batchrunner.differences import ComparedResult
from batchrunner.errors import UsageError
from batchrunner.inputs.tables.table import Table
from batchrunner.model.markers import markers_in
from batchrunner.model.problems import JobFileErrors, Problem
from batchrunner.outputs.columns import ARTIFACTS, FIELDS, RESULT
from batchrunner.outputs.field_names import path_of
from batchrunner.outputs.formula_guard import unguard
from batchrunner.outputs.json_values import Json, Number, read, write

#: Rows that cannot be read and are named.
_MAX_PROBLEMS: Final = 20
#: Kinds of tables whose cells have types.
TYPED_KINDS: Final = ("json", "jsonl")
#: Keys that the runs of the API's lists have.
_RUN_KEYS: Final = frozenset({"run_id", "status", "goal", "result"})
_STATES: Final = {"COMPLETED": "succeeded", "FAILED": "failed", "CANCELLED": "cancelled"}
#: Columns of an export that are no part of a result, however the user selected columns.
_NO_RESULT: Final = frozenset(
    {*FIELDS, RESULT, ARTIFACTS, "verdict", "verdict_rule", "verdict_path", "verdict_seen"}
)
_UNREADABLE: Final = "result_unreadable"
#: Text of a cell that is a value of JSON and no text.
_VALUE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|[\[{].*", re.DOTALL)


class ExportedResults:
    """Reads rows as results, each with the cell of the column *by* as its key."""

    def __init__(self, table: Table, by: str) -> None:
        """
        Find out which columns the file has.

        Raises:
            UsageError: It has no such column, or nothing tells its runs apart.
        """
        self._table = table
        self._by = by
        self._names = [column.name for column in table.columns]
        self.is_typed = table.kind in TYPED_KINDS
        known = set(self._names)
        self._are_runs = known >= _RUN_KEYS and "state" not in known
        if by not in known and not (self._are_runs and by == "id"):
            self._refuse_column()
        in_result = [name for name in self._names if name.startswith(f"{RESULT}.")]
        has_result = bool(in_result) or RESULT in known
        #: Columns of the fields of results; a file with selected columns may have no others.
        fields = in_result if has_result else [n for n in self._names if n not in _NO_RESULT]
        self._fields = [(name, path_of(name)) for name in fields]

    def _refuse_column(self) -> None:
        named = ", ".join(self._names[:10]) + (" …" if len(self._names) > 10 else "")
        close = get_close_matches(self._by, self._names, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        example = close[0] if close else "url" if "url" in self._names else "COLUMN"
        raise UsageError(
            f"{self._table.file} has no column {self._by!r}, by which the rows of both sides are "
            f"paired; it has {named}",
            next=f"{hint}name the column that tells its rows apart: --by {example}",
            where=self._table.file,
        )

    def __iter__(self) -> Iterator[ComparedResult]:
        """
        Give the results in the order of the file.

        Raises:
            JobFileErrors: Rows cannot be read; only after the last one.
        """
        problems: list[Problem] = []
        for row in self._table.rows():
            if row.problem is not None:
                problems += [row.problem] if len(problems) < _MAX_PROBLEMS else []
                continue
            cells = dict(zip(self._names, row.cells, strict=True))
            yield self._run(cells) if self._are_runs else self._job(cells)
        if found := (*problems, *self._table.log.problems()):
            raise JobFileErrors(found)

    def _job(self, cells: Mapping[str, Any]) -> ComparedResult:
        state = self._text(cells, "state") or "succeeded"
        return ComparedResult(
            key=self._text(cells, self._by),
            id=self._text(cells, "id") or self._text(cells, self._by),
            url=self._text(cells, "url"),
            goal=self._text(cells, "goal"),
            state=state,
            category=self._text(cells, "category") or None,
            verdict=self._text(cells, "verdict") or None,
            text=self._result(cells) if state == "succeeded" else None,
        )

    def _run(self, cells: Mapping[str, Any]) -> ComparedResult:
        """Return a run of the API's list; our marker in its goal names its job."""
        goal, status = self._text(cells, "goal"), self._text(cells, "status").upper()
        found = markers_in(goal)
        key = found[-1].job if found else None
        error = cells.get("error")
        category = error.get("category") if isinstance(error, dict) else None
        result = cells.get(RESULT)
        return ComparedResult(
            key=key or goal if self._by == "id" else self._text(cells, self._by),
            id=self._text(cells, "run_id"),
            state=_STATES.get(status, status.lower() or "open"),
            category=str(category).lower() if category else None,
            text=None if result is None else write(result),
        )

    def _text(self, cells: Mapping[str, Any], name: str) -> str:
        value = cells.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            return write(value)
        return value if self.is_typed else unguard(value)

    def _result(self, cells: Mapping[str, Any]) -> str | None:
        """Return the result of a row as JSON text."""
        if self.is_typed and RESULT in cells:
            unreadable = cells.get(_UNREADABLE)
            return unreadable if isinstance(unreadable, str) else write(cells[RESULT])
        whole = cells.get(RESULT)
        if whole:
            return whole if _VALUE.fullmatch(whole) else write(unguard(whole))
        fields: dict[str, Json] = {}
        for name, path in self._fields:
            cell = cells.get(name)
            if cell is not None and (self.is_typed or cell != ""):
                _put(fields, path, cell if self.is_typed else _value_of(cell))
        return write(fields) if fields else None


def _put(fields: dict[str, Json], path: tuple[str, ...], value: Json) -> None:
    inside = fields
    for name in path[:-1]:
        below = inside.setdefault(name, {})
        if not isinstance(below, dict):
            return  # two columns of one name: the first counts
        inside = below
    inside.setdefault(path[-1], value)


def _value_of(cell: str) -> Json:
    """Return the value of a cell of a file without types."""
    if isinstance(cell, Number) or not isinstance(cell, str):
        return cell
    text = unguard(cell)
    if _VALUE.fullmatch(text):
        try:
            return read(text)
        except ValueError:
            return text
    return text
