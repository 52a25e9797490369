"""Finished jobs → Parquet: columns with types, in row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from batchrunner.outputs.cells import Cell, CellKind
from batchrunner.outputs.column_types import converters, type_of
from batchrunner.outputs.error_keeping_file import ErrorKeepingFile
from batchrunner.outputs.export_format import Format, Written
from batchrunner.outputs.sheet import Row, Sheet
from batchrunner.outputs.table import ExportTable

#: Most rows that are turned into columns at once, and most characters of their results.
_BATCH_ROWS = 2_048
_BATCH_CHARS = 4 * 1024**2
#: Most rows of a row group, and most characters of its results: it is written when it is whole.
_GROUP_ROWS = 100_000
_GROUP_CHARS = 32 * 1024**2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_parquet(table: ExportTable, file: IO[bytes]) -> Written:
    """
    Write the rows of a `Sheet` with types that hold all cells of a column without a change.

    They are int64, double, bool, timestamp in UTC, and string for everything else: texts, lists and
    objects as JSON text, columns of several types, integers of more than 64 bits, and numbers with
    more digits than a double has.
    """
    from arro3.core import RecordBatchReader, Schema
    from arro3.io import write_parquet as write

    sheet = Sheet(table, typed=True)
    types = [type_of(kind, odd_doubles=True) for kind in sheet.kinds]
    schema = Schema([_field(name, kind) for name, kind in zip(sheet.names, types, strict=True)])
    source = _Batches(sheet, types, schema)
    target = ErrorKeepingFile(file)
    try:
        write(
            RecordBatchReader.from_batches(schema, source.batches(target)),
            target,
            compression="zstd(3)",
            max_row_group_size=max(1, min(_GROUP_ROWS, _GROUP_CHARS // sheet.widest)),
        )
    finally:
        # What the library makes of an exception has lost its type.
        if error := target.error or source.error:
            raise error
    return sheet.written()


FORMAT = Format(
    name="parquet",
    help="columns with types, for pandas, DuckDB, Spark",
    write=write_parquet,
    suffixes=(".parquet", ".pq"),
    is_text=False,
    requires=("arro3.core", "arro3.io"),
)


class _Batches:
    """Turns rows into columns, some at a time, and keeps the error that ended it."""

    def __init__(self, sheet: Sheet, types: Sequence[CellKind], schema: Any) -> None:
        self._sheet = sheet
        self._types = types
        self._converters = converters(types)
        self._schema = schema
        self.error: BaseException | None = None

    def batches(self, target: ErrorKeepingFile) -> Iterator[Any]:
        try:
            for rows in self._chunks():
                yield self._batch(rows)
                if target.error:
                    return
        except BaseException as error:
            self.error = error
            raise

    def _chunks(self) -> Iterator[list[Sequence[Cell]]]:
        rows, chars = list[Sequence[Cell]](), 0
        for row in self._sheet.rows():
            rows.append(row.cells)
            chars += _chars(row)
            if len(rows) == _BATCH_ROWS or chars > _BATCH_CHARS:
                yield rows
                rows, chars = [], 0
        if rows:
            yield rows

    def _batch(self, rows: list[Sequence[Cell]]) -> Any:
        from arro3.core import RecordBatch

        columns = zip(self._types, self._converters, zip(*rows, strict=True), strict=True)
        return RecordBatch(
            [_array(kind, [convert(cell) for cell in cells]) for kind, convert, cells in columns],
            schema=self._schema,
        )


def _chars(row: Row) -> int:
    return sum([len(cell) for cell in row.cells if isinstance(cell, str)])


def _field(name: str, kind: CellKind) -> Any:
    from arro3.core import Field

    return Field(name, _data_type(kind), nullable=True)


def _data_type(kind: CellKind) -> Any:
    from arro3.core import DataType

    return {
        CellKind.TEXT: DataType.string(),
        CellKind.BOOL: DataType.bool(),
        CellKind.INTEGER: DataType.int64(),
        CellKind.DOUBLE: DataType.float64(),
        CellKind.TIME: DataType.timestamp("us", tz="UTC"),
    }[kind]


def _array(kind: CellKind, values: list[Any]) -> Any:
    from arro3.core import Array, DataType

    if kind is not CellKind.TIME:
        return Array(values, _data_type(kind))
    microseconds = [
        None if at is None else (at - _EPOCH) // timedelta(microseconds=1) for at in values
    ]
    return Array(microseconds, DataType.int64()).cast(_data_type(kind))
