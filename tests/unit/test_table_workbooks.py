"""Sheets of .xlsx workbooks: values as they were typed, and what is odd in them is said."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from batchrunner.errors import UsageError
from batchrunner.inputs.tables import TableOptions, open_table
from tests.tables import Loaded, load
from tests.workbooks import DATE, DATE_TIME, DURATION, PADDED, TIME, Raw, sheet, styled, workbook

U = "https://shop.example/1"
HEADER = ["url", "value"]


def book(*rows: list[object], **more: object) -> Loaded:
    """Load a workbook of one sheet with a header and these rows."""
    return load(workbook({"Prices": sheet([HEADER, *rows], **more)}), "b.xlsx")  # type: ignore[arg-type]


#: A cell → its text.
VALUES: dict[str, tuple[object, str]] = {
    "an id that is a number": (123, "123"),
    "a number written with .0": (Raw('<c r="{}"><v>123.0</v></c>'), "123"),
    "a number in exponents": (Raw('<c r="{}"><v>4.5E3</v></c>'), "4500"),
    "fifteen digits": (123456789012345, "123456789012345"),
    "zero": (0, "0"),
    "minus": (-7, "-7"),
    "a price": (1.99, "1.99"),
    "a sum that Excel shows as 0.3": (0.30000000000000004, "0.3"),
    "all digits of a measured value": (0.12345678901234568, "0.12345678901234568"),
    "a tiny number": (1e-7, "1e-07"),
    "text with zeros in front": ("00123", "00123"),
    "a number shown with zeros in front": (styled(123, PADDED), "00123"),
    "text with blanks around": ("  a b ", "  a b "),
    "text of sixteen digits": ("4111111111111111", "4111111111111111"),
    "text that looks like a date": ("1-2", "1-2"),
    "text with a line break": ("a\nb", "a\nb"),
    "true": (True, "TRUE"),
    "false": (False, "FALSE"),
    "a date": (styled(45293, DATE), "2024-01-02"),
    "a date with a time": (styled(45293.5, DATE_TIME), "2024-01-02T12:00:00"),
    "a time": (styled(0.25, TIME), "06:00:00"),
    "a duration of more than a day": (styled(1.5, DURATION), "36:00:00"),
    "a formula's value": (Raw('<c r="{}"><f>1+1</f><v>2</v></c>'), "2"),
    "a formula's text": (Raw('<c r="{}" t="str"><f>A1&amp;"x"</f><v>x</v></c>'), "x"),
}


@pytest.mark.parametrize(("cell", "text"), VALUES.values(), ids=VALUES)
def test_a_cell_of_a_sheet_is_the_text_that_was_typed(cell: object, text: str) -> None:
    loaded = book([U, cell])
    assert (loaded.refusal, loaded.problems, loaded.warnings) == (None, (), ())
    assert (loaded.kind, loaded.columns, loaded.rows) == ("xlsx", HEADER, [[U, text]])


def test_empty_rows_and_columns_in_front_do_not_count() -> None:
    rows = [[], [None, None, "url", "goal"], [], [None, None, U, "Read"]]
    loaded = load(workbook({"A": sheet(rows)}), "b.csv")
    assert (loaded.columns, loaded.rows, loaded.lines) == (["url", "goal"], [[U, "Read"]], [4])


#: Cells that hold no value → what is said of them.
ERRORS = {
    "#N/A": (Raw('<c r="{}" t="e"><f>NA()</f><v>#N/A</v></c>'), "the cell has the error #N/A"),
    "#REF!": (Raw('<c r="{}" s="1" t="e"><v>#REF!</v></c>'), "the cell has the error #REF!"),
    "no value": (Raw('<c r="{}"><f>A2&amp;"x"</f><v></v></c>'), "whose result is not in the file"),
    "no value at all": (Raw('<c r="{}"><f>1+1</f></c>'), "whose result is not in the file"),
}


@pytest.mark.parametrize(("cell", "says"), ERRORS.values(), ids=ERRORS)
def test_a_cell_without_a_value_is_reported_by_its_name(cell: object, says: str) -> None:
    loaded = book([U, 1], [U, cell])
    (problem,) = loaded.problems
    assert says in problem.message
    assert (problem.line, problem.column) == (3, 2)
    assert problem.place == "cell B3 of sheet `Prices`, column `value`"
    assert loaded.rows == [[U, "1"]]


#: What is odd in a sheet → the warning.
ODD = {
    "rounded": (([U, 4111111111111111.0],), {}, "the first in cell B2: the spreadsheet keeps 15"),
    "hidden": (([U, 1], [U, 2]), {"hidden": [2]}, "2:1: 1 hidden row is loaded too"),
    "hidden rows": (([U, 1], [U, 2]), {"hidden": [2, 3]}, "2:1: 2 hidden rows are loaded too"),
    "merged": (
        ([U, 1], [U, None]),
        {"after": '<mergeCells count="1"><mergeCell ref="B2:B3"/></mergeCells>'},
        "a range of merged cells, the first B2:B3: only the first cell of each has the value",
    ),
}


@pytest.mark.parametrize(("rows", "more", "says"), ODD.values(), ids=ODD)
def test_what_is_odd_in_a_sheet_is_said_and_loaded(
    rows: tuple[list[object], ...], more: dict[str, object], says: str
) -> None:
    loaded = book(*rows, **more)
    assert len(loaded.rows) == len(rows)
    (warning,) = loaded.warnings
    assert says in warning


def test_the_first_sheet_with_cells_that_can_be_seen_is_read() -> None:
    rows = [["url"], [U]]
    sheets = {"Notes": sheet([]), "Old": sheet([["x"]]), "Prices": sheet(rows), "More": sheet(rows)}
    loaded = load(workbook(sheets, hidden=["Old"]), "b.xlsx")
    assert (loaded.columns, loaded.rows) == (["url"], [[U]])
    (warning,) = loaded.warnings
    assert "the sheet `Prices` is read; others have cells too: `More`" in warning
    assert "--sheet NAME" in warning


@pytest.mark.parametrize("given", ["More", "more ", "2"])
def test_a_sheet_is_chosen_by_its_name_or_number(given: str) -> None:
    data = workbook({"Prices": sheet([["a"], [1]]), "More": sheet([["b"], [2]])})
    loaded = load(data, sheet=given)
    assert (loaded.columns, loaded.rows, loaded.warnings) == (["b"], [["2"]], ())


REFUSED: dict[str, tuple[bytes, dict[str, str], str, str]] = {
    "no such sheet": (workbook({"A": sheet([["b"]])}), {"sheet": "3"}, "no sheet 3", "`A`"),
    "no cells": (workbook({"A": sheet([])}), {}, "a workbook without any cells", "fill"),
    "hidden": (workbook({"A": sheet([["b"]])}, hidden=["A"]), {}, "are hidden: `A`", "--sheet"),
    "cut": (workbook({"A": sheet([["b"]])})[:-100], {}, "cut or damaged", "copy or download"),
    "encoding": (workbook({"A": sheet([["b"]])}), {"encoding": "cp1252"}, "workbook", "--encoding"),
    "far cell": (
        workbook({"A": sheet([["b"], [Raw('<c r="XFD1048576"><v>1</v></c>')]])}),
        {},
        "a sheet reaches to row 1,048,576 and column 16,384",
        "delete the rows and columns",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "options", "what", "way_out"), REFUSED.values(), ids=REFUSED)
def test_a_workbook_that_cannot_be_used_is_refused_with_a_way_out(
    data: bytes, options: dict[str, str], what: str, way_out: str
) -> None:
    refusal = load(data, "b.xlsx", **options).refusal
    assert refusal is not None
    assert what in refusal.what
    assert way_out in refusal.next


def test_a_title_above_the_header_is_reported() -> None:
    rows = [["Prices of May"], [], ["url", "goal"], [U, "Read"], [U, "Read"]]
    (problem,) = load(workbook({"A": sheet(rows)}), "b.xlsx").problems
    assert "the header seems to be in row 3" in problem.message
    assert problem.place == "cell A1 of sheet `A`"


def test_a_sheet_without_a_header_is_reported() -> None:
    (problem,) = load(workbook({"A": sheet([[U, "Read the price"]])}), "b.xlsx").problems
    assert problem.message == "the first row has a url: the table has no header"
    assert problem.tip == "insert a row above it with the columns' names: url, goal"


def test_a_sheet_is_not_unpacked_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrunner.inputs.tables.workbook_parts.MAX_UNPACKED_PARTS", 1024**2)
    bomb = workbook({"A": sheet([["b"]])}, extra={"xl/sharedStrings.xml": bytes(3 * 1024**2)})
    with pytest.raises(UsageError, match=r"more than 1 MB in xl/sharedStrings\.xml"):
        open_table(io.BytesIO(bomb), file="b.xlsx")


def test_a_size_that_the_archive_lies_about_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.inputs.tables.workbook_parts.MAX_UNPACKED_PARTS", 1024**2)
    data = bytearray(
        workbook({"A": sheet([["b"]])}, extra={"xl/sharedStrings.xml": bytes(3 * 1024**2)})
    )
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"xl/sharedStrings.xml"))
    struct.pack_into("<I", data, entry + 24, 10)
    struct.pack_into("<I", data, entry + 16, zlib.crc32(bytes(10)))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        assert len(archive.read("xl/sharedStrings.xml")) == 10
    with pytest.raises(UsageError, match=r"more than 1 MB in xl/sharedStrings\.xml"):
        open_table(io.BytesIO(bytes(data)), file="b.xlsx")


#: XML of a sheet for which a reader would reserve more memory than there is.
FAR = {
    "far column": '<row r="2"><c r="XFD2000"><v>1</v></c></row>',
    "far row": '<row r="2"><c r="A99999999999"><v>1</v></c></row>',
    "two names": '<row r="2"><c r="A2" r="A99999999999"><v>1</v></c></row>',
    "small letters": '<row r="2"><c r="xfd99999"><v>1</v></c></row>',
    "single quotes": "<row r='2'><c r='XFD99999'><v>1</v></c></row>",
    "blanks": '<row r="2"><c  r = "XFD99999"><v>1</v></c></row>',
    "prefix": '<x:row r="2"><x:c r="XFD99999"><x:v>1</x:v></x:c></x:row>',
    "cells without names": '<row r="99999999999"><c><v>1</v></c></row>',
    "a name behind other attributes": '<row r="2"><c s="1" t="n" r="XFD99999"><v>1</v></c></row>',
}


@pytest.mark.parametrize("row", FAR.values(), ids=FAR)
def test_a_cell_far_away_does_not_fill_the_memory(row: str) -> None:
    xml = sheet([["url"], ["a"]]).replace("</sheetData>", f"{row}</sheetData>")
    refusal = load(workbook({"A": xml}), "b.xlsx").refusal
    assert refusal is not None
    assert "a sheet reaches to row" in refusal.what


def test_empty_cells_far_away_do_not_count() -> None:
    row = '<row r="1048576"><c r="XFD1048576" s="1"/></row>'
    xml = sheet([["url"], ["a"]]).replace("</sheetData>", f"{row}</sheetData>")
    assert load(workbook({"A": xml}), "b.xlsx").rows == [["a"]]


def test_a_count_that_is_a_lie_reserves_no_memory() -> None:
    strings = b'<sst count="9999999999" uniqueCount="9999999999"><si><t>a</t></si></sst>'
    data = workbook({"A": sheet([["url"]])}, extra={"xl/sharedStrings.xml": strings})
    refusal = load(data, "b.xlsx").refusal
    assert refusal is not None
    assert "damaged" in refusal.what


def test_options_of_other_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="is a workbook"):
        open_table(
            io.BytesIO(workbook({"A": sheet([["b"]])})),
            file="b.xlsx",
            options=TableOptions(delimiter=";"),
        )
