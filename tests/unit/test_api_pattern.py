"""The API page's own pattern for a run, beside ours, case by case: docs/api-pattern.md says why."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from batchrunner.classify import classify
from batchrunner.model import (
    Expectations,
    Failed,
    FailureCategory,
    Finish,
    Job,
    Retry,
    Succeeded,
    Transition,
)
from batchrunner.policy.retry import backoff, decide
from batchrunner.policy.retry_rules import Policy
from batchrunner.tinyfish.parse import read_run

PAGE = Path(__file__).parents[2] / "docs" / "api-pattern.md"
NOW = datetime(2026, 12, 1, 2, tzinfo=UTC)
POLICY = Policy(max_attempts=3, backoff=timedelta(seconds=15))
SCHEMA = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}


def page_pattern(run: dict[str, Any]) -> dict[str, Any]:
    """Handle a run as `handleRunResult` of the API's page does, line by line."""
    status, result = run.get("status"), run.get("result")
    if status == "COMPLETED":
        if not result and not isinstance(result, dict | list):  # what JavaScript calls falsy
            return {"success": False, "error": "No result returned"}
        fields = result if isinstance(result, dict) else {}
        if fields.get("status") == "failure" or fields.get("error"):
            reason = fields.get("reason") or fields.get("error") or "Goal not achieved"
            return {"success": False, "error": reason}
        return {"success": True, "data": result}
    if status == "FAILED":
        error = (run.get("error") or {}).get("message") or "Automation failed"
        return {"success": False, "error": error, "retryable": True}
    if status == "CANCELLED":
        return {"success": False, "error": "Run was cancelled"}
    return {"success": False, "error": f"Unexpected status: {status}"}


class Case(NamedTuple):
    """A run, what was asked, and what follows for its job."""

    run: dict[str, Any]
    goal: str = "Read the name and the price"
    schema: dict[str, Any] | None = None
    cancel_reason: FailureCategory | None = None
    ends: bool | None = True  #: whether the job is final; None: nothing follows


def done(result: Any, goal: str = Case(run={}).goal, **more: Any) -> Case:
    return Case(run={"status": "COMPLETED", "result": result, "error": None, **more}, goal=goal)


def broken(**error: Any) -> dict[str, Any]:
    return {"status": "FAILED", "result": None, "error": {"message": "It broke", **error}}


WALL = "Please verify you are human. Complete the captcha to continue."
LAMP = {"name": "Lamp", "price": 18.5}
FAILURE = {"status": "failure", "reason": "Could not find any products on the page"}
CASES: dict[str, Case] = {
    "an object with data": done(LAMP),
    "text with an answer": done("The lamp costs $18.50"),
    "`result` is null": done(None)._replace(ends=False),
    "a blank text": done("")._replace(ends=False),
    "`0` or `false` for a goal that asks how many or whether": done(
        0, "How many lamps are in stock?"
    ),
    "`status` is `failure`": done(FAILURE)._replace(ends=False),
    "`status` is `failure` one level down": done({"result": FAILURE})._replace(ends=False),
    "`status` is `failure`, in JSON as text": done(json.dumps(FAILURE))._replace(ends=False),
    "`error` says something": done({"error": "The page did not load"})._replace(ends=False),
    "`error` says something beside an answer": done({**LAMP, "error": "No image"})._replace(
        ends=False
    ),
    "`error` is `none`": done({**LAMP, "error": "none"}),
    "`error` is asked for by the goal": done(
        {"code": 404, "error": "Not Found"}, "Read the code and the error of the first row"
    ),
    "`status` is asked for by the goal": done(
        {"build": 7, "status": "failure"}, "Return the build number and the status of the build"
    ),
    "`[]` or `{}`": done([]),
    "`[]` for a goal that asks for an empty list if there is nothing": done(
        [], "List all reviews. If there are none, give an empty list."
    ),
    "a captcha is the whole answer": done(WALL)._replace(ends=False),
    "the result breaks `output_schema`": done({"price": "cheap"})._replace(
        schema=SCHEMA, ends=False
    ),
    "an `error` of the run beside its result": done(LAMP, error={"message": "Recording lost"}),
    "FAILED, SYSTEM_FAILURE with `retry_after`": Case(
        run=broken(category="SYSTEM_FAILURE", retry_after=600), ends=False
    ),
    "FAILED, SYSTEM_FAILURE with `retry_after: null`": Case(
        run=broken(category="SYSTEM_FAILURE", retry_after=None), ends=False
    ),
    "FAILED, SYSTEM_FAILURE without `retry_after`": Case(
        run=broken(category="SYSTEM_FAILURE"), ends=False
    ),
    "FAILED, AGENT_FAILURE": Case(run=broken(category="AGENT_FAILURE")),
    "FAILED, BILLING_FAILURE": Case(run=broken(category="BILLING_FAILURE"), ends=False),
    "FAILED, UNKNOWN or another category": Case(run=broken(category="MOON_PHASE"), ends=False),
    "FAILED without an `error`": Case(run={"status": "FAILED", "error": None}, ends=False),
    "FAILED with a result": Case(run={**broken(), "result": LAMP}, ends=False),
    "CANCELLED by somebody else": Case(run={"status": "CANCELLED"}),
    "CANCELLED by this program, over its time limit": Case(
        run={"status": "CANCELLED"}, cancel_reason=FailureCategory.TIMED_OUT, ends=False
    ),
    "PENDING or RUNNING": Case(run={"status": "RUNNING"}, ends=None),
    "a status in another spelling": done(LAMP, status="completed"),
    "an unknown status, with `finished_at` and a result": done(
        LAMP, status="EXPIRED", finished_at="2026-12-01T01:00:00Z"
    ),
    "an unknown status, with `finished_at`, without a result": Case(
        run={"status": "EXPIRED", "finished_at": "2026-12-01T01:00:00Z"}, ends=False
    ),
}


