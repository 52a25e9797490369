"""Goal failures as the API documents them: status `failure`, an error, or no result."""

from __future__ import annotations

import json
from typing import Any

from batchrunner.judge.answer import WRAPPERS, holds_no_text
from batchrunner.judge.text_rules import is_about_a_wall
from batchrunner.judge.value_kinds import says_nothing
from batchrunner.model import Failed, FailureCategory

#: Characters of a reason that is no text.
MAX_REASON_LENGTH = 20_000
_REPORT = ("status", "error", "reason", "message", "code", "details", "success", "retryable")


def failing_field(value: Any) -> str | None:
    """Return the field by which a result reports its failure; None if it reports none."""
    if not isinstance(value, dict):
        return None
    status = value.get("status")
    if isinstance(status, str) and status.strip().lower() == "failure":
        return "status"
    return "error" if _says_something(value.get("error")) else None


def _says_something(error: Any) -> bool:
    if isinstance(error, str):
        return bool(error.strip()) and not says_nothing(error)
    if isinstance(error, dict):
        return any(_says_something(part) for part in error.values())
    if isinstance(error, list):
        return any(_says_something(part) for part in error)
    return bool(error)


def holds_more(value: dict[str, Any]) -> bool:
    """Say whether a result holds something beside the fields that report its failure."""
    return any(
        part not in (None, "", [], {}) for name, part in value.items() if name not in _REPORT
    )


def is_nothing_at_all(value: Any, named: frozenset[str] = frozenset()) -> bool:
    """Say whether a result is null or blank, also in a wrapper's sole field or a fenced block."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, value),) = value.items()
        if name in named or name.lower() not in WRAPPERS:
            return False
    return value is None or (isinstance(value, str) and holds_no_text(value))


def reported_failure(value: dict[str, Any]) -> Failed:
    """Return the failure that a result reports, in its own words."""
    reason = next(
        (text for name in ("reason", "error") if (text := _text(value.get(name)))),
        "Goal not achieved",
    )
    category = FailureCategory.BLOCKED if is_about_a_wall(reason) else FailureCategory.GOAL_FAILURE
    return Failed(category=category, message=reason)


def _text(value: Any) -> str:
    """Return a reason as text; *value* may be anything that an agent wrote."""
    if value is None or value is True or value is False:
        return ""
    try:
        text = value if isinstance(value, str) else _start_of_json(value)
    except (RecursionError, ValueError):
        return ""
    # Neither database stores NUL or a lone surrogate.
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _start_of_json(value: Any) -> str:
    """Return a value as JSON, up to a length: an agent may give a large value as its reason."""
    parts, length = [], 0
    for part in json.JSONEncoder().iterencode(value):
        parts.append(part)
        length += len(part)
        if length > MAX_REASON_LENGTH:
            break
    return "".join(parts)
