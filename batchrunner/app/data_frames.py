"""Exports as data frames of pandas, polars and Arrow; none of them is a dependency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Any

from batchrunner.errors import UsageError
from batchrunner.outputs import ExportTable
from batchrunner.outputs.cells import CellKind
from batchrunner.outputs.column_types import converters, type_of
from batchrunner.outputs.sheet import Sheet

#: Rows that are held as Python values at once, where the library takes a table in parts.
CHUNK = 10_000


def to_pandas(table: ExportTable) -> Any:
    """
    Return a frame of pandas with a column for each column of the export.

    Whole numbers are `Int64`, others `Float64`, and `boolean`, `string` and times in UTC: each has
    missing values of its own.

    Raises:
        UsageError: pandas is not installed.
    """
    pandas = _library("pandas", "to_pandas")
    types = {
        CellKind.INTEGER: "Int64",
        CellKind.DOUBLE: "Float64",
        CellKind.BOOL: "boolean",
        CellKind.TIME: "datetime64[us, UTC]",
    }
    sheet = _Typed(table)
    columns: list[list[Any]] = [[] for _ in sheet.names]
    for row in sheet.rows():
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return pandas.DataFrame(
        {
            name: pandas.array(columns.pop(0), dtype=types.get(kind, "string"))
            for name, kind in zip(sheet.names, sheet.types, strict=True)
        }
    )


def to_polars(table: ExportTable) -> Any:
    """
    Return a frame of polars, with types as in `to_pandas`.

    Raises:
        UsageError: polars is not installed.
    """
    polars = _library("polars", "to_polars")
    types = {
        CellKind.INTEGER: polars.Int64,
        CellKind.DOUBLE: polars.Float64,
        CellKind.BOOL: polars.Boolean,
        CellKind.TIME: polars.Datetime("us", "UTC"),
    }
    sheet = _Typed(table)
    schema = {
        name: types.get(kind, polars.String)
        for name, kind in zip(sheet.names, sheet.types, strict=True)
    }
    parts = [polars.DataFrame(rows, schema=schema, orient="row") for rows in sheet.chunks()]
    return polars.concat(parts) if parts else polars.DataFrame(schema=schema)


def to_arrow(table: ExportTable) -> Any:
    """
    Return a table of pyarrow, with types as in `to_pandas`.

    Raises:
        UsageError: pyarrow is not installed.
    """
    arrow = _library("pyarrow", "to_arrow")
    types = {
        CellKind.INTEGER: arrow.int64(),
        CellKind.DOUBLE: arrow.float64(),
        CellKind.BOOL: arrow.bool_(),
        CellKind.TIME: arrow.timestamp("us", tz="UTC"),
    }
    sheet = _Typed(table)
    named = zip(sheet.names, sheet.types, strict=True)
    schema = arrow.schema([(name, types.get(kind, arrow.string())) for name, kind in named])
    batches = []
    for rows in sheet.chunks():
        arrays = [
            arrow.array(values, type=field.type)
            for values, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        batches.append(arrow.record_batch(arrays, schema=schema))
    return arrow.Table.from_batches(batches, schema=schema)


def _library(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{method} needs {name}, which is not installed", next=f"pip install {name}"
        ) from error


class _Typed:
    """The rows of a table as Python values of one type in each column."""

    def __init__(self, table: ExportTable) -> None:
        self._sheet = Sheet(table, typed=True)
        self.types = [type_of(kind, odd_doubles=True) for kind in self._sheet.kinds]
        self._convert: Sequence[Callable[[Any], Any]] = converters(self.types)

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return self._sheet.names

    def rows(self) -> Iterator[list[Any]]:
        """Give the rows."""
        for row in self._sheet.rows():
            yield [convert(cell) for convert, cell in zip(self._convert, row.cells, strict=True)]

    def chunks(self) -> Iterator[list[list[Any]]]:
        """Give the rows in lists."""
        rows = self.rows()
        while chunk := list(islice(rows, CHUNK)):
            yield chunk
