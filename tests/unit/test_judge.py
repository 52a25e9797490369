"""Which results the judge refuses, and which it accepts."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.judge import expectations_of, judge_result
from batchrunner.judge.field_paths import MISSING, find, is_path
from batchrunner.judge.outliers import SPARSE, PeerResult, outliers
from batchrunner.judge.regex_safety import MAX_MATCHED_LENGTH, max_text_length, unsafe_reason
from batchrunner.model import Expectations, Failed, FailureCategory
from tests.bounds import HUNG
from tests.simulator.network.hostile_results import HOSTILE_RESULTS

SHAPE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "offers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"price": {"type": "number", "minimum": 0}},
                "required": ["price"],
            },
        },
    },
    "required": ["name"],
}


def judged(result: Any, schema: Any = None, **expect: Any) -> Failed | None:
    return judge_result(json.dumps(result), expectations_of(schema, expect)).failure


def meaning(failure: Failed | None) -> tuple[str, str | None] | None:
    return None if failure is None else (failure.category.value, failure.code)


def breaches(failure: Failed | None) -> list[tuple[str, str, str]]:
    assert failure is not None
    return [(each.path, each.seen, each.wanted) for each in failure.findings]


# ---- the general rules ----


@pytest.mark.parametrize(
    ("result", "category", "rule"),
    [
        ({}, "goal_failure", "empty"),
        ("", "goal_failure", "empty"),
        ({"a": {"b": [None, ""]}}, "goal_failure", "empty"),
        ({"price": "N/A"}, "goal_failure", "placeholder"),
        ("I was unable to find the price on the page.", "goal_failure", "refusal"),
        ({"title": "Just a moment...", "price": None}, "blocked", "bot_wall"),
        ({"title": "Sign in to continue", "price": None}, "blocked", "login_wall"),
    ],
)
def test_each_general_rule_has_a_category_and_a_code(result: Any, category: str, rule: str) -> None:
    assert meaning(judged(result)) == (category, rule)
    assert judged(result, allow=[rule]) is None


def test_only_the_rules_that_a_job_allows_are_off() -> None:
    assert judged({"items": []}, allow=["empty"]) is None
    assert judged({"items": []}, allow=["placeholder"]) is not None
    assert judged({"status": "failure", "reason": "x"}, allow=["empty", "refusal"]) is not None


def test_a_value_next_to_words_about_a_wall_is_an_answer() -> None:
    for beside in (0, False, 12.5, "Lamp"):
        assert judged({"title": "Access denied", "found_here": beside}) is None


def test_a_wall_takes_precedence_over_a_broken_schema() -> None:
    failure = judged({"title": "Access Denied", "price": None}, SHAPE)
    assert meaning(failure) == ("blocked", "bot_wall")


@pytest.mark.parametrize("body", HOSTILE_RESULTS.values(), ids=HOSTILE_RESULTS)
def test_a_hostile_result_is_no_failure_by_itself(body: bytes) -> None:
    assert judge_result(body.decode("utf-8", "surrogateescape")).failure is None


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 5000, '{"a": NaN, "b": 1e999}', "\x00", "9" * 9999]
)
def test_an_unreadable_result_is_no_failure_whatever_is_expected(text: str) -> None:
    expectations = (
        expectations_of({"type": "object"}, {}) if text != '{"a": NaN, "b": 1e999}' else None
    )
    assert judge_result(text, expectations or Expectations()).failure is None


def test_schema_errors_of_the_api_count_if_the_result_is_unreadable() -> None:
    failure = judge_result("{", Expectations(), ("#/a: missing",)).failure
    assert failure is not None
    assert failure.category is FailureCategory.INVALID_RESULT


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "offers", "price", "status"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values)
def test_every_result_can_be_judged_and_its_findings_shown(result: Any) -> None:
    expect = {
        "required": ["offers[].price"],
        "fields": {"name": {"pattern": "[a-z]+"}, "offers": {"at_least": 1}, ".": {"at_most": 2}},
    }
    failure = judged(result, SHAPE, **expect)
    if failure is None:
        return
    for finding in failure.findings:
        assert finding.seen.isprintable()
        assert finding.path.isprintable()
        assert len(finding.seen) < 120
    assert failure.message.encode()


# ---- the output schema ----


def test_a_broken_schema_is_reported_with_the_first_paths() -> None:
    result = {"offers": [{"price": 1}, {"price": "2"}, {"price": -3}, {}]}
    failure = judged(result, SHAPE)
    assert meaning(failure) == ("invalid_result", "schema")
    assert breaches(failure) == [
        ("name", "nothing", "text"),
        ("offers[1].price", '"2"', "a number"),
        ("offers[2].price", "-3", "at least 0"),
    ]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, [1, 2.0, -3], [1.5, True, "1", None]),
        ({"type": "number", "maximum": 3}, [3, -1.5], [3.1, True]),
        ({"type": "string", "nullable": True}, ["", None], [0, []]),
        ({"type": "string", "enum": ["a", "b"]}, ["a"], ["A", "c"]),
        ({"type": "string", "format": "date"}, ["2026-02-28"], ["28.02.2026", "2026-13-01"]),
        ({"type": "string", "format": "date-time"}, ["2026-02-28T10:00:00Z"], ["2026-02-28"]),
        ({"type": "string", "format": "duration"}, ["P1DT2H"], ["P", "1 day"]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[1, 2, 3], {}]),
        ({"anyOf": [{"type": "string"}, {"type": "boolean"}]}, ["x", False], [1, None]),
    ],
)
def test_each_keyword_of_the_apis_schemas(schema: Any, good: list[Any], bad: list[Any]) -> None:
    whole = {"type": "object", "properties": {"x": schema, "y": {"type": "integer"}}}
    for value in good:
        assert judged({"x": value, "y": 1}, whole) is None
    for value in bad:
        failure = judged({"x": value, "y": 1}, whole)
        assert failure is not None, value
        assert failure.findings[0].path == "x"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": ["string", "null"]},
        {"type": 7},
        {"required": 7},
        {"required": [7, None]},
        {"properties": [1]},
        {"properties": {"a": True}},
        {"items": [1]},
        {"enum": 5},
        {"format": ["date"]},
        {"minimum": "low"},
        {"maximum": None},
        {"minItems": "1"},
        {"anyOf": {"x": 1}},
        {"anyOf": [1]},
        True,
        None,
    ],
)
def test_unknown_keywords_in_a_schema_are_ignored_and_hide_nothing(
    odd: Any,
) -> None:
    properties = {"odd": odd, "price": {"type": "number"}}
    schema = {"type": "object", "properties": properties, "required": ["odd", "price"]}
    for value in ("text", 3, None, ["a"], {"a": {"b": 1}}):
        assert judged({"odd": value, "price": 1}, schema) is None
        failure = judged({"odd": value, "price": "cheap"}, schema)
        assert failure is not None
        assert [finding.path for finding in failure.findings] == ["price"]


def test_numbers_may_be_listed_in_another_programs_schema() -> None:
    schema = {"type": "object", "properties": {"size": {"enum": [1, 2]}}}
    assert judged({"size": 2}, schema) is None
    assert judged({"size": 3}, schema) is not None


def test_an_endless_schema_stops_nothing() -> None:
    schema: dict[str, Any] = {"type": "string"}
    branches, value = schema, 1
    whole: Any = value
    for _ in range(400):
        schema, whole = {"type": "object", "properties": {"x": schema}}, {"x": whole}
        branches = {"anyOf": [branches]}
    assert judged(whole, schema) is None
    assert judged({"x": value}, {"type": "object", "properties": {"x": branches}}) is None


# ---- expectations ----


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        ({"minimum": 1}, [1, 1.5, "2", " 3.5 ", None, ""], [0, -1, "0.5", "cheap", True, [2]]),
        ({"maximum": 9}, [9, "8"], [9.1, float("nan"), float("inf"), "1e3"]),
        ({"pattern": "[A-Z]{3}"}, ["EUR", None], ["eur", "EURO", 123, ["EUR"]]),
        ({"pattern": "[0-9]+"}, ["12", 12], ["12 EUR", 1.5]),
        ({"at_least": 2}, [[1, 2]], [[1], [], None, "ab", {"a": 1}]),
        ({"at_most": 1}, [[1], [], None], [[1, 2], "a"]),
    ],
)
def test_each_bound(bounds: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert judged({"x": value, "y": 1}, fields={"x": bounds}) is None, value
    for value in bad:
        assert meaning(judged({"x": value, "y": 1}, fields={"x": bounds})) == (
            "invalid_result",
            "expect",
        ), value


@pytest.mark.parametrize("nothing", [None, "", "  ", [], {}])
def test_a_required_field_exists_and_is_not_empty(nothing: Any) -> None:
    assert judged({"x": 0, "y": 1}, required=["x"]) is None
    assert judged({"x": False, "y": 1}, required=["x"]) is None
    assert breaches(judged({"x": nothing, "y": 1}, required=["x"]))[0][2] == "something"
    assert breaches(judged({"y": 1}, required=["x"])) == [("x", "nothing", "something")]


def test_a_required_field_of_a_list_is_required_in_each_entry() -> None:
    result = {"n": 1, "items": [{"name": "a"}, {"name": ""}, {}]}
    found = breaches(judged(result, required=["items[].name"]))
    assert [path for path, _, _ in found] == ["items[1].name", "items[2].name"]
    assert judged({"n": 1, "items": []}, required=["items[].name"]) is None
    assert judged({"n": 1}, required=["items[].name"]) is not None


def test_paths_find_values_and_show_their_location() -> None:
    result = {"a": {"b": [{"c": 1}, {"c": 2}]}, "d": [[1], [2, 3]]}
    assert [tuple(each) for each in find(result, "a.b[].c")] == [
        ("a.b[0].c", 1),
        ("a.b[1].c", 2),
    ]
    assert [each.value for each in find(result, "d[][]")] == [1, 2, 3]
    assert [tuple(each) for each in find([{"x": 1}], "[].x")] == [("[0].x", 1)]
    assert [tuple(each) for each in find(7, ".")] == [(".", 7)]
    assert [each.value for each in find(result, "a.x.y")] == [MISSING]


@pytest.mark.parametrize(
    "text", ["", "a..b", ".a", "a.", "a[0]", "a[", "a]b", "[]x", " a", "x" * 201]
)
def test_which_texts_are_not_paths(text: str) -> None:
    assert not is_path(text)


# ---- patterns ----


@pytest.mark.parametrize(
    "pattern",
    [
        r"[A-Z]{3}",
        r"\d{4}-\d{2}-\d{2}",
        r"https?://.*",
        r"[^@]+@[^@]+\.[a-z]+",
        r"[€$]? ?\d{1,3}(,\d{3})*(\.\d+)?",
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"EUR|USD|GBP",
        r"(?i)in stock|sold out",
    ],
)
def test_usual_patterns_are_accepted(pattern: str) -> None:
    assert unsafe_reason(pattern) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "[",
        "(a+)+b",
        "(a|a)*b",
        "(a|aa)+$",
        "(.*)*",
        "(a?){50}",
        r"(\w)\1",
        "(?=a)a",
        ".*.*.*.*.*x",
        "a?" * 60 + "a" * 60,
        "x" * 201,
        "((a{0,100}){0,100}){0,100}",
        "[[a]",
        "a{99999999999}",
    ],
)
def test_patterns_that_could_take_forever_are_refused(pattern: str) -> None:
    assert unsafe_reason(pattern)


@pytest.mark.parametrize(
    "pattern", [r".*.*.*x", r"(\d{3},)*\d*\d*x", r"[^@]+@[^@]+\.[a-z]+", r"(a|b)?.*.*c"]
)
def test_an_accepted_pattern_is_quick_on_its_longest_text(pattern: str) -> None:
    assert unsafe_reason(pattern) is None
    longest = max_text_length(pattern)
    begun = time.process_time()
    for text in ("a" * longest, "1" * longest, "@" * longest, "a." * (longest // 2)):
        assert re.fullmatch(pattern, text) is None
    assert time.process_time() - begun < HUNG


def test_a_text_that_is_too_long_for_its_pattern_is_not_judged() -> None:
    assert judged({"x": "y" * (MAX_MATCHED_LENGTH + 1)}, fields={"x": {"pattern": "z"}}) is None


# ---- comparisons with other results ----


def odd(*results: Any, url: str = "https://a.example/") -> dict[int, str]:
    given = [
        (place, PeerResult(f"{url}{place}", "goal", json.dumps(result)))
        for place, result in enumerate(results)
    ]
    return {key: finding.rule for key, finding in outliers(given).items()}


COPY = {"name": "Welcome to our shop"}
OWN = [{"name": f"Lamp number {number}"} for number in range(9)]


def test_one_answer_for_many_urls_is_suspicious_if_others_differ() -> None:
    assert odd(*[COPY] * 4, *OWN) == dict.fromkeys(range(4), "copied")


def test_a_few_copies_or_only_copies_or_a_short_answer_are_not_suspicious() -> None:
    assert odd(*[COPY] * 3, *OWN) == {}
    assert odd(*[COPY] * 9) == {}
    assert odd(*[{"vat": "19%"}] * 5, *OWN) == {}
    assert odd(*[{"in_stock": True}] * 5, *[{"in_stock": False}] * 5) == {}


def test_a_url_that_was_run_twice_is_no_copy() -> None:
    given = [
        (place, PeerResult("https://a.example/", "goal", json.dumps(COPY))) for place in range(5)
    ]
    given += [
        (9 + n, PeerResult(f"https://a.example/{n}", "goal", json.dumps(o)))
        for n, o in enumerate(OWN)
    ]
    assert outliers(given) == {}


def test_answers_that_differ_only_by_their_urls_are_copies() -> None:
    copies = [{"name": "Welcome to our shop", "url": f"https://a.example/{n}"} for n in range(4)]
    assert odd(*copies, *OWN) == dict.fromkeys(range(4), "copied")


def test_a_half_empty_result_is_suspicious_if_others_are_full() -> None:
    full = [{"a": n, "b": n, "c": n, "d": n} for n in range(9)]
    assert odd(*full, {"a": 9, "b": None, "c": None, "d": None}) == {9: SPARSE}
    assert odd(*full[:5], {"a": 9, "b": None, "c": None, "d": None}) == {}


def test_results_that_cannot_be_compared_are_skipped() -> None:
    given = [
        (n, PeerResult("http://[bad", "goal", text))
        for n, text in enumerate(["{", "[" * 9999, "1"])
    ]
    assert outliers(given) == {}


# ---- how long it takes ----


def taken(results: list[str], expectations: Expectations = Expectations()) -> float:  # noqa: B008
    begun = time.process_time()
    for result in results:
        judge_result(result, expectations)
    return time.process_time() - begun


def test_a_look_at_a_hundred_results_is_judged_without_hanging() -> None:
    offers = [{"name": f"Lamp number {number}", "price": number * 1.5} for number in range(24)]
    expectations = expectations_of(
        {"type": "object", "properties": {"offers": SHAPE["properties"]["offers"]}},  # type: ignore[index]
        {"required": ["offers[].name"]},
    )
    assert taken([json.dumps({"offers": offers})] * 100, expectations) < HUNG


@pytest.mark.parametrize(
    "words",
    ["a ", "no ", "the page captcha ", "could not ", "i was un", "access to ", "zugriff ", "ich "],
)
def test_no_text_makes_the_judge_hang(words: str) -> None:
    assert taken([json.dumps({"text": (words * 1500)[:1500], "price": None})] * 10) < HUNG
