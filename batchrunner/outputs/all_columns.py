"""All columns of a table: fixed, carried, and one for each path into the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from batchrunner.model import FinishedJob
from batchrunner.outputs.cells import (
    FIELD_KINDS,
    NOTHING,
    Cell,
    CellKind,
    as_json,
    fixed_fields,
    kind_of,
)
from batchrunner.outputs.column_names import column_names
from batchrunner.outputs.columns import ADVICE, ARTIFACTS, FIELDS, RESULT
from batchrunner.outputs.field_names import MAX_NAME_LENGTH, below
from batchrunner.outputs.json_values import Json, write
from batchrunner.outputs.shown_result import MAX_DEPTH_OF_TEXT, opened
from batchrunner.outputs.table import ExportTable

#: Maximum columns from results; nobody can use a sheet with more.
MAX_COLUMNS = 1_000


class AllColumns:
    """
    The columns of a table of which the user selected none.

    After FIELDS come the carried columns, `result`, `artifacts` and those of ADVICE where any job
    has some, and one column for each path into the results, in the order in which they first
    appear: `result.price`, `result.offer.currency`. Arrays and empty objects are one cell, and null
    is an empty one.

    `result` itself holds what has no path: results that are not objects, text that is not JSON, and
    the whole result of a row with a value that has no column: there are MAX_COLUMNS, with names of
    at most MAX_NAME_LENGTH. A result that is too large to be parsed is set aside: its cell says how
    to print it.
    """

    absent: tuple[str, ...] = ()

    def __init__(self, table: ExportTable, *, typed: bool, max_columns: int | None) -> None:
        self._fields = [*fixed_fields(typed=typed).values()]
        self._carried = table.columns
        self._typed = typed
        self._is_as_sent = not (table.view.unwrap or table.view.explode is not None)
        self._first_carried = len(FIELDS)
        self._result = len(FIELDS) + len(self._carried)
        others = self._result + 2 + len(ADVICE)
        self._most = MAX_COLUMNS if max_columns is None else min(MAX_COLUMNS, max_columns - others)
        self._found = dict[str, CellKind]()
        self._kinds = [NOTHING] * (self._result + 1)
        self._cost = [*FIELDS].index("cost")
        self._kinds[self._cost] = CellKind.DOUBLE
        #: Where the cells of a path are.
        self._index = dict[str, int]()
        self._has_artifacts = False
        self._advice = dict.fromkeys(ADVICE, False)

    def see(self, job: FinishedJob, value: Json) -> None:
        """Take note of the columns that a row needs."""
        self._see_more(job)
        if self._typed:
            self._see_kinds(job, value)
        elif len(self._found) < self._most:
            for name, _ in _leaves(value):
                if name is not None and name != RESULT and len(self._found) < self._most:
                    self._found.setdefault(name, NOTHING)

    def _see_more(self, job: FinishedJob) -> None:
        self._has_artifacts = self._has_artifacts or bool(job.artifacts)
        if job.help is not None or job.run_error is not None or job.grounding is not None:
            self._advice |= {name: True for name, get in ADVICE.items() if get(job)}

    def _see_kinds(self, job: FinishedJob, value: Json) -> None:
        self._kinds[self._cost] |= kind_of(self._fields[self._cost](job))
        for index, column in enumerate(self._carried, self._first_carried):
            kind = kind_of(as_json(job.columns.get(column)))
            if kind is not self._kinds[index]:
                self._kinds[index] |= kind
        for name, leaf in _leaves(value):
            if name == RESULT:
                self._kinds[self._result] |= kind_of(leaf)
            elif name is not None and (known := self._found.get(name)) is not None:
                if (kind := kind_of(leaf)) is not known:
                    self._found[name] = known | kind
            elif name is None or len(self._found) >= self._most:
                self._kinds[self._result] |= CellKind.TEXT
            else:
                self._found[name] = kind_of(leaf)

    @property
    def has_more(self) -> bool:
        """Whether there are columns between `result` and the paths into it, as far as was seen."""
        return self._has_artifacts or any(self._advice.values())

    def cells_so_far(self, job: FinishedJob, value: Json) -> list[Cell]:
        """
        Take note of the columns that a row needs, and return its cells in those that were seen.

        Columns that appear later follow behind these, unless there are some by `has_more`.
        """
        self._see_more(job)
        cells = self._fixed_cells(job)
        cells += [None] * (1 + len(self._index))
        for name, leaf in _leaves(value):
            if name == RESULT:
                cells[self._result] = leaf
            elif name is not None and (index := self._index.get(name)) is not None:
                cells[index] = leaf
            elif name is not None and len(self._index) < self._most:
                self._found[name] = NOTHING
                self._index[name] = len(cells)
                cells.append(leaf)
            else:
                cells[self._result] = job.result if self._is_as_sent else write(value)
        return cells

    def finish(self) -> None:
        """Give the columns their names, once all rows were seen."""
        artifacts = [ARTIFACTS] * self._has_artifacts
        results = [*self._found]
        fixed = [*FIELDS, RESULT, ARTIFACTS, *ADVICE]
        carried, found = column_names(fixed, self._carried, results)
        more = [*artifacts, *(name for name, is_there in self._advice.items() if is_there)]
        self._more = {name: self._result + 1 + at for at, name in enumerate(more)}
        self.names: Sequence[str] = [*FIELDS, *carried, RESULT, *more, *found]
        self.kinds: Sequence[CellKind] = [
            *[kind or self._kinds[index] for index, kind in enumerate(FIELD_KINDS.values())],
            *self._kinds[self._first_carried :],
            *[CellKind.TEXT] * len(more),
            *self._found.values(),
        ]
        own, given = [*self._carried, *results], [*carried, *found]
        self.renamed = tuple(pair for pair in zip(own, given, strict=True) if pair[0] != pair[1])
        first = self._result + 1 + len(more)
        self._index = {name: first + at for at, name in enumerate(results)}

    def cells(self, job: FinishedJob, value: Json) -> list[Cell]:
        """Return the cells of a row."""
        cells = self._fixed_cells(job)
        cells += [None] * (len(self.names) - len(cells))
        for column, at in self._more.items():
            cells[at] = ADVICE[column](job) if column in ADVICE else list(job.artifacts) or None
        for name, leaf in _leaves(value):
            if name == RESULT:
                cells[self._result] = leaf
            elif (index := self._index.get(name or "")) is not None:
                cells[index] = leaf
            else:
                cells[self._result] = job.result if self._is_as_sent else write(value)
        return cells

    def _fixed_cells(self, job: FinishedJob) -> list[Cell]:
        cells: list[Cell] = [get(job) for get in self._fields]
        if self._carried:
            cells += [as_json(job.columns.get(name)) for name in self._carried]
        return cells


def _leaves(value: Json) -> Iterator[tuple[str | None, Json]]:
    """Give the values of a result with the names of their columns; None: it has no name."""
    if isinstance(value, dict) and value:
        yield from _leaves_below(value, RESULT, 1)
    else:
        yield RESULT, value


def _leaves_below(
    value: Mapping[str, Json], parent: str, depth: int
) -> Iterator[tuple[str | None, Json]]:
    for key, item in value.items():
        name = below(parent, key)
        leaf = opened(item) if type(item) is str and depth < MAX_DEPTH_OF_TEXT else item
        if len(name) > MAX_NAME_LENGTH:
            yield None, leaf
        elif isinstance(leaf, dict) and leaf:
            yield from _leaves_below(leaf, name, depth + 1)
        else:
            yield name, leaf
