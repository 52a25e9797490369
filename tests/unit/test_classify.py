"""Every run and every failed request has an outcome, and each row of the tables the right one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.classify import (
    MAX_MESSAGE_LENGTH,
    UNREADABLE,
    classify,
    classify_fault,
    is_not_offered,
    is_not_the_api,
)
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    Failed,
    FailureCategory,
    NotFound,
    Outcome,
    Run,
    RunError,
    RunStatus,
    Succeeded,
    Unreadable,
)


def completed(result: Any, **more: Any) -> Run:
    text = None if result is None else json.dumps(result)
    return Run(run_id="r", status=RunStatus.COMPLETED, result=text, **more)


def failed(**error: Any) -> Run:
    return Run(
        run_id="r", status=RunStatus.FAILED, error=RunError(**{"message": "It broke", **error})
    )


def answer(status: int, message: str = "No", code: str | None = None) -> ApiFault:
    return ApiFault(kind=ApiFaultKind.STATUS, status=status, message=message, code=code)


def meaning(outcome: Outcome | None) -> str:
    """Give the category of a failure, or what else it is."""
    if isinstance(outcome, Failed):
        return outcome.category.value
    return "succeeded" if isinstance(outcome, Succeeded) else "going on"


def reason_of(result: Any) -> str:
    outcome = classify(completed(result))
    assert isinstance(outcome, Failed)
    return outcome.message


# ---- what the API says about the run ----


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
def test_a_run_that_has_not_ended_has_no_outcome(status: RunStatus) -> None:
    seen = Run(run_id="r", status=status, result='{"a": 1}', error=RunError(message="early"))
    assert classify(seen) is None
    assert classify(seen, cancel_reason=FailureCategory.TIMED_OUT) is None


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ("SYSTEM_FAILURE", "system_failure"),
        ("AGENT_FAILURE", "agent_failure"),
        ("BILLING_FAILURE", "billing_failure"),
        ("UNKNOWN", "unknown"),
        ("system_failure", "system_failure"),
        ("Agent_Failure", "agent_failure"),
        ("billing_failure", "billing_failure"),
        ("SOLAR_FLARE", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_category_of_a_failed_run_may_be_in_any_case(said: str | None, category: str) -> None:
    assert meaning(classify(failed(category=said))) == category


def test_a_failed_run_keeps_the_apis_message() -> None:
    wait = timedelta(seconds=45)
    seen = failed(category="SYSTEM_FAILURE", code="service_busy", retry_after=wait)
    outcome = classify(seen)
    assert isinstance(outcome, Failed)
    assert outcome.message == "It broke"
    assert (outcome.code, outcome.retry_after) == ("service_busy", wait)


def test_a_failed_run_without_an_error_is_unknown() -> None:
    assert meaning(classify(Run(run_id="r", status=RunStatus.FAILED))) == "unknown"


@pytest.mark.parametrize(
    ("cancel_reason", "category"),
    [
        (None, "run_cancelled"),
        (FailureCategory.TIMED_OUT, "timed_out"),
        (FailureCategory.RUN_CANCELLED, "run_cancelled"),
    ],
)
def test_a_cancelled_run_says_why_it_was_cancelled(
    cancel_reason: FailureCategory | None, category: str
) -> None:
    seen = Run(run_id="r", status=RunStatus.CANCELLED)
    assert meaning(classify(seen, cancel_reason=cancel_reason)) == category


def test_a_run_that_completed_during_its_cancellation_is_no_failure() -> None:
    seen = completed({"price": 1})
    assert classify(seen, cancel_reason=FailureCategory.TIMED_OUT) == Succeeded()


def test_a_run_that_the_api_does_not_know_is_lost() -> None:
    assert meaning(classify(NotFound(run_id="r"))) == "lost"


def test_an_unusable_answer_is_an_invalid_result_with_a_code() -> None:
    outcome = classify(Unreadable(run_id="r", message="too large"))
    assert isinstance(outcome, Failed)
    assert (outcome.category, outcome.code) == (FailureCategory.INVALID_RESULT, UNREADABLE)


# ---- what the result says about the goal ----


@pytest.mark.parametrize(
    "result",
    [
        {"status": "failure", "reason": "No price on the page"},
        {"status": "FAILURE", "reason": "No price on the page"},
        {"error": "No price on the page"},
        {"status": "success", "error": "No price on the page"},
        {"status": "failure", "error": "No price on the page"},
        json.dumps({"status": "failure", "reason": "No price on the page"}),
        "  " + json.dumps({"error": "No price on the page"}),
    ],
)
def test_a_missed_goal_keeps_its_reason(result: Any) -> None:
    assert meaning(classify(completed(result))) == "goal_failure"
    assert reason_of(result) == "No price on the page"


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "The run completed without a result"),
        ({"status": "failure"}, "Goal not achieved"),
        ({"error": True}, "Goal not achieved"),
        ({"error": {"at": "checkout"}}, '{"at": "checkout"}'),
        ({"status": "failure", "reason": ["a", 1]}, '["a", 1]'),
        ({"status": "failure", "reason": "", "error": 404}, "404"),
    ],
)
def test_a_missed_goal_always_has_a_reason(result: Any, reason: str) -> None:
    assert reason_of(result) == reason


@pytest.mark.parametrize("text", ["\ud83d", "\0", "a\udcffb\0"])
def test_any_reason_can_be_stored(text: str) -> None:
    for result in ({"status": "failure", "reason": text}, {"error": [text]}):
        reason = reason_of(result)
        assert "\0" not in reason
        assert reason.encode()


def test_raw_control_characters_do_not_hide_a_missed_goal() -> None:
    text = '{"status": "failure",\r\n "reason": "one\ttwo\nthree"}'
    seen = Run(run_id="r", status=RunStatus.COMPLETED, result=text)
    assert meaning(classify(seen)) == "goal_failure"


@pytest.mark.parametrize(
    "result",
    [
        {"price": 18.5},
        {"status": "failed payments page", "rows": 3},
        {"status": "success", "error": None},
        {"error": False},
        {"error": ""},
        {"errors": 3, "failure": "none"},
        {"status": {"failure": True}},
        {"status": ["failure"]},
        [{"status": "failure"}],
        "{not json",
        1e400,
        float("nan"),
        {"title": "How captchas work", "body": "Access denied, said Cloudflare; verify you are"},
        {"reason": "captcha", "status": "ok"},
    ],
)
def test_any_other_result_is_a_success(result: Any) -> None:
    assert isinstance(classify(completed(result)), Succeeded)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        '{"price": ' + "9" * 5000 + "}",
        '{"a": ' * 5000 + "1" + "}" * 5000,
        '"unclosed',
        "NaN",
    ],
)
def test_a_result_that_cannot_be_parsed_is_not_a_failed_run(text: str) -> None:
    seen = Run(run_id="r", status=RunStatus.COMPLETED, result=text)
    assert isinstance(classify(seen), Succeeded)


@pytest.mark.parametrize("depth", range(300, 1300, 50))
def test_a_reason_may_be_nested_to_any_depth(depth: int) -> None:
    text = '{"error": ' + "[" * depth + "]" * depth + "}"
    seen = Run(run_id="r", status=RunStatus.COMPLETED, result=text)
    assert meaning(classify(seen)) in ("goal_failure", "succeeded")


WALLS = [
    "The page is behind a CAPTCHA and I could not solve it",
    "Encountered a reCAPTCHA challenge after the search",
    "Access Denied: you don't have permission to access this server",
    "The page says 'Access to this page has been denied' because it believes I am a bot",
    "Cloudflare asks to verify you are human",
    "The site wants me to verify that you are not a robot",
    "Sorry, you have been blocked",
    "The request was blocked by the site's bot protection",
    "The site blocked the request and showed an error page",
    "The site shows a bot detection page",
    "PerimeterX bot-detection page instead of the product",
    "The website answered 403 Forbidden",
    "Amazon says: to discuss automated access to Amazon data please contact us",
    "Anti-bot page instead of the listing",
    "A login wall hides the profile",
    "Viewing the order requires a log-in",
]
NO_WALLS = [
    "The product is out of stock",
    "No price was found on the page",
    "The page returned 404 Not Found",
    "Could not find the checkout button",
    "The date picker did not open",
    "The description of the robot vacuum is missing",
    "A cookie banner blocked the button",
    "The human resources page lists no jobs",
    "Both walls of the apartment are described but no price is",
]


@pytest.mark.parametrize("reason", WALLS)
def test_a_wall_is_distinguished_from_a_missed_goal(reason: str) -> None:
    assert meaning(classify(completed({"status": "failure", "reason": reason}))) == "blocked"
    assert meaning(classify(completed({"error": reason.upper()}))) == "blocked"
    assert reason_of({"status": "failure", "reason": reason}) == reason


@pytest.mark.parametrize("reason", NO_WALLS)
def test_an_ordinary_missed_goal_is_no_wall(reason: str) -> None:
    assert meaning(classify(completed({"status": "failure", "reason": reason}))) == "goal_failure"


@pytest.mark.parametrize("text", WALLS)
def test_a_good_result_about_walls_is_a_good_result(text: str) -> None:
    assert classify(completed({"title": text, "status": "published"})) == Succeeded()


def test_a_result_that_breaks_its_schema_is_invalid() -> None:
    outcome = classify(completed({"a": 1}, schema_errors=("#/a: not text", "#/b: missing")))
    assert isinstance(outcome, Failed)
    assert outcome.category is FailureCategory.INVALID_RESULT
    assert outcome.message == "#/a: not text; #/b: missing"


def test_a_missed_goal_takes_precedence_over_a_broken_schema() -> None:
    seen = completed({"status": "failure", "reason": "Not there"}, schema_errors=("#: wrong",))
    assert meaning(classify(seen)) == "goal_failure"


# ---- what happened to the request ----

BILLING = "billing_failure"


@pytest.mark.parametrize(
    ("status", "code", "message", "category"),
    [
        (400, "INVALID_INPUT", 'Field "url": Invalid URL', "rejected"),
        (413, None, "Too large", "rejected"),
        (422, None, "No", "rejected"),
        (401, "MISSING_API_KEY", "X-API-Key header is required", "unauthorized"),
        (401, "INVALID_API_KEY", "Invalid or expired API key", "unauthorized"),
        (402, "INSUFFICIENT_CREDITS", "Add money to continue", BILLING),
        (402, None, "Payment required", BILLING),
        (403, "INSUFFICIENT_CREDITS", "No", BILLING),
        (403, "insufficient_credits", "No", BILLING),
        (403, "FORBIDDEN", "Insufficient credits or no active subscription", BILLING),
        (403, "FORBIDDEN", "Your balance is too low", BILLING),
        (403, "FORBIDDEN", "This feature is not enabled for this account", "unauthorized"),
        (403, "FORBIDDEN", "max_steps requires a Pro subscription", "unauthorized"),
        (403, "FORBIDDEN", "output_schema is not part of your subscription", "unauthorized"),
        (403, "FORBIDDEN", "Using credentials needs the vault beta", "unauthorized"),
        (403, "CONTENT_POLICY_VIOLATION", "The goal is not allowed", "rejected"),
        (400, "content_policy_violation", "The goal is not allowed", "rejected"),
        (429, "RATE_LIMIT_EXCEEDED", "Try again in 60 seconds.", "throttled"),
        (500, "INSUFFICIENT_CREDITS", "An unexpected error occurred", "unreachable"),
        (503, "SERVICE_BUSY", "The service is busy", "unreachable"),
        (404, "NOT_FOUND", "Run not found", "unreachable"),
    ],
)
def test_the_category_of_an_api_error(
    status: int, code: str | None, message: str, category: str
) -> None:
    assert meaning(classify_fault(answer(status, message, code))) == category


@pytest.mark.parametrize("kind", [kind for kind in ApiFaultKind if kind is not ApiFaultKind.STATUS])
@pytest.mark.parametrize("status", [None, 200, 400, 401, 402, 404, 429])
def test_an_answer_that_is_not_the_apis_is_unreachable(
    kind: ApiFaultKind, status: int | None
) -> None:
    fault = ApiFault(kind=kind, status=status, message="<html>credits</html>")
    assert meaning(classify_fault(fault)) == "unreachable"
    assert not is_not_offered(fault)


@pytest.mark.parametrize(
    ("status", "offered"), [(404, False), (405, False), (501, False), (400, True), (503, True)]
)
def test_which_statuses_mean_that_an_endpoint_does_not_exist(status: int, offered: bool) -> None:
    assert is_not_offered(answer(status)) is not offered


def test_a_very_long_reason_is_shortened() -> None:
    result = json.dumps({"status": "failure", "reason": "w" * 1_000_000})
    outcome = classify(Run(run_id="r", status=RunStatus.COMPLETED, result=result))
    assert isinstance(outcome, Failed)
    assert len(outcome.message) < MAX_MESSAGE_LENGTH + 50
    assert outcome.message.endswith("(cut: 1,000,000 characters)")


@pytest.mark.parametrize(
    ("kind", "status", "nothing"),
    [
        (ApiFaultKind.STATUS, 404, True),
        (ApiFaultKind.MALFORMED, 405, True),
        (ApiFaultKind.MALFORMED, 308, True),
        (ApiFaultKind.MALFORMED, 302, False),
        (ApiFaultKind.MALFORMED, 200, False),
        (ApiFaultKind.STATUS, 400, False),
        (ApiFaultKind.NOT_SENT, None, False),
    ],
)
def test_which_answers_mean_that_nothing_is_at_the_address(
    kind: ApiFaultKind, status: int | None, nothing: bool
) -> None:
    assert is_not_the_api(ApiFault(kind=kind, status=status, message="no")) is nothing


# ---- total ----

texts = st.none() | st.text(st.characters(), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "error", "reason"]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=8,
)
waits = st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=1))
runs = st.builds(
    Run,
    run_id=st.just("r"),
    status=st.sampled_from(RunStatus),
    result=st.none() | st.text(max_size=20) | values.map(json.dumps),
    error=st.none()
    | st.builds(
        RunError, message=st.text(max_size=8), category=texts, code=texts, retry_after=waits
    ),
    schema_errors=st.none() | st.tuples() | st.tuples(st.text(max_size=4)),
)
faults = st.builds(
    ApiFault,
    kind=st.sampled_from(ApiFaultKind),
    message=st.text(max_size=8),
    status=st.none() | st.integers(100, 599),
    code=texts,
    retry_after=waits,
    issues=st.dictionaries(st.integers(-3, 120), st.text(max_size=4), max_size=3),
)


@given(runs, st.none() | st.sampled_from(FailureCategory))
def test_every_ended_run_has_an_outcome(run: Run, cancel_reason: FailureCategory | None) -> None:
    outcome = classify(run, cancel_reason=cancel_reason)
    assert (outcome is None) is (not run.status.is_final)
    if isinstance(outcome, Failed):
        assert outcome.message is not None
        assert classify(run, cancel_reason=cancel_reason) == outcome


@given(values)
def test_every_result_of_any_type_has_an_outcome_that_can_be_stored(result: Any) -> None:
    outcome = classify(completed(result))
    assert isinstance(outcome, Succeeded | Failed)
    if isinstance(outcome, Failed):
        assert outcome.message
        assert outcome.message.encode()
        assert "\0" not in outcome.message


@given(faults)
def test_every_failed_request_has_a_category_and_keeps_its_wait(fault: ApiFault) -> None:
    failure = classify_fault(fault)
    assert failure.retry_after == fault.retry_after
    assert (failure.message, failure.code) == (fault.message, fault.code)
