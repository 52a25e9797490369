"""The verdict on a result: what is certain makes it bad, and what looks wrong makes it suspect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from batchrunner.judge import expectation_check, output_schema_check
from batchrunner.judge.answer import Answer, read_answer
from batchrunner.judge.expectation_check import field_rules_of
from batchrunner.judge.field_paths import first_field
from batchrunner.judge.goal import Goal, goal_of
from batchrunner.judge.reported_failure import (
    failing_field,
    holds_more,
    is_nothing_at_all,
    reported_failure,
)
from batchrunner.judge.result_values import TooLarge, named, shown
from batchrunner.judge.rules import EMPTY, GENERAL_RULES, REPORTED, TOO_LARGE
from batchrunner.judge.suspicion import Suspicion, suspicion_about
from batchrunner.model import Expectations, Failed, FailureCategory, Finding, Judgement, Verdict

#: Rule for results that break their schema according to the API.
REPORTED_SHAPE = "schema_validation"
#: Most findings that are kept of one result.
MAX_FINDINGS = 3
#: A longer result, or one with more signs of JSON, is not judged: reading it takes too long.
MAX_JUDGED_LENGTH = 2_000_000
MAX_JUDGED_SIGNS = 60_000

_NOTHING_EXPECTED = Expectations()
_GOOD = Judgement(verdict=Verdict.GOOD)
_INDEX = re.compile(r"\[\d+\]")


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
    Say whether a result is what the job asked for: good, suspect or bad, and why.

    Bad is only what is certain, because another run costs money. *schema_errors* are the schema
    errors that the API reported.
    """
    goal = goal_of(expectations.goal, _named_fields(expectations))
    answer = (
        None
        if result is None or _is_long(result, expectations)
        else read_answer(result, goal.fields)
    )
    if result is not None and (answer is None or answer.set_aside):
        return _by_api(schema_errors) or _too_large(result, expectations)
    value = answer.value if answer else None
    answer = answer or Answer(None)
    return (
        _nothing_at_all(value, result, expectations, goal)
        or _reported(answer, expectations, goal)
        or _judged(answer, expectations, goal, schema_errors)
    )


def _named_fields(expectations: Expectations) -> frozenset[str]:
    """Return the fields of the result that the job's schema and its `expect` name."""
    schema = expectations.schema or {}
    parts, required = schema.get("properties"), schema.get("required")
    names = {first_field(rule.path) for rule in expectations.field_rules}
    names |= set(parts) if isinstance(parts, Mapping) else set()
    names |= (
        {each for each in required if isinstance(each, str)}
        if isinstance(required, list)
        else set()
    )
    return frozenset(names)


def _is_long(result: str, expectations: Expectations) -> bool:
    """Say whether a result would take longer than some tens of milliseconds to judge."""
    checks = 2 + (expectations.schema is not None) * 4 + len(expectations.field_rules)
    most = 2 * MAX_JUDGED_SIGNS // checks
    if len(result) <= most:
        return False
    signs = sum(result.count(sign) for sign in ",{[\\") if len(result) <= MAX_JUDGED_LENGTH else 0
    return len(result) > MAX_JUDGED_LENGTH or signs > most


def _too_large(result: str, expectations: Expectations) -> Judgement:
    seen = f"{len(result):,} characters"
    return _suspect([Finding(rule=TOO_LARGE, path=".", seen=seen)], expectations)


# ---- what is certain ----


def _nothing_at_all(
    value: Any, result: str | None, expectations: Expectations, goal: Goal
) -> Judgement | None:
    """Judge a result that is null or blank."""
    if EMPTY in expectations.allow or not is_nothing_at_all(value, goal.fields):
        return None
    if goal.allows_null:
        return _GOOD
    findings = [Finding(rule=EMPTY, path=".", seen=shown(value))]
    is_word = result is not None and result.strip() == '"null"'
    if goal.says_what_if_nothing or is_word:
        return _suspect(findings, expectations)
    message = "The run completed without a result"
    return _bad(Failed(category=FailureCategory.GOAL_FAILURE, message=message), findings)


