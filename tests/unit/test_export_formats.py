"""What is exported in each format, read back by the programs that people use."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from batchrunner.model import FinishedJob, JobState
from batchrunner.outputs import FORMATS, ExportTable, View, Written

AT = datetime(2026, 9, 2, 21, 0, 1, 250_000, tzinfo=UTC)


def job(position: int = 1, result: str | None = None, **fields: Any) -> FinishedJob:
    given: dict[str, Any] = {
        "key": f"job-{position}",
        "url": f"https://shop.example/{position}",
        "goal": "Get the price",
        "state": JobState.SUCCEEDED,
        "attempts": 1,
    }
    return FinishedJob(position=position, result=result, **{**given, **fields})


def results(*values: Any) -> list[FinishedJob]:
    return [job(position, json.dumps(value)) for position, value in enumerate(values, 1)]


def export(
    format: str, jobs: Sequence[FinishedJob], columns: tuple[str, ...] = (), **view: Any
) -> tuple[bytes, Written]:
    for module in FORMATS[format].requires:
        pytest.importorskip(module)
    table = ExportTable(jobs=lambda: jobs, columns=columns, view=View(**view))
    file = io.BytesIO()
    written = FORMATS[format].write(table, file)
    return file.getvalue(), written


# ---- readers: the rows of an export as Python values ----

Rows = list[dict[str, Any]]


def read_csv(data: bytes) -> Rows:
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def read_tsv(data: bytes) -> Rows:
    text = io.StringIO(data.decode(), newline="")
    return list(csv.DictReader(text, strict=True, delimiter="\t"))


def read_jsonl(data: bytes) -> Rows:
    return [json.loads(line) for line in data.splitlines()]


def read_parquet(data: bytes) -> Rows:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: Rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


def read_sqlite(data: bytes, table: str = "results") -> Rows:
    database = sqlite3.connect(":memory:")
    database.deserialize(data)
    cursor = database.execute(f"select * from {table}")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    database.close()
    return rows


def read_xlsx(data: bytes, sheet: str = "results") -> Rows:
    openpyxl = pytest.importorskip("openpyxl")
    escape = pytest.importorskip("openpyxl.utils.escape")
    book = openpyxl.load_workbook(io.BytesIO(data))
    names, *rows = (
        [escape.unescape(cell) if isinstance(cell, str) else cell for cell in row]
        for row in book[sheet].iter_rows(values_only=True)
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


READERS: dict[str, Callable[[bytes], Rows]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "sqlite": read_sqlite,
    "xlsx": read_xlsx,
}
TABLES = [name for name in READERS if name != "jsonl"]
TYPED = ["parquet", "sqlite", "xlsx"]


def rows_of(format: str, jobs: Sequence[FinishedJob], *columns: str, **view: Any) -> Rows:
    return READERS[format](export(format, jobs, columns, **view)[0])


# ---- one model of columns ----


@pytest.mark.parametrize("format", TABLES)
def test_carried_columns_stand_between_the_fixed_ones_and_the_results(format: str) -> None:
    carried = {"sku": "00123", "What I want": "a, b", "URL": "x"}
    jobs = [job(1, '{"price": 1.5}', columns=carried)]
    (row,) = rows_of(format, jobs, "sku", "What I want", "URL")
    assert [*row][13:] == ["cost", "sku", "What I want", "in.URL", "result", "result.price"]
    assert [row["sku"], row["What I want"], row["in.URL"]] == ["00123", "a, b", "x"]


@pytest.mark.parametrize("format", [*READERS])
def test_names_are_distinct_in_every_format(format: str) -> None:
    names = ("Price", "price", " price ", "", "in.url", "url", "RESULT", "x" * 2_000)
    jobs = [
        job(1, '{"Price": 1, "name": "a"}', columns={name: f"<{name}>" for name in names}),
        job(2, '{"price": 2, "Name": "b"}'),
    ]
    data, written = export(format, jobs, names)
    first, _ = READERS[format](data)
    lowered = [name.strip().lower() for name in first]
    assert len({*lowered}) == len(lowered)
    shown = dict(written.renamed)
    assert [shown.get(name, name) for name in names[:7]] == [
        "Price", "price_2", " price_3", "column_4", "in.url", "in.url_2", "in.RESULT",
    ]  # fmt: skip
    for name in names:
        assert first[shown.get(name, name)] == f"<{name}>"
    if format != "jsonl":
        assert [shown["result.price"], shown["result.Name"]] == ["result.price_2", "result.Name_2"]


def test_json_text_inside_a_string_is_read_in_tables_and_stays_as_sent_in_jsonl() -> None:
    fenced = '```json\n{"price": 12.50, "more": "[1, 2]"}\n```'
    jobs = results(fenced, {"price": '"quoted"', "zip": "00123"}, "{broken")
    first, second, third = rows_of("csv", jobs)
    assert (first["result.price"], first["result.more"], first["result"]) == ("12.50", "[1, 2]", "")
    assert (second["result.price"], second["result.zip"]) == ('"quoted"', "00123")
    assert third["result"] == "{broken"
    assert rows_of("jsonl", jobs)[0]["result"] == fenced


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        ({"data": {"price": 1}}, ["result.price"]),
        ({"Result": {"data": '{"price": 1}'}}, ["result.price"]),
        ({"data": {"price": 1}, "note": "x"}, ["result.data.price", "result.note"]),
        ({"answer": 42}, ["result.answer"]),
        ({"offer": {"price": 1}}, ["result.offer.price"]),
    ],
)
def test_a_sole_wrapper_is_left_out(value: Any, columns: list[str]) -> None:
    (row,) = rows_of("csv", results(value), unwrap=True)
    assert [*row][15:] == columns
    assert all(row[name] for name in columns)


def test_a_wrapper_that_the_schema_names_stays() -> None:
    jobs = [job(1, '{"data": {"result": {"price": 1}}}', schema_fields=frozenset({"result"}))]
    assert [*rows_of("csv", jobs, unwrap=True)[0]][15:] == ["result.result.price"]


@pytest.mark.parametrize("format", TABLES)
def test_a_list_is_exploded_and_nothing_is_lost(format: str) -> None:
    jobs = results(
        {"shop": "A", "offers": [{"name": "Lamp", "price": 1}, {"name": "Vase"}]},
        {"shop": "B", "offers": []},
        {"shop": "C"},
        {"offers": "none", "shop": "D"},
        {"shop": "E", "offers": [7]},
    )
    data, written = export(format, jobs, explode="result.offers")
    rows = READERS[format](data)
    shown = [
        [str(row[f"result.{name}"] or "") for name in ("shop", "offers.name", "offers.price")]
        for row in rows
    ]
    assert shown == [
        ["A", "Lamp", "1"], ["A", "Vase", ""], ["B", "", ""], ["C", "", ""], ["D", "", ""],
        ["E", "", ""],
    ]  # fmt: skip
    assert [str(row["result.offers"] or "") for row in rows[4:]] == ["none", "7"]
    assert (written.jobs, written.rows, written.exploded) == (5, 6, 3)


def test_lists_on_the_way_to_a_path_are_exploded_too() -> None:
    shops = [{"name": "A", "offers": [{"p": 1}, {"p": 2}]}, {"name": "B", "offers": []}]
    for path in ("result.shops.offers", "shops[].offers[]"):
        rows = rows_of("csv", results({"city": "X", "shops": shops}), explode=path)
        assert [
            [row["result.city"], row["result.shops.name"], row["result.shops.offers.p"]]
            for row in rows
        ] == [["X", "A", "1"], ["X", "A", "2"], ["X", "B", ""]]


def test_the_result_itself_is_exploded_also_in_jsonl() -> None:
    jobs = results([{"a": 1}, {"a": 2}])
    assert [row["result.a"] for row in rows_of("csv", jobs, explode="result")] == ["1", "2"]
    assert [row["result"] for row in rows_of("jsonl", jobs, explode="result")] == [
        {"a": 1}, {"a": 2},
    ]  # fmt: skip
