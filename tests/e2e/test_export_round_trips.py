"""What a batch exports, read back by the programs that people use, is what was stored."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import batchrunner as br
from batchrunner.outputs import unguard
from batchrunner.outputs.columns import FIELDS
from benchmarks.finished_jobs import finish_jobs

pytestmark = pytest.mark.foreign

AT = datetime(2026, 11, 30, 20, 0, 0, 250_000, tzinfo=UTC)
#: What spreadsheets, CSV readers and terminals stumble over.
PIECES = [
    *("=1+1", "+49 30 123456", "-€5.00", "@acme", "- in stock", "00123", "1e5", "1-2", "NULL"),
    *("NaN", "nan", "None", "true", "2026-11-30", "9007199254740993", "0.1", "1,5", "n/a"),
    *('"', "'", ",", ";", "\t", "|", "\n", "\r\n", "\\", "\\n", "_x000D_", "<b>", "&amp;"),
    *("ü", "日本", "🙂", "\u200b", "\u2028", "é", "e\u0301", "\ufeff", " ", "a", "B"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
#: Columns of a user's file; some are also columns of every export, or differ only by case.
NAMES = st.sampled_from(
    [
        "SKU",
        "sku",
        "Price €",
        "state",
        "result",
        "in.state",
        "=cmd",
        "a.b",
        "日本",
        "x, y",
        'q"',
        "id 2",
    ]
)
NUMBERS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -0.0, 0.1, 1e300, 5e-324, 2**53 + 1])
)
#: Text that is not read as the JSON it might be.
PROSE = TEXTS.filter(lambda text: not text.lstrip()[:1] or text.lstrip()[0] not in '[{"`~')
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "text": PROSE | st.none(),
        "number": NUMBERS | st.none(),
        "flag": st.booleans() | st.none(),
        "offer": st.fixed_dictionaries({}, optional={"seller": PROSE, "stock": st.integers(0, 9)}),
        "tags": st.lists(PROSE, min_size=1, max_size=3),
    },
)

#: Names and rows of a table, cell by cell.
Cells = tuple[list[str], list[list[Any]]]
Table = tuple[list[str], list[list[str]]]


@st.composite
def tables(draw: Any) -> Table:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    cells = st.lists(TEXTS, min_size=len(names), max_size=len(names))
    return names, draw(st.lists(cells, min_size=1, max_size=3))


# ---- readers ----


def csv_module(path: Path) -> Cells:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with open(path, encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file, delimiter=delimiter, strict=True)
    return names, rows


def pandas_csv(path: Path) -> Cells:
    pandas = pytest.importorskip("pandas")
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with open(path, encoding="utf-8", newline="") as file:
        frame = pandas.read_csv(file, dtype=str, keep_default_na=False, sep=delimiter)
    return list(frame.columns), frame.to_numpy().tolist()


def duckdb_csv(path: Path) -> Cells:
    duckdb = pytest.importorskip("duckdb")
    delimiter = "\t" if path.suffix == ".tsv" else ","
    with closing(duckdb.connect()) as database:
        found = database.read_csv(
            str(path), all_varchar=True, header=True, delimiter=delimiter, quotechar='"',
            escapechar='"', na_values="nothing is written like this",
        )  # fmt: skip
        return list(found.columns), [["" if c is None else c for c in r] for r in found.fetchall()]


def json_module(path: Path) -> Cells:
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return list(rows[0]), [list(row.values()) for row in rows]


def pyarrow_parquet(path: Path) -> Cells:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = parquet.read_table(path)
    return found.column_names, [list(row.values()) for row in found.to_pylist()]


def duckdb_parquet(path: Path) -> Cells:
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect()) as database:
        names = [field for field, *_ in database.execute(
            "select name from parquet_schema(?) where num_children is null", [str(path)]
        ).fetchall()]  # fmt: skip
        rows = database.execute("select * from read_parquet(?)", [str(path)]).fetchall()
    return names, [list(row) for row in rows]  # DuckDB itself renames what differs only by case


def polars_parquet(path: Path) -> Cells:
    polars = pytest.importorskip("polars")
    found = polars.read_parquet(path)
    return found.columns, [list(row) for row in found.rows()]


def openpyxl_xlsx(path: Path) -> Cells:
    openpyxl = pytest.importorskip("openpyxl")
    unescape = pytest.importorskip("openpyxl.utils.escape").unescape
    book = openpyxl.load_workbook(path)
    names, *rows = (
        [unescape(cell) if isinstance(cell, str) else cell for cell in row]
        for row in book["results"].iter_rows(values_only=True)
    )
    book.close()
    return names, rows


def calamine_xlsx(path: Path) -> Cells:
    calamine = pytest.importorskip("python_calamine")
    with calamine.CalamineWorkbook.from_path(str(path)) as book:
        names, *rows = book.get_sheet_by_name("results").to_python(skip_empty_area=False)
    return names, rows


def sqlite_module(path: Path) -> Cells:
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("select * from results")
        return [column[0] for column in found.description], [list(row) for row in found]


Reader = Callable[[Path], Cells]
READERS: list[tuple[str, str | None, Reader]] = [
    (".csv", None, csv_module),
    (".csv", None, pandas_csv),
    (".csv", None, duckdb_csv),
    (".csv", "excel", csv_module),
    (".tsv", None, csv_module),
    (".tsv", None, pandas_csv),
    (".jsonl", None, json_module),
    (".parquet", None, pyarrow_parquet),
    (".parquet", None, duckdb_parquet),
    (".parquet", None, polars_parquet),
    (".xlsx", None, openpyxl_xlsx),
    (".xlsx", None, calamine_xlsx),
    (".sqlite", None, sqlite_module),
]
IDS = [f"{suffix[1:]}-{format or ''}-{reader.__name__}" for suffix, format, reader in READERS]
SOME = settings(
    max_examples=5,
    derandomize=True,  # the gate reads the same files each time
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Desk:
    """A folder with a database; each case is a batch of its own there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self.database = br.open(folder / "work.db")

    def finished(self, table: Table, results: Sequence[Any]) -> br.BatchHandle:
        """Return a batch that was loaded from a table, with these results."""
        names, rows = table
        number = next(self._numbers)
        path = self._folder / f"pairs{number}.csv"
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["link", *names])
            writer.writerows(
                [f"https://shop.example/{number}/{n}", *cells] for n, cells in enumerate(rows)
            )
        batch = self.database.load(path, url_column="link", goal="Read the price", encoding="utf-8")
        texts = [json.dumps(result) for result in results]
        finish_jobs(batch._store, batch._batch.id, lambda job: texts[job.position - 1], AT)
        return batch

    def exported(self, batch: br.BatchHandle, suffix: str, format: str | None, **how: Any) -> Path:
        path = self._folder / f"export{next(self._numbers)}{suffix}"
        batch.export(path, format, **how)
        return path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    yield made
    made.database.close()


