"""Exports in the hands of the programs that people open them with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchrunner.model import FinishedJob, JobState
from batchrunner.outputs import FORMATS, ExportTable, View

TEXTS = [
    "plain", "a, b", "line\r\nend", 'say "hi"', " blanks ", "00123", "1-2", "4111111111111111",
    "12345678901234567890", "-0", "=1+1", "+49 30 123456", "@acme", "NaN", "null", "true", "é😀א",
    "tab\there", "a;b|c", "_x000D_", "<r>x</r>", "2026-09-02", "'quoted'", "\\N", "None",
]  # fmt: skip
JOBS = [
    FinishedJob(
        position=at,
        key=f"job-{at}",
        url="https://shop.example/1",
        goal="Read",
        state=JobState.SUCCEEDED,
        attempts=1,
        result=json.dumps({"text": text, "Price": at + 0.5, "price": at, "big": 2**53 + at}),
        columns={"What I want": text, "Price": "x"},
    )
    for at, text in enumerate(TEXTS, 1)
]
COLUMNS = ("What I want", "Price")


def exported(format: str, path: Path) -> str:
    for module in FORMATS[format].requires:
        pytest.importorskip(module)
    file = path / f"export.{format}"
    with file.open("wb") as target:
        table = ExportTable(jobs=lambda: JOBS, columns=COLUMNS, view=View(guard=False))
        FORMATS[format].write(table, target)
    return str(file)


@pytest.mark.parametrize("format", ["csv", "tsv", "excel", "parquet", "xlsx", "sqlite"])
def test_pandas_reads_every_text_as_it_was(format: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    file = exported(format, tmp_path)
    text: dict[str, Any] = {"dtype": str, "keep_default_na": False}
    if format in ("csv", "tsv", "excel"):
        frame = pandas.read_csv(file, sep="\t" if format == "tsv" else ",", **text)
    elif format == "parquet":
        pytest.importorskip("pyarrow")
        frame = pandas.read_parquet(file)
        assert str(frame["result.big"].dtype) == "int64"
        assert str(frame["result.Price"].dtype) == "float64"
    elif format == "xlsx":
        escape = pytest.importorskip("openpyxl.utils.escape")
        frame = pandas.read_excel(file, engine="openpyxl", **text)
        frame = frame.map(lambda cell: escape.unescape(cell) if isinstance(cell, str) else cell)
    else:
        sqlite3 = pytest.importorskip("sqlite3")
        database = sqlite3.connect(file)
        frame = pandas.read_sql("select * from results", database)
        database.close()
    assert frame["What I want"].tolist() == TEXTS
    assert frame["result.text"].tolist() == TEXTS
    assert [float(number) for number in frame["result.Price"]] == [
        at + 1.5 for at in range(len(TEXTS))
    ]
    assert [int(number) for number in frame["result.price_2"]] == [
        at + 1 for at in range(len(TEXTS))
    ]
    assert [int(number) for number in frame["result.big"]] == [
        2**53 + at for at in range(1, len(TEXTS) + 1)
    ]


@pytest.mark.parametrize("format", ["csv", "tsv", "parquet"])
def test_duckdb_reads_every_text_as_it_was_under_the_same_names(
    format: str, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb")
    file = exported(format, tmp_path)
    source = f"'{file}'" if format == "parquet" else f"read_csv('{file}', all_varchar = true)"
    found = duckdb.sql(
        f'select "What I want", "result.text", "Price", "result.price_2" from {source}'
    )
    rows = found.fetchall()
    assert [row[0] for row in rows] == TEXTS
    assert [row[1] for row in rows] == TEXTS
    assert {row[2] for row in rows} == {"x"}
    assert [int(row[3]) for row in rows] == [at + 1 for at in range(len(TEXTS))]
    names = duckdb.sql(f"select * from {source}").columns
    assert len({name.lower() for name in names}) == len(names)


def test_polars_reads_parquet_and_csv(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.read_parquet(exported("parquet", tmp_path))
    assert frame["result.text"].to_list() == TEXTS
    assert str(frame["started_at"].dtype).startswith("Datetime")
    frame = polars.read_csv(exported("csv", tmp_path), infer_schema=False)
    assert frame["What I want"].to_list() == TEXTS
