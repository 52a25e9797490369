"""What a job file may expect of results, how jobs inherit it, and every problem with its place."""

from __future__ import annotations

from typing import Any

import pytest

from batchrunner.inputs.yaml import JobFileErrors, parse, parse_expect
from batchrunner.judge import expectations_of
from batchrunner.model import FieldRule

JOB = "- url: https://a.example/\n  goal: Read\n"


def expected(text: str) -> list[Any]:
    return [spec.expect for spec in parse(text, file="jobs.yaml", name="jobs").specs]


def problems(text: str) -> list[tuple[int, int, str]]:
    with pytest.raises(JobFileErrors) as caught:
        parse(text, file="jobs.yaml", name="jobs")
    return [(one.line, one.column, one.message) for one in caught.value.problems]


def test_everything_that_can_be_expected() -> None:
    (expect,) = expected(
        JOB
        + """\
  expect:
    required:
      - name
      - items[].sku
    fields:
      price: {minimum: 0.5, maximum: 100}
      items[].sku: {pattern: "[A-Z]+-[0-9]+"}
      items: {at_least: 1, at_most: 9}
    allow: [empty]
"""
    )
    found = expectations_of(None, expect)
    assert found.allow == {"empty"}
    assert found.field_rules == (
        FieldRule(path="name", required=True),
        FieldRule(path="items[].sku", required=True),
        FieldRule(path="price", minimum=0.5, maximum=100),
        FieldRule(path="items[].sku", pattern="[A-Z]+-[0-9]+"),
        FieldRule(path="items", at_least=1, at_most=9),
    )


def test_a_job_expects_what_the_defaults_do_unless_it_says_otherwise() -> None:
    text = """\
defaults: {goal: Read, expect: {required: [name]}}
jobs:
  - url: https://a.example/1
  - url: https://a.example/2
    expect: {required: [price]}
  - url: https://a.example/3
    expect: null
"""
    assert expected(text) == [{"required": ["name"]}, {"required": ["price"]}, {}]


def test_what_is_expected_makes_no_other_job() -> None:
    plain = parse(JOB, file="jobs.yaml", name="jobs").specs[0]
    expecting = parse(JOB + "  expect: {required: [a]}\n", file="jobs.yaml", name="jobs").specs[0]
    assert plain.key == expecting.key
    assert "expect" not in expecting.options


def test_one_job_cannot_expect_two_things() -> None:
    found = problems(JOB + JOB + "  expect: {required: [a]}\n")
    assert [(line, column) for line, column, _ in found] == [(3, 3)]
    assert "line 1 expects something else" in found[0][2]
    same = JOB + "  expect: {required: [a]}\n"
    assert len(expected(same + same)) == 1


@pytest.mark.parametrize(
    ("expect", "column", "message"),
    [
        ("{require: [a]}", 12, "unknown key `require`"),
        ("[a]", 11, "must be a mapping"),
        ("{required: a}", 22, "must be a list of the path of a field"),
        ("{required: []}", 22, "must be a list"),
        ("{required: [a..b]}", 23, "the path of a field, not `a..b`"),
        ("{allow: [emptyness]}", 20, "one of `bot_wall`, `login_wall`"),
        ("{fields: [a]}", 20, "a mapping of paths"),
        ("{fields: {price: 5}}", 28, "must be a mapping"),
        ("{fields: {price: {}}}", 28, "asks for something"),
        ("{fields: {price: {minimum: a}}}", 38, "must be a number"),
        ("{fields: {price: {minimum: 010}}}", 38, "must be a number"),
        ("{fields: {price: {least: 1}}}", 29, "unknown key `least`"),
        ("{fields: {price: {minimum: 2, maximum: 1}}}", 21, "more than its `maximum`"),
        ("{fields: {price: {at_least: -1}}}", 39, "a whole number of 0 or more"),
        ("{fields: {price: {pattern: '('}}}", 38, "is no regular expression"),
        ("{fields: {price: {pattern: '(a+)+'}}}", 38, "could take for ever"),
        ("{fields: {price: {pattern: '.*.*.*.*.*'}}}", 38, "could take very long"),
    ],
)
def test_each_problem_has_its_place(expect: str, column: int, message: str) -> None:
    ((line, found, said),) = problems(f"{JOB}  expect: {expect}\n")
    assert (line, found) == (3, column)
    assert message in said


def test_all_problems_are_reported_at_once_among_all_others() -> None:
    text = """\
settings: {concurency: 3}
defaults:
  goal: Read
  expect: {fields: {a: {pattern: "["}}}
jobs:
  - url: a.example
    expect: {allow: [everything], required: [7..8]}
"""
    assert [line for line, _, _ in problems(text)] == [1, 4, 6, 7, 7]


def test_what_is_expected_may_stand_in_a_file_of_its_own() -> None:
    assert parse_expect(b"required: [a]\n", file="expect.yaml") == {"required": ["a"]}
    for text in ("", "[]", "a: [", "required: [a]\n---\nb: 1", "required: [a..]"):
        with pytest.raises(JobFileErrors) as caught:
            parse_expect(text, file="expect.yaml")
        assert caught.value.problems
