"""What a job expects of single fields, and how a result breaks that."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from batchrunner.judge.field_paths import MISSING, find
from batchrunner.judge.regex_safety import max_text_length
from batchrunner.judge.result_values import named, shown
from batchrunner.model import FieldRule, Finding

EXPECT = "expect"

_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?")


def field_rules_of(expect: Mapping[str, Any]) -> tuple[FieldRule, ...]:
    """Return what the `expect` of a job file asks of single fields."""
    required = [FieldRule(path=path, required=True) for path in expect.get("required", ())]
    fields = [FieldRule(path=path, **bounds) for path, bounds in expect.get("fields", {}).items()]
    return (*required, *fields)


def expectation_breaches(value: Any, demands: tuple[FieldRule, ...]) -> Iterator[Finding]:
    """Give what in a result is not what was expected."""
    for demand in demands:
        for found in find(value, demand.path):
            wanted = _broken(found.value, demand)
            if wanted:
                seen = "nothing" if found.value is MISSING else shown(found.value)
                yield Finding(rule=EXPECT, path=named(found.path), seen=seen, wanted=wanted)


def _broken(value: Any, demand: FieldRule) -> str | None:
    """Say what the value was to be, if it is not that."""
    for check in _CHECKS:
        if wanted := check(value, demand):
            return wanted
    return None


def _is_nothing(value: Any) -> bool:
    return value is MISSING or value is None or value in ("", [], {})


def _required(value: Any, demand: FieldRule) -> str | None:
    blank = isinstance(value, str) and not value.strip()
    return "something" if demand.required and (blank or _is_nothing(value)) else None


def _counted(value: Any, demand: FieldRule) -> str | None:
    least, most = demand.at_least, demand.at_most
    if least is None and most is None:
        return None
    if not isinstance(value, list) and not _is_nothing(value):
        return "a list"
    count = len(value) if isinstance(value, list) else 0
    if least is not None and count < least:
        return f"at least {least} entries"
    return f"at most {most} entries" if most is not None and count > most else None


def _in_range(value: Any, demand: FieldRule) -> str | None:
    if (demand.minimum is None and demand.maximum is None) or _is_nothing(value):
        return None
    number = _number(value)
    if number is None:
        return "a number"
    if demand.minimum is not None and not number >= demand.minimum:
        return f"at least {demand.minimum:g}"
    if demand.maximum is not None and not number <= demand.maximum:
        return f"at most {demand.maximum:g}"
    return None


def _number(value: Any) -> int | float | None:
    """Return the number that a value is, or spells in digits: agents often write `"12.50"`."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _matches(value: Any, demand: FieldRule) -> str | None:
    if demand.pattern is None or _is_nothing(value):
        return None
    if isinstance(value, list | dict):
        return f"text like {demand.pattern}"
    text = value if isinstance(value, str) else _text(value)
    if len(text) > max_text_length(demand.pattern):
        return None  # that could take long: what cannot be judged is no failure
    return None if _compiled(demand.pattern).fullmatch(text) else f"text like {demand.pattern}"


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
)
