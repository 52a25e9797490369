"""The fixed columns of every export, and the value of a finished job in each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from batchrunner.model import FinishedJob, ProfileHint


def instant(at: datetime | None) -> str | None:
    """Return an instant as exports write it as text: in UTC, to the millisecond."""
    # The same width for all: pandas guesses a column's format from its first row.
    if at is None:
        return None
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="milliseconds")[:-6] + "Z"  # in place of +00:00


def _changes(changes: Mapping[str, Any]) -> str | None:
    if not changes:
        return None
    # Few exports have any, and the module imports much of the model.
    from batchrunner.policy.escalation import showable_overrides  # noqa: PLC0415

    return json.dumps(showable_overrides(changes))


def _hint(hint: ProfileHint | None) -> str | None:
    return json.dumps(asdict(hint)) if hint else None


def set_aside_note(job: FinishedJob) -> str:
    """Return what an export shows in place of a result that is too large to be parsed."""
    size = len(job.result or "") / 1e6
    return (
        f"set aside: this result has {size:.1f} MB and is kept as it came; "
        f"`batchrunner result --job {shlex.quote(job.key)}` prints it"
    )


#: Name of a column → its value; the order must stay, as programs read exports.
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
    "started_at": lambda job: instant(job.started_at),
    "finished_at": lambda job: instant(job.finished_at),
    "changes": lambda job: _changes(job.option_overrides),
    "cost": attrgetter("cost"),
    "verdict": attrgetter("verdict"),
    "verdict_rule": lambda job: job.finding.rule if job.finding else None,
    "verdict_path": lambda job: job.finding.path if job.finding else None,
    "verdict_seen": lambda job: job.finding.seen if job.finding else None,
}
#: The column after these.
RESULT = "result"
#: The column after that, if any job has artifacts: a list of their paths.
ARTIFACTS = "artifacts"
#: The columns after that, each only if any job has something in it: what the API said of its run,
#: and how much of its result is in the pages of the run.
ADVICE: Mapping[str, Callable[[FinishedJob], str | None]] = {
    "help_url": lambda job: job.help.url if job.help else None,
    "help_message": lambda job: job.help.message if job.help else None,
    "profile_hint": lambda job: _hint(job.help.profile_hint) if job.help else None,
    "run_error": attrgetter("run_error"),
    "grounding": attrgetter("grounding"),
}
#: The fixed columns that tell why a job failed.
FAILURE_COLUMNS = ("id", "url", "goal", "category", "code", "message", "attempts", "run_id")
