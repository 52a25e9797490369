"""The columns that a user selected: how they are written, checked and filled."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from batchrunner.errors import UsageError
from batchrunner.model import FinishedJob
from batchrunner.outputs.cells import NOTHING, Cell, CellKind, as_json, fixed_fields, kind_of
from batchrunner.outputs.column_names import INPUT_PREFIX, distinct
from batchrunner.outputs.columns import ADVICE, ARTIFACTS, FIELDS, RESULT
from batchrunner.outputs.field_names import path_of
from batchrunner.outputs.json_values import Json
from batchrunner.outputs.shown_result import opened
from batchrunner.outputs.table import SelectedColumn

#: Columns that a message names.
_MAX_NAMED = 40


def selected_columns(text: str) -> tuple[SelectedColumn, ...]:
    """
    Return the columns of a text such as `id,price=result.offer.price,"a, b"`.

    Each is a column of the export or a path into the result, with another name and `=` before it
    where it is to have one. One with a comma stands in double quotes.

    Raises:
        UsageError: A column is empty.
    """
    columns = list[SelectedColumn]()
    for part in next(csv.reader([text], skipinitialspace=True), []):
        name, equals, source = part.strip().partition("=")
        source = (source if equals else name).strip()
        if not source:
            raise UsageError(
                f"{text!r} has an empty column", next="write for example: id,price=result.price"
            )
        columns.append(SelectedColumn(source=source, name=name.strip()))
    return tuple(columns)


def check_selection(columns: Sequence[SelectedColumn], carried: Sequence[str]) -> None:
    """
    Check that each selected column can be there; called before anything is run.

    Raises:
        UsageError: Some are no column of this batch and no path into a result.
    """
    known = [*FIELDS, RESULT, ARTIFACTS, *ADVICE, *carried]
    also = {*known, *(INPUT_PREFIX + name for name in carried)}
    for column in columns:
        if column.source not in also and not column.source.startswith(f"{RESULT}."):
            below_result = f"{RESULT}.{column.source}"
            same = [name for name in known if name.lower() == column.source.lower()]
            close, *_ = same or get_close_matches(column.source, known, n=1) or [below_result]
            raise UsageError(
                f"there is no column {column.source!r}: there are {_some(known)}, and paths into "
                f"results such as {below_result}",
                next=f"write {close}",
            )


def _some(names: Sequence[str]) -> str:
    more = [f"{len(names) - _MAX_NAMED} more"] if len(names) > _MAX_NAMED else []
    return ", ".join([*names[:_MAX_NAMED], *more])


class Selection:
    """The columns of a table that the user selected."""

    kinds: Sequence[CellKind]

    def __init__(
        self, columns: Sequence[SelectedColumn], carried: Sequence[str], *, typed: bool
    ) -> None:
        check_selection(columns, carried)
        self._columns = columns
        self._cells = [_cell_of(column.source, carried, typed=typed) for column in columns]
        self._typed = typed
        self._kinds = [NOTHING] * len(columns)
        self._absent = {
            index
            for index, column in enumerate(columns)
            if column.source.startswith(f"{RESULT}.") and column.source not in carried
        }
        self.names: Sequence[str] = distinct([column.name for column in columns])
        self.renamed = tuple(
            (column.name, name)
            for column, name in zip(columns, self.names, strict=True)
            if column.name != name
        )

    def see(self, job: FinishedJob, value: Json) -> None:
        """Take note of what is in a row."""
        if self._typed:
            cells = self.cells(job, value)
            self._kinds = [
                kind | kind_of(cell) for kind, cell in zip(self._kinds, cells, strict=True)
            ]
            self._absent -= {index for index in self._absent if cells[index] is not None}
        elif self._absent:
            self._absent -= {
                index for index in self._absent if self._cells[index](job, value) is not None
            }

    def finish(self) -> None:
        """Fix what is in the columns, once all rows were seen."""
        self.kinds = self._kinds
        self.absent = tuple(self._columns[index].source for index in sorted(self._absent))

    def cells(self, job: FinishedJob, value: Json) -> list[Cell]:
        """Return the cells of a row."""
        return [cell(job, value) for cell in self._cells]


def _cell_of(
    source: str, carried: Sequence[str], *, typed: bool
) -> Callable[[FinishedJob, Json], Cell]:
    """Return what takes the cell of a column from a job and the result that its row shows."""
    fields = fixed_fields(typed=typed)
    name = source if source in carried else source.removeprefix(INPUT_PREFIX)
    if source in fields:
        get = fields[source]
        return lambda job, _: get(job)
    if name in carried:
        return lambda job, _: as_json(job.columns.get(name))
    if source in ADVICE:
        return lambda job, _: ADVICE[source](job)
    if source == ARTIFACTS:
        return lambda job, _: list(job.artifacts) or None
    path = path_of(source)
    return lambda _, value: _at(value, path)


def _at(value: Json, path: Sequence[str]) -> Json:
    value = opened(value)
    for key in path:
        if not isinstance(value, dict):
            return None
        value = opened(value.get(key))
    return value
