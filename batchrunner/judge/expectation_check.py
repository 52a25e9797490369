"""What a job expects of single fields, and where a result does not meet it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from batchrunner.judge.field_paths import MISSING, find
from batchrunner.judge.regex_safety import MAX_MATCHED_LENGTH, match_steps, max_text_length
from batchrunner.judge.result_values import named, shown
from batchrunner.model import FieldRule, Finding

EXPECT = "expect"
#: Longest value that is compared with values that a field must not be, in characters.
MAX_COMPARED_LENGTH = 1_000
#: Steps of all matches in one result: some tens of milliseconds.
MAX_PATTERN_STEPS = 1_500_000

_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?")


def field_rules_of(expect: Mapping[str, Any]) -> tuple[FieldRule, ...]:
    """Return the rules for single fields in the `expect` of a job file."""
    required = [FieldRule(path=path, required=True) for path in expect.get("required", ())]
    fields = [_field_rule(path, bounds) for path, bounds in expect.get("fields", {}).items()]
    return (*required, *fields)


def _field_rule(path: str, bounds: Mapping[str, Any]) -> FieldRule:
    limits = {name: value for name, value in bounds.items() if name != "not"}
    return FieldRule(path=path, forbidden=tuple(bounds.get("not", ())), **limits)


def expectation_breaches(value: Any, rules: tuple[FieldRule, ...]) -> Iterator[Finding]:
    """
    Give what in a result is not as expected.

    Values are no longer matched against patterns once that has taken MAX_PATTERN_STEPS.
    """
    steps = 0
    for rule in rules:
        for found in find(value, rule.path):
            if rule.pattern is not None and isinstance(found.value, str):
                length = min(len(found.value), MAX_MATCHED_LENGTH)
                steps += match_steps(rule.pattern, length)
                if steps > MAX_PATTERN_STEPS:
                    rule = replace(rule, pattern=None)
            wanted = _broken(found.value, rule)
            if wanted:
                seen = "nothing" if found.value is MISSING else shown(found.value)
                yield Finding(rule=EXPECT, path=named(found.path), seen=seen, wanted=wanted)


def _broken(value: Any, rule: FieldRule) -> str | None:
    """Say what the value should have been; None if it is that."""
    for check in _CHECKS:
        if wanted := check(value, rule):
            return wanted
    return None


def _is_nothing(value: Any) -> bool:
    return value is MISSING or value is None or value in ("", [], {})


def is_blank(value: Any) -> bool:
    """Whether a value is missing, null, empty or white space: what `required` does not accept."""
    return _is_nothing(value) or (isinstance(value, str) and not value.strip())


def _required(value: Any, rule: FieldRule) -> str | None:
    return "something" if rule.required and is_blank(value) else None


def _counted(value: Any, rule: FieldRule) -> str | None:
    least, most = rule.at_least, rule.at_most
    if least is None and most is None:
        return None
    if not isinstance(value, list) and not _is_nothing(value):
        return "a list"
    count = len(value) if isinstance(value, list) else 0
    if least is not None and count < least:
        return f"at least {least} entries"
    return f"at most {most} entries" if most is not None and count > most else None


def _in_range(value: Any, rule: FieldRule) -> str | None:
    if (rule.minimum is None and rule.maximum is None) or _is_nothing(value):
        return None
    number = _number(value)
    if number is None:
        return "a number"
    if rule.minimum is not None and not number >= rule.minimum:
        return f"at least {rule.minimum:g}"
    if rule.maximum is not None and not number <= rule.maximum:
        return f"at most {rule.maximum:g}"
    return None


def _number(value: Any) -> int | float | None:
    """Return the number in a value; agents often write numbers as text, such as `"12.50"`."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _matches(value: Any, rule: FieldRule) -> str | None:
    if rule.pattern is None or _is_nothing(value):
        return None
    if isinstance(value, list | dict):
        return f"text like {rule.pattern}"
    text = value if isinstance(value, str) else _text(value)
    if len(text) > max_text_length(rule.pattern):
        return None  # matching could take long, and what cannot be judged is no failure
    return None if _compiled(rule.pattern).fullmatch(text) else f"text like {rule.pattern}"


def _allowed(value: Any, rule: FieldRule) -> str | None:
    if not rule.forbidden or isinstance(value, list | dict) or _is_nothing(value):
        return None
    is_forbidden = same_text(value) in {same_text(text) for text in rule.forbidden}
    return "another value" if is_forbidden else None


def same_text(value: Any) -> str | float:
    """Return what values of the same meaning share: in any case, with any spaces, 1 and 1.0."""
    number = _number(value)
    if number is not None and abs(number) < 2**53:
        return float(number)
    text = value if isinstance(value, str) else _text(value)
    return " ".join(text[:MAX_COMPARED_LENGTH].split()).casefold()


def _text(value: Any) -> str:
    try:
        return json.dumps(value)
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


_CHECKS: tuple[Callable[[Any, FieldRule], str | None], ...] = (
    _required,
    _counted,
    _in_range,
    _matches,
    _allowed,
)
