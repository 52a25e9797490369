"""Judging: whether a completed run's result is what the job asked for; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from batchrunner.judge import expectation_check, output_schema_check
from batchrunner.judge.empty_result import EMPTY, PLACEHOLDER, EmptyResult, empty_result
from batchrunner.judge.expectation_check import field_rules_of
from batchrunner.judge.reported_failure import NO_RESULT, reported_failure
from batchrunner.judge.result_values import (
    NOT_JSON,
    SET_ASIDE,
    TooLarge,
    leaves,
    named,
    parse_result,
    shown,
)
from batchrunner.judge.wall_text import BOT_WALL, LOGIN_WALL, REFUSAL
from batchrunner.model import (
    Expectations,
    Failed,
    FailureCategory,
    Finding,
    Judgement,
    Verdict,
)

__all__ = ["GENERAL_RULES", "REPORTED_SHAPE", "expectations_of", "judge_result"]

#: General rule → what it says about a result.
GENERAL_RULES: Mapping[str, str] = {
    EMPTY: "The result is empty",
    PLACEHOLDER: "The result has only words that stand for nothing",
    REFUSAL: "The result says that the goal was not reached",
    BOT_WALL: "The result is a captcha, a refused access or a bot wall",
    LOGIN_WALL: "The result is a login wall",
}
#: Rule for results that break their schema according to the API.
REPORTED_SHAPE = "schema_validation"
#: Most findings that are kept of one result.
MAX_FINDINGS = 3

_NOTHING_EXPECTED = Expectations()


def expectations_of(schema: Mapping[str, Any] | None, written: Mapping[str, Any]) -> Expectations:
    """Return what a result must be, by a job's `output_schema` and its `expect` as written."""
    allow = frozenset(written.get("allow", ()))
    return Expectations(schema=schema, field_rules=field_rules_of(written), allow=allow)


def judge_result(
    result: str | None,
    expectations: Expectations = _NOTHING_EXPECTED,
    schema_errors: Sequence[str] | None = None,
) -> Judgement:
    """
    Say whether a result is what the job asked for, and why not.

    *schema_errors* are the schema errors that the API reported. A result that cannot be parsed, or
    that is too large to be, is not a failure by itself.
    """
    failure = _failure(result, expectations, schema_errors)
    if failure is None:
        return Judgement(verdict=Verdict.GOOD)
    return Judgement(verdict=Verdict.BAD, findings=failure.findings, failure=failure)


def _failure(
    result: str | None, expectations: Expectations, schema_errors: Sequence[str] | None
) -> Failed | None:
    if result is None:
        return NO_RESULT
    value = parse_result(result)
    if value is NOT_JSON or value is SET_ASIDE:
        return _api_failure(schema_errors)
    return (
        reported_failure(value)
        or _general_failure(value, expectations.allow)
        or _api_failure(schema_errors)
        or _breach_failure(value, expectations)
    )


def _general_failure(value: Any, allow: frozenset[str]) -> Failed | None:
    try:
        found = empty_result(leaves(value))
    except TooLarge:
        return None
    if found is None or found.rule in allow:
        return None
    return Failed(
        category=_category(found),
        code=found.rule,
        message=f"{GENERAL_RULES[found.rule]}: {shown(found.leaf.value)}",
        findings=(
            Finding(rule=found.rule, path=named(found.leaf.path), seen=shown(found.leaf.value)),
        ),
    )


def _category(found: EmptyResult) -> FailureCategory:
    if found.rule in (BOT_WALL, LOGIN_WALL):
        return FailureCategory.BLOCKED
    return FailureCategory.GOAL_FAILURE


def _api_failure(schema_errors: Sequence[str] | None) -> Failed | None:
    if not schema_errors:
        return None
    first = islice(schema_errors, MAX_FINDINGS)
    return Failed(
        category=FailureCategory.INVALID_RESULT,
        message="; ".join(schema_errors),
        findings=tuple(Finding(rule=REPORTED_SHAPE, path=".", seen=shown(one)) for one in first),
    )


def _breach_failure(value: Any, expectations: Expectations) -> Failed | None:
    found = tuple(islice(_breaches(value, expectations), MAX_FINDINGS))
    if not found:
        return None
    sentences = [f"{one.path} is {one.seen}, not {one.wanted}" for one in found]
    return Failed(
        category=FailureCategory.INVALID_RESULT,
        code=found[0].rule,
        message="; ".join(sentences),
        findings=found,
    )


def _breaches(value: Any, expectations: Expectations) -> Iterator[Finding]:
    if expectations.schema is not None:
        yield from output_schema_check.schema_breaches(value, expectations.schema)
    yield from expectation_check.expectation_breaches(value, expectations.field_rules)