def _reported(answer: Answer, expectations: Expectations, goal: Goal) -> Judgement | None:
    """Judge a result that reports a failure as the API documents it."""
    field = failing_field(answer.value)
    if field is None or REPORTED in expectations.allow:
        return None
    # An error that the goal asks to copy may have a status, too.
    is_asked = goal.requests(field) or goal_of(expectations.goal).requests("error")
    is_all = is_asked and goal.requests_only_if({field, "error"}) and not holds_more(answer.value)
    if is_asked and not is_all:
        return None
    key = next((key for key in ("reason", "error") if answer.value.get(key)), field)
    finding = Finding(rule=REPORTED, path=answer.path_of(key), seen=shown(answer.value.get(key)))
    if is_asked or goal.mentions(field):  # it may be data
        return _suspect([finding], expectations)
    return _bad(reported_failure(answer.value), [finding])


def _judged(
    answer: Answer,
    expectations: Expectations,
    goal: Goal,
    schema_errors: Sequence[str] | None,
) -> Judgement:
    suspicion = _suspicion(answer, goal, expectations.allow)
    findings = list(_findings(suspicion, answer)) if suspicion else []
    if suspicion and suspicion.is_wall and _not_accepted(findings, expectations):
        rule = findings[0].rule
        message = f"{GENERAL_RULES[rule]}: {findings[0].seen}"
        return _bad(Failed(category=FailureCategory.BLOCKED, code=rule, message=message), findings)
    return (
        _by_api(schema_errors)
        or _by_breaches(answer, expectations)
        or _suspect(findings, expectations)
    )


def _by_api(schema_errors: Sequence[str] | None) -> Judgement | None:
    if not schema_errors:
        return None
    findings = [Finding(rule=REPORTED_SHAPE, path=".", seen=shown(one)) for one in schema_errors]
    message = "; ".join(schema_errors)
    return _bad(Failed(category=FailureCategory.INVALID_RESULT, message=message), findings)


def _by_breaches(answer: Answer, expectations: Expectations) -> Judgement | None:
    found = list(islice(_breaches(answer, expectations), MAX_FINDINGS)) if answer.is_json else []
    if not found:
        return None
    message = "; ".join(one.sentence for one in found)
    return _bad(
        Failed(category=FailureCategory.INVALID_RESULT, code=found[0].rule, message=message), found
    )


def _breaches(answer: Answer, expectations: Expectations) -> Iterator[Finding]:
    value, rules = answer.value, expectations.field_rules
    found = [expectation_check.expectation_breaches(value, rules)]
    if expectations.schema is not None:
        found.insert(0, output_schema_check.schema_breaches(value, expectations.schema))
    for each in chain.from_iterable(found):
        yield replace(each, path=answer.path_of(each.path))


def _bad(failure: Failed, findings: Sequence[Finding]) -> Judgement:
    kept = tuple(findings[:MAX_FINDINGS])
    failed = Failed(
        category=failure.category, message=failure.message, code=failure.code, findings=kept
    )
    return Judgement(verdict=Verdict.BAD, findings=kept, failure=failed)


# ---- what looks wrong ----


def _suspicion(answer: Answer, goal: Goal, allow: frozenset[str]) -> Suspicion | None:
    try:
        return suspicion_about(answer.value, goal, allow)
    except TooLarge:
        return None


def _findings(suspicion: Suspicion, answer: Answer) -> Iterator[Finding]:
    for each in islice(suspicion.values, MAX_FINDINGS):
        path = named(answer.path_of(each.leaf.path))
        yield Finding(rule=each.rule, path=path, seen=shown(each.leaf.value))


def _suspect(findings: Iterable[Finding], expectations: Expectations) -> Judgement:
    left = _not_accepted(findings, expectations)
    return Judgement(verdict=Verdict.SUSPECT, findings=tuple(left)) if left else _GOOD


def _not_accepted(findings: Iterable[Finding], expectations: Expectations) -> list[Finding]:
    """Return the findings that no rule of the job allows and no person accepted."""
    accepted = {(rule, _INDEX.sub("[]", path)) for rule, path in expectations.accepted}
    return [
        each
        for each in findings
        if each.rule not in expectations.allow
        and (each.rule, _INDEX.sub("[]", each.path)) not in accepted
    ]
