"""Templates: only `{identifier}` or the name of a column is a place for a cell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.mapping.templates import Template, parse_template

COLUMNS = {"sku": 0, "product": 1, "What I want": 2, "price": 3}
ROW = ["A-1", "Lamp", "Read {sku} now", ""]


def filled(text: str, row: list[str] = ROW) -> str:
    template = parse_template(text, COLUMNS)
    assert isinstance(template, Template), template
    return template.filler()(row)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Read {product}", "Read Lamp"),
        ("{sku}{product}", "A-1Lamp"),
        ("{ product }", "Lamp"),
        ("{What I want}", "Read {sku} now"),  # a value is data
        ("{{product}}", "{product}"),
        ("a }} b", "a } b"),
        ('Return {"price": number}', 'Return {"price": number}'),
        ('Return {"a": {"b": {"c": 1}}} of {sku}', 'Return {"a": {"b": {"c": 1}}} of A-1'),
        ('Return {"a": {}} and {{x}}', 'Return {"a": {}} and {x}'),
        ("Return {}", "Return {}"),
        ("Return { and }", "Return { and }"),
        ("Return [{'a': 1}, {'b': 2}]", "Return [{'a': 1}, {'b': 2}]"),
        ("no columns", "no columns"),
        ("{price}", ""),
    ],
)
def test_a_template_is_filled(text: str, expected: str) -> None:
    assert filled(text) == expected


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Read {prodct}", "write `{product}`"),
        ("Read {Product}", "write `{product}`"),
        ("Read {what i want}", "write `{What I want}`"),
        ("Read {what-i-want}", "write `{What I want}`"),
        ("Read {weight}", "the columns are `sku`, `product`"),
    ],
)
def test_a_missing_column_is_a_fault_that_names_what_is_meant(text: str, meant: str) -> None:
    faults = parse_template(text, COLUMNS)
    assert isinstance(faults, list)
    (fault,) = faults
    assert meant in fault.tip
    assert text[fault.at] == "{"


def test_all_missing_columns_are_reported() -> None:
    faults = parse_template("{a} {sku} {b}", COLUMNS)
    assert isinstance(faults, list)
    assert [fault.at for fault in faults] == [0, 10]


def url(text: str, *row: str) -> str:
    template = parse_template(text, COLUMNS)
    assert isinstance(template, Template)
    return template.url_filler()([*row, "", "", "", ""])


@pytest.mark.parametrize(
    ("text", "cell", "expected"),
    [
        ("https://a.example/p/{sku}", "A 1", "https://a.example/p/A%201"),
        ("https://a.example/p/{sku}", "a#b?c", "https://a.example/p/a%23b%3Fc"),
        ("https://a.example/p/{sku}", "a/b", "https://a.example/p/a/b"),
        ("https://a.example/p/{sku}", "a%20b", "https://a.example/p/a%20b"),
        ("https://a.example/p/{sku}", "100%", "https://a.example/p/100%25"),
        ("https://a.example/?q={sku}", "a&b=c+d", "https://a.example/?q=a%26b%3Dc%2Bd"),
        ("https://a.example/?q={sku}", "ü", "https://a.example/?q=%C3%BC"),
        ("https://{sku}/x", "a.example", "https://a.example/x"),
        ("{sku}", " https://a.example/ü ", " https://a.example/ü "),
    ],
)
def test_a_cell_cannot_change_the_shape_of_an_address(text: str, cell: str, expected: str) -> None:
    assert url(text, cell) == expected


@given(st.lists(st.text(), min_size=4, max_size=4))
def test_cells_are_data_and_never_templates(row: list[str]) -> None:
    assert filled("<{sku}|{product}|{What I want}>", row) == f"<{row[0]}|{row[1]}|{row[2]}>"


@given(st.text())
def test_text_with_its_braces_doubled_is_that_text(text: str) -> None:
    assert filled(text.replace("{", "{{").replace("}", "}}")) == text
