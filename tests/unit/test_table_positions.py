"""A field type that refuses a cell points at that cell in the file."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.app.input_file import open_input_table
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import Url
from batchrunner.inputs.nodes import Scalar
from batchrunner.inputs.problem_report import report
from batchrunner.inputs.tables import TableOptions, open_table
from batchrunner.inputs.tables.csv_cells import spans, text_place
from batchrunner.model.problems import JobFileErrors
from tests.workbooks import sheet, workbook

#: Files with a bad url in a column `link` → where it is, and what the report shows.
FILES: dict[str, tuple[bytes, tuple[int, int], str]] = {
    "csv": (b'goal,link\n"a\nb",shop.example\n', (3, 4), "t:3:4 (column `link`)"),
    "quoted": (b'link,goal\n"shop.example",x\n', (2, 1), "t:2:1 (column `link`)"),
    "tab": (b"goal\tlink\nx\tshop.example\n", (2, 3), "t:2:3 (column `link`)"),
    "jsonl": (b'{"link":"https://a/"}\n{"a":1,"link":"shop.example"}\n', (2, 15), "t:2:15"),
    "json": (b'[\n{"a":1,\n "link": "shop.example"}]', (3, 10), "t:3:10 (column `link`)"),
    "xlsx": (
        workbook({"P": sheet([[], [None, "goal", "link"], [None, "x", "shop.example"]])}),
        (3, 3),
        "t:3:3 (cell C3 of sheet `P`, column `link`)",
    ),
}


@pytest.mark.parametrize(("data", "at", "shown"), FILES.values(), ids=FILES)
def test_a_refused_cell_is_reported_where_it_is(
    data: bytes, at: tuple[int, int], shown: str
) -> None:
    with open_table(io.BytesIO(data), file="t") as table:
        column = next(each for each in table.columns if each.name == "link")
        for row in table.rows():
            cell = table.cell(row, column.number)
            text = row.cells[column.number]
            Url(schemes=("https",)).read(Scalar(cell, cell, text, False), "`link`", table.log)
        (problem,) = table.log.problems()
    assert (problem.line, problem.column) == at
    text = report(JobFileErrors((problem,)))
    assert shown in text
    caret = text.splitlines()[4]
    line = text.splitlines()[3]
    assert line[caret.index("^") :].lstrip('"').startswith("shop.example")


def test_a_column_is_found_in_the_header() -> None:
    with open_table(io.BytesIO(b"goal, link \nx,y\n"), file="t") as table:
        place = table.header(table.columns[1]).place()
        assert (place.line, place.column) == (1, 6)
        assert (table.columns[1].line, table.columns[1].column) == (1, 6)


_CELLS = st.lists(st.text(alphabet='ab,"\n \r;', max_size=6), min_size=2, max_size=4)


@given(_CELLS)
def test_each_cell_of_a_record_is_found(cells: list[str]) -> None:
    record = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\r\n"
    found = list(spans(record, ","))
    assert [record[each.start : each.end][1:-1].replace('""', '"') for each in found] == cells
    assert all(each.is_closed for each in found)
    place = text_place(record, found[-1].start)
    assert place.line_text[place.column - 1] == '"'


@given(st.lists(_CELLS.filter(lambda cells: any(map(str.strip, cells))), max_size=5))
def test_cells_that_csv_writes_are_read_to_the_letter(rows: list[list[str]]) -> None:
    rows = [(row + [""] * 4)[:4] for row in rows]
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    data = "\n".join(["url,goal,a,b", *lines])
    with open_table(io.BytesIO(data.encode()), file="t.csv") as table:
        assert [row.cells for row in table.rows()] == rows
        assert [row.problem for row in table.rows()] == [None] * len(rows)


@pytest.mark.sweep
def test_a_table_from_a_pipe_can_be_read_twice() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as file:
            file.write(b"url,goal\n" + b"a,b\n" * 50_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open_input_table(Path(f"/dev/fd/{reading}"), TableOptions()) as table:
            for _ in range(2):
                assert sum(1 for _ in table.rows()) == 50_000
    finally:
        writer.join()
        os.close(reading)


def test_standard_input_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"url;goal\na;b\n")))
    with open_input_table(Path("-"), TableOptions()) as table:
        assert (table.file, table.kind) == ("standard input", "csv")
        assert [row.cells for row in table.rows()] == [["a", "b"]]
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="there is no standard input"):
        open_input_table(Path("-"), TableOptions())


def test_a_file_without_a_table_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "t.pdf"
    path.write_bytes(b"%PDF-1.7")
    with pytest.raises(UsageError, match="is a PDF"):
        open_input_table(path, TableOptions())