# ---- what comes back ----


@pytest.mark.parametrize(("suffix", "format", "reader"), READERS, ids=IDS)
@SOME
@given(table=tables())
def test_input_cells_come_back_to_the_letter(
    desk: Desk, suffix: str, format: str | None, reader: Reader, table: Table
) -> None:
    batch = desk.finished(table, [{"ok": 1}] * len(table[1]))
    names, rows = reader(desk.exported(batch, suffix, format, guard=False))
    carried = slice(len(FIELDS) + 1, len(FIELDS) + 1 + len(table[0]))
    assert [[cell or "" for cell in row[carried]] for row in rows] == table[1]
    assert names[len(FIELDS)] == "link"
    for name, original in zip(names[carried], table[0], strict=True):
        assert original in name
    assert len({name.lower() for name in names}) == len(names)


def is_same(cell: Any, value: Any) -> bool:
    """Return whether a cell says a value of a result, with all digits."""
    if value is None:
        return cell in (None, "")
    if isinstance(value, bool):
        return cell in (value, int(value), json.dumps(value))
    if isinstance(value, int | float):
        # A float may be exactly an integer of seventeen digits, and not show the last one.
        exact = isinstance(cell, float) and cell == value
        return cell is not None and (exact or Decimal(str(cell)) == Decimal(repr(value)))
    if isinstance(value, list | dict):
        return bool(json.loads(cell) == value)
    return bool((cell or "") == value)


def paths(result: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in result.items():
        if isinstance(value, dict) and value:
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


@pytest.mark.parametrize(("suffix", "format", "reader"), READERS, ids=IDS)
@SOME
@given(results=st.lists(RESULTS, min_size=1, max_size=3))
def test_results_come_back_as_they_were_stored(
    desk: Desk, suffix: str, format: str | None, reader: Reader, results: list[dict[str, Any]]
) -> None:
    batch = desk.finished((["SKU"], [["a"]] * len(results)), results)
    names, rows = reader(desk.exported(batch, suffix, format, guard=False))
    found = [dict(zip(names, row, strict=True)) for row in rows]
    if suffix == ".jsonl":
        assert [row["result"] for row in found] == results
        return
    for row, result in zip(found, results, strict=True):
        for path, value in paths(result):
            assert is_same(row[f"result.{path}"], value), (path, row, value)


@SOME
@given(table=tables(), results=st.lists(RESULTS, min_size=3, max_size=3))
def test_a_guard_is_taken_off_by_unguard(
    desk: Desk, table: Table, results: list[dict[str, Any]]
) -> None:
    batch = desk.finished(table, results[: len(table[1])])
    bare = csv_module(desk.exported(batch, ".csv", None, guard=False))
    guarded = csv_module(desk.exported(batch, ".csv", None))
    assert [unguard(name) for name in guarded[0]] == bare[0]
    assert [[unguard(cell) for cell in row] for row in guarded[1]] == bare[1]


@SOME
@given(results=st.lists(RESULTS, min_size=1, max_size=3))
def test_frames_hold_what_was_stored(desk: Desk, results: list[dict[str, Any]]) -> None:
    for name in ("pandas", "polars", "pyarrow"):
        pytest.importorskip(name)
    batch = desk.finished((["SKU"], [["00123"]] * len(results)), results)
    pandas, polars, arrow = batch.to_pandas(), batch.to_polars(), batch.to_arrow()
    assert list(pandas.columns) == polars.columns == arrow.column_names
    assert list(pandas["SKU"]) == ["00123"] * len(results)
    rows = zip(polars.rows(named=True), arrow.to_pylist(), strict=True)
    for number, (row, other) in enumerate(rows):
        assert row["started_at"] == other["started_at"] == pandas["started_at"][number]
        for path, value in paths(results[number]):
            cell = pandas[f"result.{path}"][number]
            assert is_same(None if cell is pandas_na() else cell, value)
            assert is_same(row[f"result.{path}"], value)
            assert is_same(other[f"result.{path}"], value)


def pandas_na() -> Any:
    return pytest.importorskip("pandas").NA
