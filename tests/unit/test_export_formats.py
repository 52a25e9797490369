"""What is exported in each format, read back by the programs that people use."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrunner.errors import CannotContinue, UsageError
from batchrunner.model import (
    ExportedAttempt,
    FailureCategory,
    Finding,
    FinishedJob,
    JobState,
    ProfileHint,
    RunHelp,
    Verdict,
)
from batchrunner.outputs import FORMATS, ExportTable, SelectedColumn, View, Written
from batchrunner.outputs.columns import ADVICE, FIELDS
from batchrunner.outputs.selection import check_selection, selected_columns

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
    format: str, jobs: Sequence[FinishedJob], carried: tuple[str, ...] = (), **view: Any
) -> tuple[bytes, Written]:
    for module in FORMATS[format].requires:
        pytest.importorskip(module)
    table = ExportTable(jobs=lambda: jobs, columns=carried, view=View(**view))
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


@pytest.mark.parametrize("format", READERS)
def test_every_format_shows_the_verdict_and_what_decided_it(format: str) -> None:
    seen = '=HYPERLINK("http://evil.example")\x1b[2J'
    finding = Finding(rule="error_page", path="offer.title", seen=seen)
    jobs = [
        job(1, "{}", verdict=Verdict.GOOD),
        job(2, "{}", verdict=Verdict.SUSPECT, finding=finding),
        job(3, "{}"),
    ]
    good, suspect, unknown = rows_of(format, jobs)
    nothing = None if format in ("jsonl", "parquet", "sqlite", "xlsx") else ""
    names = ("verdict", "verdict_rule", "verdict_path")
    assert [good[name] for name in names] == ["good", nothing, nothing]
    assert [suspect[name] for name in names] == ["suspect", "error_page", "offer.title"]
    assert [unknown[name] for name in names] == [nothing] * 3
    guarded = format in ("csv", "tsv")  # the others have types
    assert suspect["verdict_seen"].startswith("'=HYPERLINK" if guarded else "=HYPERLINK")


# ---- one model of columns ----


@pytest.mark.parametrize("format", TABLES)
def test_carried_columns_stand_between_the_fixed_ones_and_the_results(format: str) -> None:
    carried = {"sku": "00123", "What I want": "a, b", "URL": "x"}
    jobs = [job(1, '{"price": 1.5}', columns=carried)]
    (row,) = rows_of(format, jobs, "sku", "What I want", "URL")
    assert [*row][17:] == ["verdict_seen", "sku", "What I want", "in.URL", "result", "result.price"]
    assert [row["sku"], row["What I want"], row["in.URL"]] == ["00123", "a, b", "x"]


HELP = RunHelp(
    url="https://docs.test/a?b=1",
    message='=HYPERLINK("x")\n\x1b[2J',
    profile_hint=ProfileHint(message="Log in", reason="auth_wall"),
)
ERROR = '{"code":"busy","message":"Recording lost"}'


@pytest.mark.parametrize("format", [*READERS])
def test_advice_has_columns_only_where_any_job_has_some(format: str) -> None:
    plain = job(1, '{"a": 1}', artifacts=("x.jpg",))
    assert not {*ADVICE} & {name for row in rows_of(format, [plain]) for name in row}
    rows = rows_of(format, [plain, job(2, help=HELP), job(3, '{"a": 1}', run_error=ERROR)])
    if format != "jsonl":
        names = [*rows[0]]
        first = names.index("artifacts")
        said = ["help_url", "help_message", "profile_hint", "run_error"]
        assert names[first : first + 6] == ["artifacts", *said, "result.a"]
    assert rows[1]["help_url"] == HELP.url
    assert json.loads(rows[1]["profile_hint"]) == asdict(HELP.profile_hint)
    assert json.loads(rows[2]["run_error"]) == json.loads(ERROR)
    assert "HYPERLINK" in rows[1]["help_message"]
    assert (rows[1]["help_message"][0] == "'") is (format in ("csv", "tsv"))
    chosen = rows_of(format, [job(2, help=HELP)], columns=selected_columns("u=help_url"))
    assert chosen == [{"u": HELP.url}]


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
    assert [*row][19:] == columns
    assert all(row[name] for name in columns)


def test_a_wrapper_that_the_schema_names_stays() -> None:
    jobs = [job(1, '{"data": {"result": {"price": 1}}}', schema_fields=frozenset({"result"}))]
    assert [*rows_of("csv", jobs, unwrap=True)[0]][19:] == ["result.result.price"]


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


# ---- whatever is stored comes back ----

#: JSON numbers as the API writes them.
ODD_NUMBERS = [
    *["-0", "-0.0", "0.0", "0e0", "1.10", "1e400", "-1E+0400", "1e-400", "NaN", "-Infinity"],
    *[str(2**63), str(-(2**63)), str(2**53 + 1), "9007199254740993.0", "12345678901234567"],
    *["0.1", "0.30000000000000004", "1.7976931348623157e308", "5e-324", "1" * 500],
    *["123456789012345", "1234567890123456", "1e15", "1.5E+3", "100e-2"],
]
numbers = st.one_of(
    st.integers().map(str),
    st.sampled_from(ODD_NUMBERS),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
texts = st.text(
    alphabet=st.characters(codec="utf-8") | st.sampled_from("\0\r\n\t\"',;|=+-@😀\u202eא\ufeff_x")
)
scalars = st.one_of(
    numbers,
    texts.map(json.dumps),
    st.sampled_from(["true", "false", "null", '"NaN"', '"\\ud83d"', '"00123"', '"_x000D_"', '""']),
    st.sampled_from(['"<r>a</r>"', '"<r><t>b</t></r>"', '" = 1"', '"=1+1"', '"http://x.example"']),
)
lists = st.lists(scalars, max_size=3).map(lambda items: f"[{', '.join(items)}]")
cells = st.lists(scalars | lists, min_size=1, max_size=6)


def jobs_of(values: list[str]) -> list[FinishedJob]:
    return [job(at, f'{{"x": {value}}}') for at, value in enumerate(values, 1)]


def exactly(value: str) -> Any:
    """Return what is stored: a number as its decimal value, and everything else as it is."""
    read = json.loads(value, parse_int=Decimal, parse_float=Decimal, parse_constant=str)
    return re.sub("[\ud800-\udfff]", "\ufffd", read) if isinstance(read, str) else read


def as_stored(cell: Any, stored: Any) -> Any:
    """Return a cell that was read back as the kind of value that was stored, changed in nothing."""
    if isinstance(stored, Decimal) and not isinstance(cell, bool):
        # A float may be exactly an integer of seventeen digits, and not show the last one.
        is_exact = isinstance(cell, float) and math.isfinite(cell) and Decimal(cell) == stored
        number = Decimal(repr(cell) if isinstance(cell, float) and not is_exact else cell)
        return number, number.is_signed()
    if isinstance(stored, bool) and isinstance(cell, int | str):
        return json.loads(cell) if isinstance(cell, str) else bool(cell)
    if isinstance(stored, list) and isinstance(cell, str):
        return json.dumps(json.loads(cell, parse_int=Decimal, parse_float=Decimal), default=str)
    if isinstance(cell, float) and not math.isfinite(cell):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(cell)]
    return cell


def check(format: str, values: list[str]) -> None:
    rows = rows_of(format, jobs_of(values), guard=False)
    for row, value in zip(rows, values, strict=True):
        stored, cell = exactly(value), row.get("result.x")
        if isinstance(stored, Decimal):
            assert as_stored(cell, stored) == (stored, stored.is_signed()), (cell, value)
        elif isinstance(stored, list):
            expected = json.loads(strictly(value), parse_int=Decimal, parse_float=Decimal)
            assert as_stored(cell, stored) == json.dumps(expected, default=str)
        elif stored is None or (stored == "" and format != "parquet" and format != "sqlite"):
            assert cell in (None, "")
        else:
            assert as_stored(cell, stored) == stored


def strictly(value: str) -> str:
    """Return JSON as JSONL shows it."""
    return export("jsonl", [job(1, value)])[0].decode().rpartition('"result":')[2].strip()[:-1]


EXAMPLES = (
    ["-0.0", "1.5"], ["1e400", "1"], [str(2**63), "1"], [str(2**53 + 1), "0.5"], ["NaN", "1.5"],
    ['"NaN"'], ['"\\ud83d\\u0000\\r\\n"'], ["true", "1"], ["[NaN, 1e400]"], ["12345678901234567"],
    ['"<r>a</r>"', '"_x000D_"'], ["0.30000000000000004"], ["-0", "5"], ['"a"', "1.10", "[1]"],
)  # fmt: skip


@pytest.mark.parametrize("format", TABLES)
@pytest.mark.parametrize("values", EXAMPLES, ids=str)
def test_odd_values_read_back_as_they_were_stored(format: str, values: list[str]) -> None:
    check(format, values)


@pytest.mark.parametrize("format", TABLES)
@given(values=cells)
@settings(max_examples=10)
def test_any_value_reads_back_as_it_was_stored(format: str, values: list[str]) -> None:
    check(format, values)


@pytest.mark.sweep
@pytest.mark.parametrize("format", TABLES)
@given(values=cells)
@settings(max_examples=1_000, deadline=None)
def test_very_many_values_read_back_as_they_were_stored(format: str, values: list[str]) -> None:
    check(format, values)


@pytest.mark.parametrize("format", [*READERS])
@given(cell=texts, name=texts)
@settings(max_examples=10)
def test_input_columns_come_back_cell_by_cell(format: str, cell: str, name: str) -> None:
    data, written = export(format, [job(1, "{}", columns={name: cell})], (name,), guard=False)
    (row,) = READERS[format](data)
    shown = dict(written.renamed).get(name, name)
    assert (row[shown] or "") == cell


@pytest.mark.parametrize("format", TYPED)
def test_columns_have_types(format: str) -> None:
    jobs = [
        job(1, '{"n": 5, "p": 1.10, "ok": true, "t": "00123", "m": 1}', cost="0.192", steps=12,
            started_at=AT, finished_at=AT + timedelta(minutes=1)),
        job(2, '{"n": 9007199254740993, "p": 2, "ok": false, "m": "x"}'),
    ]  # fmt: skip
    first, second = rows_of(format, jobs)
    assert [first[name] for name in ("attempts", "steps", "cost")] == [1, 12, 0.192]
    assert [first[f"result.{name}"] for name in ("n", "p", "t")] == [5, 1.1, "00123"]
    assert (first["result.ok"], second["result.ok"]) == (True, False)
    assert second["result.n"] == (9007199254740993 if format != "xlsx" else "9007199254740993")
    assert first["result.m"] == (1 if format == "xlsx" else "1")
    at = {"parquet": AT, "sqlite": "2026-09-02T21:00:01.250Z", "xlsx": AT.replace(tzinfo=None)}
    assert first["started_at"] == at[format]
    assert second["started_at"] is None


@pytest.mark.parametrize("format", TABLES)
def test_an_export_without_jobs_has_the_fixed_columns(format: str) -> None:
    data, written = export(format, [], ("sku",))
    assert READERS[format](data) == []
    assert (written.jobs, written.rows) == (0, 0)


def test_parquet_is_written_in_row_groups_that_long_results_make_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.outputs.parquet._GROUP_CHARS", 100_000)
    parquet = pytest.importorskip("pyarrow.parquet")
    data, _ = export("parquet", results(*[{"x": "long " * 200}] * 300))
    file = parquet.ParquetFile(io.BytesIO(data))
    assert file.metadata.num_row_groups in (3, 4)
    assert file.read()["result.x"].to_pylist() == ["long " * 200] * 300


def test_a_full_disk_is_an_error_of_the_file_in_every_format() -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    for format in FORMATS.values():
        for module in format.requires:
            pytest.importorskip(module)
        with pytest.raises(OSError, match="No space left"):
            format.write(ExportTable(jobs=lambda: results({"a": 1})), Full())


@pytest.mark.parametrize("format", [*READERS])
def test_an_error_of_the_database_keeps_its_type(format: str) -> None:
    def broken() -> Iterator[FinishedJob]:
        yield job(1, "{}")
        raise KeyError("page 2")

    for module in FORMATS[format].requires:
        pytest.importorskip(module)
    with pytest.raises(KeyError, match="page 2"):
        FORMATS[format].write(ExportTable(jobs=broken), io.BytesIO())


@pytest.mark.parametrize("format", ["parquet", "sqlite"])
def test_a_result_that_changes_its_type_between_the_passes_ends_the_export(format: str) -> None:
    passes = iter([results({"a": 1}), results({"a": "one"})])
    table = ExportTable(jobs=lambda: next(passes))
    for module in FORMATS[format].requires:
        pytest.importorskip(module)
    with pytest.raises(CannotContinue, match="another type"):
        FORMATS[format].write(table, io.BytesIO())


# ---- the formats for people ----


def test_long_cells_of_a_workbook_are_cut_and_counted() -> None:
    long = ["a" * 32_767, "a" * 32_768, "😀" * 16_384]
    data, written = export("xlsx", results(*[{"x": text} for text in long]))
    shown = [row["result.x"] for row in read_xlsx(data)]
    assert written.cut == 2
    assert shown[0] == long[0]
    assert shown[1:] == ["a" * 32_766 + "…", "😀" * 16_383 + "…"]


def test_a_workbook_goes_on_in_another_sheet_and_has_one_of_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.outputs.xlsx.MAX_ROWS", 3)
    failed = job(
        4,
        state=JobState.FAILED,
        category=FailureCategory.BLOCKED,
        message="=1",
        columns={"sku": "7"},
    )
    data, written = export("xlsx", [*results(1, 2, 3), failed], ("sku",))
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["results", "results 2", "failures"]
    assert written.sheets == 2
    assert [row["id"] for row in read_xlsx(data, "results 2")] == ["job-3", "job-4"]
    (row,) = read_xlsx(data, "failures")
    assert (row["id"], row["category"], row["message"], row["sku"]) == (
        "job-4", "blocked", "=1", "7",
    )  # fmt: skip
    assert book["results 2"].freeze_panes == "A2"
    assert book["failures"]["F2"].data_type != "f"
    assert 8 <= book["results"].column_dimensions["C"].width <= 61


def test_a_database_has_documented_tables() -> None:
    jobs = [
        job(1, '{"a": 1}', columns={"Sku": "7"}),
        job(2, state=JobState.FAILED, category=FailureCategory.BLOCKED, message="captcha"),
    ]
    tries = [
        ExportedAttempt(key="job-1", revision=1, number=1, outcome="succeeded", started_at=AT),
        ExportedAttempt(key="job-2", revision=1, number=1, outcome="blocked", counted=True),
    ]
    file = io.BytesIO()
    table = ExportTable(jobs=lambda: jobs, columns=("Sku",), attempts=lambda: tries)
    FORMATS["sqlite"].write(table, file)
    assert [row["id"] for row in read_sqlite(file.getvalue())] == ["job-1", "job-2"]
    (failure,) = read_sqlite(file.getvalue(), "failures")
    assert (failure["id"], failure["category"], failure["Sku"]) == ("job-2", "blocked", None)
    first, second = read_sqlite(file.getvalue(), "attempts")
    assert (first["outcome"], first["started_at"]) == ("succeeded", "2026-09-02T21:00:01.250Z")
    assert (second["id"], second["outcome"], second["counted"]) == ("job-2", "blocked", 1)


def test_selected_columns_are_all_that_is_written() -> None:
    jobs = [job(1, '{"offer": {"price": 1.50, "tags": []}, "Sku": 8}', columns={"Sku": "7"})]
    columns = selected_columns(
        "id,price=result.offer.price,offer=result.offer,Sku,in.Sku,x=result.no"
    )
    for format in READERS:
        data, written = export(format, jobs, ("Sku",), columns=columns)
        (row,) = READERS[format](data)
        assert [*row] == ["id", "price", "offer", "Sku", "in.Sku", "x"]
        assert (row["id"], float(row["price"]), row["Sku"], row["in.Sku"]) == (
            "job-1",
            1.5,
            "7",
            "7",
        )
        offer = row["offer"] if format == "jsonl" else json.loads(row["offer"])
        assert offer == {"price": 1.5, "tags": []}
        assert written.absent == ("result.no",)


def test_an_unknown_column_is_reported_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="no column 'prise'") as error:
        check_selection(selected_columns("id,prise"), ["price"])
    assert error.value.next == "write price"
    with pytest.raises(UsageError, match="empty column"):
        selected_columns("id,,url")
    assert selected_columns('id, "a, b"=url') == (
        SelectedColumn(source="id", name="id"), SelectedColumn(source="url", name="a, b"),
    )  # fmt: skip


def test_a_small_markdown_table_is_aligned_and_escaped() -> None:
    jobs = [job(1, '{"a": "x | *y*\\n<b>"}'), job(2, '{"a": "ja 日本"}')]
    data, _ = export("markdown", jobs, columns=selected_columns("id,a=result.a"))
    assert data.decode() == (
        "| id    | a                    |\n"
        "| ----- | -------------------- |\n"
        "| job-1 | x \\| \\*y\\*<br>&lt;b> |\n"
        "| job-2 | ja 日本              |\n"
    )


def test_a_large_markdown_table_streams_and_long_cells_are_cut() -> None:
    jobs = [job(at, json.dumps({"a": "x" * 600})) for at in range(1, 301)]
    data, written = export("markdown", jobs)
    assert data.count(b"\n") == 302
    assert written.cut == 300
    assert "x" * 499 + "…" in data.decode()
    assert max(map(len, data.decode().splitlines())) < 1_000


def test_the_text_of_nothing_can_be_chosen_and_is_never_taken_for_text() -> None:
    data, _ = export(
        "csv",
        results({"a": None}, {"a": "NULL"}),
        nothing="NULL",
        columns=selected_columns("id,result.a"),
    )
    assert data.decode() == 'id,result.a\njob-1,NULL\njob-2,"NULL"\n'


def test_without_a_guard_everything_is_written_to_the_letter() -> None:
    jobs = [job(1, '{"=a": "=1"}', columns={"+SUM(1)": "\0@SUM(1)"})]
    data, written = export("csv", jobs, ("+SUM(1)",), guard=False)
    (row,) = read_csv(data)
    assert (row["+SUM(1)"], row["result.=a"], written.guarded) == ("\0@SUM(1)", "=1", 0)
    data, written = export("csv", jobs, ("+SUM(1)",))
    (row,) = read_csv(data)
    assert (row["'+SUM(1)"], row["result.=a"], written.guarded) == ("␀@SUM(1)", "'=1", 1)


@pytest.mark.parametrize("name", ["parquet", "xlsx"])
def test_a_missing_library_is_one_sentence_with_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchrunner.outputs.export_format.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"{name} files need a library") as error:
        FORMATS[name].check_installed()
    assert error.value.next == "pip install 'batchrunner[all]'"
    FORMATS["csv"].check_installed()


def test_too_many_columns_are_refused_before_anything_is_run() -> None:
    names = [f"c{number}" for number in range(2_000)]
    room = 2_000 - len(FIELDS) - len(ADVICE) - 2  # for the result and the artifacts
    with pytest.raises(UsageError, match=f"have room for {room} columns"):
        FORMATS["sqlite"].check_columns(names)
    FORMATS["csv"].check_columns(names)
    FORMATS["sqlite"].check_columns(names[:room])
    wide = [job(1, json.dumps({f"k{number}": 1 for number in range(500)}))]
    (row,) = rows_of("sqlite", wide, *names[:room])
    assert len(row) == 2_000 - len(ADVICE) - 1
    assert json.loads(row["result"])["k499"] == 1


def test_a_text_that_is_nested_in_texts_ends_nothing() -> None:
    value: Any = 1
    for _ in range(8):
        value = json.dumps({"a": value})
    deep = json.dumps({"a": json.loads('{"a":' * 95 + "1" + "}" * 95)})
    for text in (value, json.dumps(deep), json.dumps("[" * 90 + "]" * 90)):
        (row,) = rows_of("csv", [job(1, text)])
        assert any(row[name] for name in row if name.startswith("result"))