def our_pattern(case: Case, job: Job) -> tuple[str, Transition | None]:
    """Return the verdict or the category of a case, and what happens to its job."""
    run = read_run(json.dumps({"run_id": "r", **case.run}))
    assert run is not None
    expectations = Expectations(goal=case.goal, schema=case.schema)
    outcome = classify(run, cancel_reason=case.cancel_reason, expectations=expectations)
    if outcome is None:
        return "nothing yet", None
    transition = decide(POLICY, job, outcome, NOW)
    if isinstance(outcome, Succeeded):
        return str(outcome.verdict), transition
    assert isinstance(outcome, Failed)
    return str(outcome.category), transition


def rows() -> dict[str, list[str]]:
    """Return the rows of the page: what the page's code does, what we do, and why."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0] not in ("case", "---"):
            found[cells[0]] = cells[1:]
    return found


def test_the_page_has_a_row_for_each_case_with_a_reason() -> None:
    assert list(rows()) == list(CASES)
    assert all(why for _, _, why in rows().values())


@pytest.mark.parametrize("name", CASES)
def test_both_patterns_do_what_the_page_says(name: str) -> None:
    case, (theirs, ours, _) = CASES[name], rows()[name]
    said = page_pattern(case.run)
    assert theirs.startswith("`success`" if said["success"] else "`failure`")
    assert ("retryable" in theirs) is said.get("retryable", False)
    for told in re.findall(r"[A-Z][a-z]+ [a-z ]+[a-z]", theirs):
        assert told in str(said["error"])
    meant, transition = our_pattern(case, Job(id=1, key="lamp", attempt=1, failures=0))
    assert ours.split(":")[0].split(";")[0].strip("`") == meant
    assert (transition and isinstance(transition, Finish)) is case.ends
    assert ("retried" in ours or case.ends is not False) or meant in (
        "goal_failure",
        "blocked",
        "billing_failure",
        "unknown",
    )


@pytest.mark.parametrize("error", [{"retry_after": None}, {}, {"retry_after": "soon"}])
def test_a_system_failure_without_a_wait_is_retried_with_our_backoff(error: Any) -> None:
    # The page's table says "null if not retryable"; its text and its code say otherwise.
    job = Job(id=1, key="lamp", attempt=2, failures=1)
    _, transition = our_pattern(Case(run=broken(category="SYSTEM_FAILURE", **error)), job)
    assert isinstance(transition, Retry)
    assert transition.at == NOW + backoff(POLICY, job)
    assert transition.at > NOW


def test_a_wait_that_the_api_names_is_the_least() -> None:
    job = Job(id=1, key="lamp", attempt=1, failures=0)
    _, transition = our_pattern(CASES["FAILED, SYSTEM_FAILURE with `retry_after`"], job)
    assert isinstance(transition, Retry)
    assert transition.at == NOW + timedelta(seconds=600)
