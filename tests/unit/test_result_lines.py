"""A result on the screen is bounded, safe, and shows what a rule found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.cli.output.result_lines import MAX_LINES, MAX_WIDTH, result_lines
from batchrunner.judge.answer import read_answer
from batchrunner.text.terminal import term_safe
from tests.hostile_results import SHAPES


def lines(value: Any, *marked: str) -> list[str]:
    return list(result_lines(read_answer(json.dumps(value)), frozenset(marked)))


def test_a_small_result_is_shown_whole_with_a_mark_at_what_was_found() -> None:
    assert lines({"name": "Lamp", "price": None, "tags": [], "sizes": ["S"]}, "price") == [
        "  {",
        '    "name": "Lamp",',
        '>   "price": null,',
        '    "tags": [],',
        '    "sizes": [',
        '      "S"',
        "    ]",
        "  }",
    ]
    assert lines("just text") == ['  "just text"']


def test_a_small_result_is_json_that_can_be_copied() -> None:
    for value in ({"a": [1, {"b": []}, "x"], "c": {"d": None, "e": {}}}, [[], [1, 2], {}], []):
        assert json.loads("".join(lines(value))) == value


def test_what_was_found_is_shown_also_far_down_in_a_list() -> None:
    found = lines({"items": [{"price": number} for number in range(900)]}, "items[700].price")
    assert '>       "price": 700' in found
    assert "      … 896 more" in found
    assert len(found) <= MAX_LINES + 1


def test_a_mark_counts_inside_of_a_wrapper() -> None:
    answer = read_answer(json.dumps({"result": {"price": None, "name": "Lamp"}}))
    assert '>   "price": null,' in list(result_lines(answer, frozenset({"result.price"})))


def test_escapes_never_reach_the_screen() -> None:
    hostile = {"\x1b[2J": "\x1b]0;title\x07\u202egpj.exe\x9b31m", "a\nb": "x\ny"}
    for line in lines(hostile, "\x1b[2J"):
        assert term_safe(line) == line
        assert "\x1b" not in line


@pytest.mark.parametrize("shape", SHAPES)
def test_results_of_every_shape_are_shown_in_few_lines(shape: str) -> None:
    answer = read_answer(SHAPES[shape](30_000))
    if answer.set_aside:
        return
    found = list(result_lines(answer, frozenset({"a[7].b", "x.y"})))
    assert len(found) <= MAX_LINES + 1
    assert all(len(line) <= MAX_WIDTH + 2 for line in found)


VALUES = st.recursive(
    st.none() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(VALUES)
def test_any_result_has_lines(value: Any) -> None:
    found = lines(value, "a", "[0]")
    assert found
    assert all(term_safe(line) == line for line in found)
