"""Turns submissions into create requests, and matches runs to attempts by marker; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from batchrunner.model import (
    OpenAttempt,
    Run,
    Submission,
    SubmittedAttempt,
    marked_goal,
    marker_in,
    marker_prefix,
)
from batchrunner.model.markers import markers_in
from batchrunner.policy.grounding_sample import with_html

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def run_request(attempt: SubmittedAttempt, webhook_url: str | None = None) -> dict[str, Any]:
    """
    Return the run to request for an attempt, without the output_schema, which a request shares.

    The API reports the run's end to *webhook_url* unless the attempt names another address.
    """
    goal = marked_goal(attempt.goal, attempt.marker)
    given = with_html(attempt.options) if attempt.grounded else attempt.options
    options = {name: value for name, value in given.items() if name != "output_schema"}
    webhook = {} if webhook_url is None else {"webhook_url": webhook_url}
    return {"url": attempt.url, "goal": goal, **webhook, **options}


def output_schema_of(submission: Submission) -> dict[str, Any] | None:
    """Return the output_schema that all attempts of a submission share."""
    schema: dict[str, Any] | None = submission.attempts[0].options.get("output_schema")
    return schema


def mismatched_runs(observed: Iterable[tuple[OpenAttempt, Run]]) -> dict[int, dict[int, str]]:
    """
    Return the submissions whose answer named the run ids in another order than their runs.

    By submission id: the run id that belongs to each attempt, by attempt id.
    """
    pairs = [(attempt, run, marker_in(run.goal)) for attempt, run in observed if attempt.marker]
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
    Return the run id of each of the submission's attempts, and the submission's spare runs.

    Runs are matched by the marker that the API echoes in the goal, never by order. If two runs
    have the same marker, something between us and the API sent the request twice: the older run
    is matched, and the other one is spare.
    """
    by_marker = {each.marker: each.attempt_id for each in submission.attempts if each.marker}
    matched: dict[int, str] = {}
    spare: set[str] = set()
    for run in sorted(runs, key=lambda run: run.created_at or _EARLIEST):
        found = [each.text for each in markers_in(run.goal) if each.text in by_marker]
        attempt_id = by_marker[found[-1]] if found else None
        if attempt_id is not None and matched.setdefault(attempt_id, run.run_id) != run.run_id:
            spare.add(run.run_id)
    return matched, spare


def belongs_to(submission: Submission, goal: str | None) -> bool:
    """Return whether a goal that the API shows has a marker of the submission."""
    return submission.marker_token in {each.token for each in markers_in(goal)}


def may_belong_to(submission: Submission, goal: str | None) -> bool:
    """
    Return whether a run may be the submission's although its goal does not show a whole marker.

    The API may leave a goal out, or cut it before the marker ends. Any other goal belongs to
    another run: a search may list runs that do not match.
    """
    if belongs_to(submission, goal):
        return False
    shown = _plain(goal or "").rstrip(".\u2026 ")
    if marker_prefix(submission.marker_token) in shown:
        return True
    sent = (marked_goal(each.goal, each.marker) for each in submission.attempts)
    return any(_plain(text).startswith(shown) for text in sent)


def _plain(goal: str) -> str:
    """Return a goal in a form that does not depend on changes of case and white space."""
    return " ".join(goal.casefold().split())
