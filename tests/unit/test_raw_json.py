"""JSON text is cut where its values end, whatever the values are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchrunner.tinyfish.raw_json import ascii_safe, items, members, parsed, parsed_members

#: One value each that a parser refuses, or that spoils what stands around it.
STRANGE = {
    "deep list": "[" * 5000 + "]" * 5000,
    "deep object": '{"a":' * 5000 + "1" + "}" * 5000,
    "very deep": "[" * 200_000 + "]" * 200_000,
    "long integer": "9" * 5000,
    "not a number": "NaN",
    "too large a float": "1e400",
    "negative infinity": "-Infinity",
    "lone surrogate": r'"\ud83d"',
    "raw lone surrogate": '"\udcff"',
    "invalid utf-8": b'"\xff\xfe\x80"'.decode("utf-8", "surrogateescape"),
    "raw control characters": '"a\x01b\tc\nd\x7f"',
    "raw NUL": '"a\0b"',
    "escaped NUL": r'"a\u0000b"',
    "duplicate keys": '{"a": 1, "a": 2}',
    "BOM inside": '"\ufeff"',
    "line separators": '"\u2028\u2029"',
    "brackets in text": r'"]}[{\"},{\\"',
    "backslash at the end": r'"\\"',
    "bad escape": r'"\x"',
    "single quotes": "{'a': 1}",
    "undefined": "undefined",
    "leading zero": "0123",
    "a word that begins well": "NaNa",
    "text after text": '"he said "hi [you]" to me"',
    "half a surrogate pair": r'"\ud83d\u0041"',
}

texts = st.text(st.characters(), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
spaces = st.text(" \t\r\n", max_size=3)


def spread(value: Any, space: Callable[[], str], *, escape: bool) -> str:
    """Write a value as JSON with any space that the grammar allows."""
    if isinstance(value, dict):
        inside = ",".join(
            f"{space()}{json.dumps(key, ensure_ascii=escape)}{space()}:"
            f"{spread(inner, space, escape=escape)}"
            for key, inner in value.items()
        )
        return f"{space()}{{{inside or space()}}}{space()}"
    if isinstance(value, list):
        inside = ",".join(spread(inner, space, escape=escape) for inner in value)
        return f"{space()}[{inside or space()}]{space()}"
    return f"{space()}{json.dumps(value, ensure_ascii=escape)}{space()}"


# ---- cutting ----


@given(st.dictionaries(texts, values, max_size=5), st.booleans(), st.data())
def test_members_are_the_values_that_a_parser_finds(
    value: dict[str, Any], escape: bool, data: st.DataObject
) -> None:
    text = spread(value, lambda: data.draw(spaces), escape=escape)
    found = members(text)
    assert {name: json.loads(part) for name, part in found.items()} == value
    assert all(part in text and part == part.strip() for part in found.values())
    assert parsed_members(found) == value


@given(st.lists(values, max_size=5), st.booleans(), st.data())
def test_items_are_the_values_that_a_parser_finds(
    value: list[Any], escape: bool, data: st.DataObject
) -> None:
    text = spread(value, lambda: data.draw(spaces), escape=escape)
    assert [json.loads(part) for part in items(text)] == value


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_strange_value_is_kept_to_the_letter_and_spoils_no_neighbour(strange: str) -> None:
    assert items(f'[{{"a": 1}}, {strange} ,"]"]') == ['{"a": 1}', strange, '"]"']
    text = f'{{"before": [1], "strange" : {strange} , "after": "}}"}}'
    assert members(text) == {"before": "[1]", "strange": strange, "after": '"}"'}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_a_strange_value_deep_inside_is_cut_out_with_what_is_around_it(strange: str) -> None:
    entry = f'{{"run": {{"x": [{strange}]}}}}'
    assert items(f"[{entry},{entry}]") == [entry, entry]


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2028"])
def test_what_is_space_elsewhere_is_none_in_json(odd: str) -> None:
    for text, cut in ((f'{{"a": 1}}{odd}', members), (f"[1]{odd}", items)):
        with pytest.raises(ValueError, match="no "):
            cut(text)
    assert members(f'{{"a": 1{odd}}}')["a"].rstrip(odd) == "1"


def test_of_a_name_that_stands_twice_the_last_counts() -> None:
    assert members('{"a": 1, "\\u0061": 2}') == {"a": "2"}


def test_nothing_inside_is_nothing() -> None:
    assert members(" { } ") == {}
    assert items("[\n]") == []


# ---- refusing ----


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "{",
        "}",
        "[]",
        '{"a"}',
        '{"a" 1}',
        "{a: 1}",
        "{1: 2}",
        "{,}",
        "{[: 1}",
        '{"a": [1}',
        '{"a": [1, {"b": 2]',
        '{"a": 1]',
        '{"a": {"b": 1}',
        '{"a": {"b": 1}, "c": {"d": 1}',
        '{"a": "}',
        '{"a": "b}',
        '{"a": "b\\}',
        '{"a}',
        '{"a": 1} {"b": 2}',
        '{"a": 1}}',
        "<html>{}</html>",
    ],
)
def test_what_is_no_object_or_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        members(text)


@pytest.mark.parametrize("text", ["", "{}", "[", '["]', '["a]', "[1, [2]", "[1}", "[[1]"])
def test_what_is_no_array_or_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        items(text)


@given(st.text(st.sampled_from('{}[]":,\\ ax1\n') | st.characters(), max_size=30))
@example("{" * 3000)
@example('{"' * 3000)
@example("[" * 100_000)
def test_garbage_raises_nothing_but_value_errors(text: str) -> None:
    for cut in (members, items):
        for wrapped in (text, f"{{{text}}}", f"[{text}]", f'{{"a":{text}}}'):
            try:
                cut(wrapped)
            except ValueError:
                continue
    parsed(text)
    ascii_safe(text)


@given(st.dictionaries(texts, values, min_size=1, max_size=4), st.data())
def test_no_beginning_of_an_answer_passes_for_the_whole(
    value: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(value)
    with pytest.raises(ValueError, match=r"."):
        members(text[: data.draw(st.integers(0, len(text) - 1))])


# ---- in time ----

LONG = 10_000_000


@pytest.mark.sweep
@pytest.mark.parametrize(
    "text",
    [
        '{"a": "' + "x" * LONG + '"}',
        '{"a": "' + r"\"" * (LONG // 2) + '"}',
        '{"a": "' + "{[]}" * (LONG // 4) + '", "b": NaNa}',
        '{"a": [' + '"x",' * (LONG // 4) + "undefined]}",
    ],
    ids=["text", "quotes", "brackets", "parts"],
)
def test_ten_megabytes_are_cut(text: str) -> None:
    assert members(text)["a"].startswith(('"', "["))


@pytest.mark.sweep
@pytest.mark.parametrize(
    "text",
    [
        '{"a": "' + r"\"" * (LONG // 2) + "}",
        '{"a": "' + r"\"" * (LONG // 2) + "\\}",
        '{"a": ["' + r"{\"b\": [" * (LONG // 8) + "}",
        '{"' + r"\"" * (LONG // 2) + "}",
        "{" + "[" * LONG + "}",
        '{"a": ' + "{" * LONG + "}",
    ],
    ids=["quotes", "backslash", "json in json", "name", "no name", "brackets"],
)
def test_ten_megabytes_that_are_cut_off_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        members(text)


# ---- parsing and keeping ----


@pytest.mark.parametrize("text", [None, "", "{", "9" * 5000, "[" * 5000 + "]" * 5000, "undefined"])
def test_what_cannot_be_read_is_none(text: str | None) -> None:
    assert parsed(text) is None


@given(values, st.booleans())
def test_ascii_safe_changes_letters_but_no_meaning(value: Any, escape: bool) -> None:
    text = ascii_safe(json.dumps(value, ensure_ascii=escape, indent=1))
    assert text.isascii()
    assert json.loads(text) == value


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_printable_ascii_is_kept_to_the_letter(text: str) -> None:
    assert ascii_safe(text) == text


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
def test_strange_text_becomes_ascii_and_stays_what_it_was(strange: str) -> None:
    safe = ascii_safe(strange)
    assert safe.isascii()
    assert "\0" not in safe
    assert parsed(safe) == parsed(strange) or parsed(strange) != parsed(strange)
    assert ascii_safe(safe) == safe
