"""Turns submissions into requests, and the runs found for them back into attempts; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from batchrunner.model import Ride, Run, Submission, marker, marker_prefix

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def request_of(submission: Submission, ride: Ride) -> dict[str, Any]:
    """Return the run that a ride asks for, without its output_schema: that one is shared."""
    goal = ride.goal
    if submission.marked:
        goal = f"{goal}\n\n{marker(submission.token, ride.place)}"
    options = {name: value for name, value in ride.options.items() if name != "output_schema"}
    return {"url": ride.url, "goal": goal, **options}


def output_schema_of(submission: Submission) -> dict[str, Any] | None:
    """Return the output_schema that all rides of a submission share."""
    schema: dict[str, Any] | None = submission.rides[0].options.get("output_schema")
    return schema


def match(submission: Submission, runs: Iterable[Run]) -> dict[int, str]:
    """
    Return which of *runs* belongs to which of the submission's attempts, by attempt id.

    Told by the marker that the API echoes in the goal, never by order. Of two runs with one marker
    the older is taken.
    """
    pattern = re.compile(re.escape(marker_prefix(submission.token)) + r"([0-9]{1,9})(?![0-9])")
    by_place = {ride.place: ride.attempt_id for ride in submission.rides}
    matched: dict[int, str] = {}
    for run in sorted(runs, key=lambda run: run.created_at or _BEGINNING):
        found = pattern.search(run.goal or "")
        attempt_id = by_place.get(int(found.group(1))) if found else None
        if attempt_id is not None:
            matched.setdefault(attempt_id, run.run_id)
    return matched
