"""The columns that every export begins with, and what a finished job has in each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from batchrunner.model import FinishedJob
from batchrunner.policy.escalation import changes_text

#: Finished jobs in file order, anew at each call.
Jobs = Callable[[], Iterable[FinishedJob]]


def _instant(at: datetime | None) -> str | None:
    # One width for all: pandas guesses a column's format from its first row.
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _changes(changes: Mapping[str, Any]) -> str | None:
    return json.dumps(changes_text(changes)) if changes else None


#: Name of a column → what stands there; the order is a promise to those who read exports.
FIELDS: Mapping[str, Callable[[FinishedJob], str | int | None]] = {
    "id": attrgetter("key"),
    "url": attrgetter("url"),
    "goal": attrgetter("goal"),
    "state": attrgetter("state"),
    "category": attrgetter("category"),
    "code": attrgetter("code"),
    "message": attrgetter("message"),
    "attempts": attrgetter("attempts"),
    "steps": attrgetter("steps"),
    "run_id": attrgetter("run_id"),
    "started_at": lambda job: _instant(job.started_at),
    "finished_at": lambda job: _instant(job.finished_at),
    "changes": lambda job: _changes(job.option_overrides),
    "cost": attrgetter("cost"),
}
#: The column that follows them.
RESULT = "result"
#: The column after it, where any job has artifacts: their paths, as a list.
ARTIFACTS = "artifacts"
