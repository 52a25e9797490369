"""Turns submissions into requests, and the runs found for them back into attempts; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from batchrunner.model import (
    OpenAttempt,
    Run,
    Submission,
    SubmittedAttempt,
    marker,
    marker_in,
    marker_prefix,
)

_BEGINNING = datetime.min.replace(tzinfo=UTC)


def run_request(
    submission: Submission, ride: SubmittedAttempt, webhook_url: str | None = None
) -> dict[str, Any]:
    """
    Return the run that a ride asks for, without its output_schema: that one is shared.

    *webhook_url* is told of its end where the ride names no other.
    """
    goal = ride.goal
    if submission.marked:
        goal = f"{goal}\n\n{marker(submission.marker_token, ride.batch_index)}"
    options = {name: value for name, value in ride.options.items() if name != "output_schema"}
    hook = {} if webhook_url is None else {"webhook_url": webhook_url}
    return {"url": ride.url, "goal": goal, **hook, **options}


def output_schema_of(submission: Submission) -> dict[str, Any] | None:
    """Return the output_schema that all rides of a submission share."""
    schema: dict[str, Any] | None = submission.attempts[0].options.get("output_schema")
    return schema


def mismatched_runs(seen: Iterable[tuple[OpenAttempt, Run]]) -> dict[int, dict[int, str]]:
    """
    Return the submissions whose answer put run ids in another order than its runs.

    By submission id: which of the runs seen belongs to which of its attempts, by attempt id.
    """
    pairs = [(attempt, run, marker_in(run.goal)) for attempt, run in seen if attempt.marker]
    wrong = {a.submission_id for a, _, echoed in pairs if echoed and echoed != a.marker}
    found: dict[int, dict[int, str]] = {submission_id: {} for submission_id in wrong}
    owners = {a.marker: a for a, _, _ in pairs if a.submission_id in wrong}
    for _, run, echoed in pairs:
        owner = owners.get(echoed)
        if owner is not None:
            found[owner.submission_id][owner.attempt_id] = run.run_id
    return found


def match_runs(submission: Submission, runs: Iterable[Run]) -> tuple[dict[int, str], set[str]]:
    """
    Return which of *runs* belongs to which of the submission's attempts, and whose are none's.

    By attempt id; told by the marker that the API echoes in the goal, never by order. Of two runs
    with one marker the older is taken: somebody on the way sent the request twice.
    """
    pattern = _pattern(submission)
    by_place = {ride.batch_index: ride.attempt_id for ride in submission.attempts}
    matched: dict[int, str] = {}
    spare: set[str] = set()
    for run in sorted(runs, key=lambda run: run.created_at or _BEGINNING):
        found = pattern.search(run.goal or "")
        attempt_id = by_place.get(int(found.group(1))) if found else None
        if attempt_id is not None and matched.setdefault(attempt_id, run.run_id) != run.run_id:
            spare.add(run.run_id)
    return matched, spare


def belongs_to(submission: Submission, goal: str | None) -> bool:
    """Whether a goal that the API shows carries a marker of the submission's."""
    return _pattern(submission).search(goal or "") is not None


def may_belong_to(submission: Submission, goal: str | None) -> bool:
    """
    Whether a run may be one of the submission's although the goal that is shown does not tell.

    A goal may be left out, or cut before its marker ends. Any other goal is somebody else's: a
    search may list runs that it was not asked for.
    """
    if belongs_to(submission, goal):
        return False
    shown = _plain(goal or "").rstrip(".\u2026 ")
    if marker_prefix(submission.marker_token) in shown:
        return True
    asked = (run_request(submission, ride)["goal"] for ride in submission.attempts)
    return any(_plain(sent).startswith(shown) for sent in asked)


def _pattern(submission: Submission) -> re.Pattern[str]:
    # With the bracket that closes it: of a number that was cut a part would be another one.
    return re.compile(re.escape(marker_prefix(submission.marker_token)) + r"([0-9]{1,9})\]")


def _plain(goal: str) -> str:
    """Return a goal without what a server may do to it on its way into a list."""
    return " ".join(goal.casefold().split())
