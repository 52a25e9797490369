"""Goal failures as the API documents them: status `failure`, an error, or no result."""

from __future__ import annotations

import json
from typing import Any

from batchrunner.judge.result_values import shown
from batchrunner.judge.wall_text import is_about_a_wall
from batchrunner.model import Failed, FailureCategory, Finding

#: Characters of a reason that is no text.
MAX_REASON_LENGTH = 20_000

NO_RESULT = Failed(
    category=FailureCategory.GOAL_FAILURE, message="The run completed without a result"
)


def reported_failure(value: Any) -> Failed | None:
    """Return the failure that a result reports, in its own words; None if it reports none."""
    if not isinstance(value, dict):
        return None
    status = value.get("status")
    says_failure = isinstance(status, str) and status.lower() == "failure"
    if not says_failure and not value.get("error"):
        return None
    key = "reason" if _text(value.get("reason")) else "error" if value.get("error") else "status"
    reason = (_text(value.get(key)) if key != "status" else "") or "Goal not achieved"
    category = FailureCategory.BLOCKED if is_about_a_wall(reason) else FailureCategory.GOAL_FAILURE
    finding = Finding(rule="reported", path=key, seen=shown(value.get(key)))
    return Failed(category=category, message=reason, findings=(finding,))


def _text(value: Any) -> str:
    """Return a reason as text; *value* may be anything that an agent wrote."""
    if value is None or value is True:
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
