"""What a person says of results becomes lines that make the judge say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.inputs.yaml import JobFileErrors, parse_expect
from batchrunner.judge import expectations_of, judge_result
from batchrunner.judge.learned_rules import (
    breaks,
    general_path,
    merged,
    path_in,
    rule_of_acceptance,
    rule_of_rejection,
)
from batchrunner.model import FailureCategory, Finding

LAMP = {"name": "Lamp", "price": 18.5, "items": [{"sku": "a"}, {"sku": ""}]}
GOAL = "Read the name, the price and the stock"


def at(path: str, rule: str = "placeholder") -> Finding:
    return Finding(rule=rule, path=path, seen="?")


@pytest.mark.parametrize(
    ("value", "findings", "because", "rule"),
    [
        ({"name": "Lamp", "price": None}, [at("price")], "", {"required": ["price"]}),
        ({"name": "Lamp", "price": None}, [], "", {"required": ["price"]}),
        ({"name": "Lamp", "price": None}, [], "no price", {"required": ["price"]}),
        ({"name": "Lamp", "price": ""}, [], "price: it is blank", {"required": ["price"]}),
        (
            {"name": "404 Not Found", "price": None},
            [at("name")],
            "",
            {"fields": {"name": {"not": ["404 Not Found"]}}},
        ),
        (LAMP, [], "price", {"fields": {"price": {"not": ["18.5"]}}}),
        ({"in_stock": True}, [], "in_stock is wrong", {"fields": {"in_stock": {"not": ["true"]}}}),
        (LAMP, [at("items[1].sku")], "", {"required": ["items[].sku"]}),
        (LAMP, [], "items[].sku", {"required": ["items[].sku"]}),
        (LAMP, [], "stock: it has none", {"required": ["stock"]}),
        (LAMP, [], "stock", {"required": ["stock"]}),
        ([], [at(".")], "", {"required": ["."]}),
        ({}, [at(".")], "", {"required": ["."]}),
        ("Page not found", [at(".")], "", {"fields": {".": {"not": ["Page not found"]}}}),
        (LAMP, [], "", None),
        (LAMP, [], "it looks wrong", None),
        (LAMP, [at(".")], "nonsense", None),
        ("x" * 5000, [at(".")], "", None),
        ({"a b]c": None}, [at("a b]c")], "", None),
    ],
)
def test_a_rejection_becomes_a_line_that_forbids_such_results(
    value: Any, findings: list[Finding], because: str, rule: Any
) -> None:
    found = rule_of_rejection(value, findings, because, GOAL)
    assert found == rule
    if rule is not None:
        assert breaks(value, rule)
        assert parse_expect(json.dumps(rule), file="expect.yaml") == rule
        judged = judge_result(json.dumps(value), expectations_of(None, {**rule, "allow": []}))
        assert judged.failure is not None


def test_a_line_from_one_result_leaves_others_good() -> None:
    rule = rule_of_rejection({"name": "404 Not Found"}, [at("name")])
    assert rule is not None
    for name in ("404 not  found ", " 404 NOT FOUND"):
        judged = judge_result(json.dumps({"name": name}), expectations_of(None, rule))
        assert judged.failure is not None
        assert judged.failure.category is FailureCategory.INVALID_RESULT
    for value in ({"name": "Lamp 404"}, {"name": "Lamp", "text": "404 Not Found"}, {"other": 1}):
        assert not breaks(value, rule)


@pytest.mark.parametrize(
    ("value", "words", "is_bad"),
    [(0, ["0"], True), (0.0, ["0"], True), ("0.00", ["0"], True), (10, ["0"], False)],
)
def test_numbers_are_compared_as_numbers(value: Any, words: list[str], is_bad: bool) -> None:
    assert breaks({"price": value}, {"fields": {"price": {"not": words}}}) is is_bad


@pytest.mark.parametrize(
    "text",
    [
        "fields: {name: {not: []}}",
        "fields: {name: {not: x}}",
        "fields: {name: {not: [[a]]}}",
        "fields: {name: {not: [null]}}",
        f"fields: {{name: {{not: [{'x' * 1001}]}}}}",
    ],
)
def test_mistakes_in_not_are_named(text: str) -> None:
    with pytest.raises(JobFileErrors) as error:
        parse_expect(text, file="expect.yaml")
    assert "`not`" in str(error.value.problems)


def test_an_acceptance_allows_the_general_rules_that_it_is_about() -> None:
    known = ["empty", "placeholder"]
    found = [at("a", "empty"), at("b", "expect"), at("c", "empty")]
    assert rule_of_acceptance(found, known) == {"allow": ["empty"]}
    assert rule_of_acceptance([at("a", "same_answer")], known) is None


def test_lines_are_joined_without_repeating_anything() -> None:
    one = {"required": ["price"], "fields": {"name": {"not": ["a"], "pattern": "x"}}}
    two = {"required": ["price", "sku"], "fields": {"name": {"not": ["A ", "b"]}}}
    assert merged([one, two, {"allow": ["empty"]}, {"allow": ["empty"]}]) == {
        "required": ["price", "sku"],
        "fields": {"name": {"not": ["A ", "b"], "pattern": "x"}},
        "allow": ["empty"],
    }
    assert merged([]) == {}


def test_paths_are_made_general() -> None:
    assert general_path("items[3].tags[12]") == "items[].tags[]"
    assert path_in(LAMP, "`items[1].sku`: blank") == "items[].sku"
    assert path_in(LAMP, "stock") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "", "[", "x.y", "\x1b"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, st.lists(st.sampled_from(["a", ".", "a[0].b", "b[]", "[0]", "\x1b"]), max_size=2))
def test_every_line_forbids_the_result_that_it_is_from(value: Any, paths: list[str]) -> None:
    rule = rule_of_rejection(value, [at(path) for path in paths])
    assert rule is None or breaks(value, rule)
