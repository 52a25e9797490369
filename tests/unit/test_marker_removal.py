"""Markers that agents type, return or split are removed; all other text stays as it was sent."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import ApiFault, ApiFaultKind, Refused, Run, RunError, RunStatus
from batchrunner.model.marker_removal import (
    unmarked_answer,
    unmarked_goal,
    unmarked_run,
    without_marker,
    without_markers,
)
from batchrunner.model.markers import marked_goal, marker

MINE = marker("k3m9x2a-4h7w0z8cq", 3, "abcde01234")
BODY = MINE.removeprefix("[ref ").removesuffix("]")
NEIGHBOUR = marker("k3m9x2a-zzzzzzzzz", 13, "9876501234")
FOREIGN = marker("0000000-4h7w0z8cq", 3, "abcde01234")
OLD = "[ref br-0123456789ab-17]"


def plain(value: Any, mark: str = MINE) -> Any:
    return json.loads(without_marker(json.dumps(value), mark) or "null")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"Read the price\n\n{MINE}", "Read the price"),
        (f"Read the price {MINE.upper()}", "Read the price"),
        (f"tv {MINE} 4k", "tv 4k"),
        (f"tv {MINE}, 4k", "tv, 4k"),
        (f"tv {MINE}4k", "tv 4k"),
        (f"tv{MINE} 4k", "tv 4k"),
        (f"{MINE}\ntv", "tv"),
        (f"tv\n\n{MINE}\n\n4k", "tv\n\n4k"),
        (f"tv {BODY} 4k", "tv 4k"),
        (f"tv (ref {BODY}) 4k", "tv 4k"),
        (f"tv ref: {BODY}", "tv"),
        (f"tv {BODY}]", "tv"),
        (f"[tv {BODY}]", "[tv]"),
        (f"tv {NEIGHBOUR}", "tv"),
        (f"tv {MINE} and {NEIGHBOUR} 4k", "tv and 4k"),
        (f"a {MINE[:20]}\n  {MINE[20:]} b", "a b"),
        (MINE.replace("-", "\u2011"), ""),
        (MINE.replace("-", " - "), ""),
        (MINE.replace("[ref ", "[ref\u00a0"), ""),
        (MINE.replace("x2a", "x\u200b2a"), ""),
        (f"tv [ref {BODY[:14]}… 4k", "tv… 4k"),
        (f"tv {MINE[:-4]}", "tv"),
        (f"https://a.test/?q=tv+%5Bref+{BODY}%5D&p=1", "https://a.test/?q=tv&p=1"),
        (f"https://a.test/?q=tv%20%5bref%20{BODY}%5d", "https://a.test/?q=tv"),
        (f"https://a.test/s/tv-ref-{BODY}/", "https://a.test/s/tv/"),
        (f"<b>tv</b> &#91;ref {BODY}&#93;", "<b>tv</b>"),
        (json.dumps({"goal": f"tv\n\n{MINE}", "n": 1}), '{"goal": "tv", "n": 1}'),
        ({f"price {MINE}": 3}, {"price": 3}),
        ({f"price {MINE}": 3, "price": 4}, {"price": 3, "price (2)": 4}),
        ({"a": [MINE, "x"], "b": [MINE], "c": MINE}, {"a": ["x"], "b": [], "c": ""}),
        ([["x", MINE], [MINE, NEIGHBOUR]], [["x"], []]),
    ],
)
def test_a_marker_is_removed_however_it_is_written(value: Any, expected: Any) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "br-",
        "the br-k3m9x2 line",
        "C++ [ref 12]",
        "[ref br-other]",
        FOREIGN,
        OLD,
        f"x{BODY[:6]} and more",
        {"br-key": ["[ref ]", "ref", "br"]},
    ],
)
def test_a_users_own_text_stays(value: Any) -> None:
    text = json.dumps(value)
    assert without_marker(text, MINE) == text
    assert without_marker(text, None) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Read it\n\n{OLD}", "Read it"),
        (OLD.upper(), ""),
        ("tv br-0123456789ab-18 4k", "tv 4k"),  # another job's, of the same request
        ("br-0123456789ac-17", "br-0123456789ac-17"),
        ("br-0123456789ab-17x", "br-0123456789ab-17x"),
    ],
)
def test_a_marker_of_an_older_version_is_removed(text: str, expected: str) -> None:
    assert plain(text, OLD) == expected


def test_what_stands_beside_a_marker_keeps_every_digit_and_space() -> None:
    text = f'{{ "a": 1.10,\n\t"b":1e999, "a":"x {MINE}", "c" : "\\u00fc\\/" , "d":[ ] }}'
    expected = text.replace(f" {MINE}", "")
    assert without_marker(text, MINE) == expected


def test_characters_that_json_escapes_are_read() -> None:
    assert without_marker(f'"\\u005bref \\u0062r\\u002d{BODY[3:]}]"', MINE) == '""'
    split = json.dumps(MINE.replace("m9", "m\n9"))
    assert without_marker(split, MINE) == '""'


@pytest.mark.parametrize("text", ["", "[", '"', f'{{"a": "{MINE}', f"{MINE}", '["\\ud800', "{,}"])
def test_text_that_is_no_json_does_no_harm(text: str) -> None:
    assert without_marker(text, MINE) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.booleans())
def test_results_without_a_marker_stay_as_they_are(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert without_marker(text, MINE) == text


@given(st.text(), st.text())
def test_of_a_goal_that_is_returned_the_users_own_text_is_left(before: str, goal: str) -> None:
    assert plain({before: marked_goal(f"{goal}.", MINE)}) == {before: f"{goal}."}
    assert unmarked_goal(marked_goal(f"{goal}.", MINE)) == f"{goal}."
    assert unmarked_goal(f"{goal}.") == f"{goal}."


@pytest.mark.parametrize("unit", [f"{BODY}] ", "[ref ", " ", "+", "[", f'{MINE}","', "br", "b "])
def test_removal_takes_time_that_grows_with_the_length_alone(unit: str) -> None:
    text = f'["{MINE}", "' + unit * (60_000 // len(unit)) + '"]'
    began = time.monotonic()
    without_marker(text, MINE)
    assert time.monotonic() - began < 30  # only a square of the length gets there


def test_reasons_are_judged_and_shown_without_a_marker() -> None:
    error = RunError(message=f"Could not do 'tv {MINE}'", code=f"E {MINE}")
    run = Run(
        run_id="r",
        status=RunStatus.FAILED,
        result=json.dumps([f"tv {MINE}"]),
        error=error,
        schema_errors=(f"#/goal: tv {MINE}",),
    )
    seen = unmarked_run(run, MINE)
    assert seen.error is not None
    assert (seen.error.message, seen.error.code) == ("Could not do 'tv'", "E")
    assert (seen.result, seen.schema_errors) == ('["tv"]', ("#/goal: tv",))
    assert unmarked_run(run, None) is run


def test_a_refusal_repeats_no_marker() -> None:
    fault = ApiFault(
        kind=ApiFaultKind.STATUS, status=400, message=f"bad: {NEIGHBOUR}", issues={0: f"x {MINE}"}
    )
    answer = unmarked_answer(Refused(fault=fault), [MINE, None])
    assert isinstance(answer, Refused)
    assert (answer.fault.message, answer.fault.issues) == ("bad:", {0: "x"})
    assert without_markers("br-x", [None]) == "br-x"
