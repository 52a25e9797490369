"""Errors are believed in every shape that the API has, and in no other."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_raw_json import values

from batchrunner.classify import MAX_CODE_LENGTH, MAX_MESSAGE_LENGTH
from batchrunner.model import ApiFault, ApiFaultKind, RequestFailed, Throttle
from batchrunner.tinyfish.http import Reply
from batchrunner.tinyfish.parse import read_fault, read_members, read_run, text_of
from batchrunner.tinyfish.throttling import MAX_RETRY_AFTER

DATE = "Thu, 03 Sep 2026 03:00:00 GMT"


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=headers, body=raw)


def fault(body: Any, status: int = 400, **headers: str) -> ApiFault:
    return read_fault(reply(body, status, **headers))


ISSUE = {"code": "invalid_format", "path": ["runs", 2, "url"], "message": "Invalid URL"}
AT_2 = {2: 'Field "url": Invalid URL'}
INVALID = {"code": "INVALID_INPUT", "message": "Validation failed"}


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({"error": INVALID}, {}),
        ({"error": {**INVALID, "details": [ISSUE]}}, AT_2),
        ({"run_ids": None, "error": {**INVALID, "details": [ISSUE]}}, AT_2),
        ({"run_ids": None, "error": INVALID}, {}),
        ({"error": [{**INVALID, "index": 1}]}, {1: "Validation failed"}),
        ({"errors": [{**INVALID, "index": 1}]}, {1: "Validation failed"}),
        ({"run_ids": None, "errors": [{"index": 1, "error": INVALID}]}, {1: "Validation failed"}),
        ({"error": None, "errors": [None, {**INVALID, **ISSUE}]}, AT_2),
        ({"error": {**INVALID, "details": {"wallet_url": "https://w.test/"}}}, {}),
        ({"error": {**INVALID, "details": [{"path": ["url"], "message": "m"}]}}, {}),
        ({"error": {**INVALID, "details": [{"path": ["runs"]}, {"path": "runs"}, 5]}}, {}),
        ({"error": {**INVALID, "details": [{"index": 0, "message": 7}]}}, {0: "is not valid"}),
        ({"error": {**INVALID, "details": [{"path": ["runs", "0"]}, {"index": True}]}}, {}),
        ({"error_code": "INVALID_INPUT", "message": "Validation failed", "request_id": "q"}, {}),
        ({"error": {"message": "Validation failed", "error_code": "invalid_input"}}, {}),
    ],
)
def test_every_shape_of_an_error(body: Any, issues: dict[int, str]) -> None:
    read = fault(body)
    assert (read.kind, read.status) == (ApiFaultKind.STATUS, 400)
    assert (read.code or "").upper() in ("INVALID_INPUT", "INVALID_FORMAT")
    assert read.message in ("Validation failed", "Invalid URL")
    assert read.issues == issues


@pytest.mark.parametrize("body", [{"error": {"code": "X"}}, {"error": {"code": "X", "message": 5}}])
def test_an_error_without_a_message_says_its_code(body: Any) -> None:
    assert fault(body).message == "X"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"error": {"code": "INVALID_INPUT"',
        b"[" * 5000,
        b"\x00\xff",
        {},
        [],
        None,
        "error",
        {"error": None},
        {"error": "Not found"},
        {"error": {}},
        {"error": []},
        {"errors": ["text"]},
        {"message": "Forbidden"},
        {"detail": "Not Found"},
        {"error": {"details": []}},
    ],
)
def test_an_error_that_is_not_in_the_apis_shape_is_no_word_of_the_api(body: Any) -> None:
    for status in (400, 401, 404, 502):
        assert fault(body, status).kind is ApiFaultKind.MALFORMED


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_INPUT", 400),
        ("insufficient_credits", 402),
        ("RATE_LIMIT_EXCEEDED", 429),
        ("INTERNAL_ERROR", 500),
        ("CONTENT_POLICY_VIOLATION", 400),
    ],
)
def test_an_error_that_came_with_200_has_the_status_of_its_code(code: str, status: int) -> None:
    assert fault({"error": {"code": code, "message": "m"}}, 200).status == status


def test_an_error_of_no_known_code_that_came_with_200_is_no_answer() -> None:
    assert fault({"error": {"code": "ODD", "message": "m"}}, 200).kind is ApiFaultKind.MALFORMED


@pytest.mark.parametrize(
    ("header", "date", "seconds"),
    [
        ("30", None, 30),
        ("0.5", None, 0.5),
        (" 30 ", None, 30),
        ("-30", None, None),
        ("1000000000", None, 3600),
        ("9" * 500, None, 3600),
        ("inf", None, 3600),
        ("nan", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Thu, 03 Sep 2026 03:00:40 GMT", DATE, 40),
        ("Thu, 03 Sep 2026 02:00:00 GMT", DATE, None),
        ("Fri, 03 Sep 2027 03:00:00 GMT", DATE, 3600),
        ("Thu, 03 Sep 2026 03:00:40 GMT", None, None),
        ("Thu, 03 Sep 2026 03:00:40 -0000", DATE, 40),
        ("Thursday, 03-Sep-26 03:00:40 GMT", DATE, 40),
        ("Thu Sep  3 03:00:40 2026", DATE, 40),
        ("30, 30", None, 30),
        ("30s", None, 30),
        ("1.5 minutes", None, 90),
        ("500ms", None, 0.5),
        ("30, soon", None, None),
        ("Thu, 03 Sep 2026 03:00:40 +" + "9" * 40, DATE, None),
        ("Thu, 99 Sep 2026 03:00:40 GMT", DATE, None),
    ],
)
def test_retry_after_in_every_form(header: str, date: str | None, seconds: float | None) -> None:
    headers = {"retry-after": header} | ({"date": date} if date else {})
    wait = None if seconds is None else timedelta(seconds=seconds)
    body = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "m"}}
    assert (fault(body, 429, **headers).retry_after or None) == wait
    assert (fault(b"<html>", 503, **headers).retry_after or None) == wait


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"retry_after": 30}, 30),
        ({"retry_after": "30"}, 30),
        ({"retryAfter": "0.493"}, 0.493),
        ({"details": {"retry_after": 12}}, 12),
        ({"details": {"retryAfterSeconds": "12 s"}}, 12),
        ({"message": "Rate limit exceeded. Try again in 60 seconds."}, 60),
        ({"message": "Slow down, please retry after 2 minutes"}, 120),
        ({"retry_after": -5}, None),
        ({"retry_after": "-5"}, None),
        ({"retry_after": True}, None),
        ({"retry_after": [30]}, None),
        ({"message": "Try again in a while"}, None),
    ],
)
def test_a_wait_in_the_body_counts_where_the_header_says_none(
    error: dict[str, Any], seconds: float | None
) -> None:
    wait = None if seconds is None else timedelta(seconds=seconds)
    body = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "m", **error}}
    assert fault(body, 429).retry_after == wait
    assert fault(body, 429, **{"retry-after": "7"}).retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("error", "throttle"),
    [
        ({"message": "Rate limit exceeded. Try again in 60 seconds."}, None),
        ({"message": "The service has no capacity"}, None),
        ({"message": "Rate limit exceeded", "details": {"limit": 60}}, Throttle.REQUESTS),
        ({"message": "60 requests per minute are allowed"}, Throttle.REQUESTS),
        ({"message": "m", "code": "REQUESTS_PER_MINUTE"}, Throttle.REQUESTS),
        ({"message": "Concurrency limit reached"}, Throttle.RUNS),
        ({"message": "Rate limit exceeded", "details": {"concurrent_runs": 2}}, Throttle.RUNS),
        ({"message": "Too many active runs"}, Throttle.RUNS),
    ],
)
def test_a_429_says_by_its_words_and_details_what_there_is_too_much_of(
    error: dict[str, Any], throttle: Throttle | None
) -> None:
    body = {"error": {"code": "RATE_LIMIT_EXCEEDED", **error}}
    assert fault(body, 429).throttle is throttle
    assert fault(body, 503).throttle is None


@given(values | st.fixed_dictionaries({}, optional={"error": values, "errors": values}))
def test_an_error_of_any_shape_can_be_read_and_written_down(body: Any) -> None:
    read = fault(body)
    assert read.message.encode()
    assert "\0" not in read.message + "".join(read.issues.values())
    assert read.retry_after is None or timedelta(0) <= read.retry_after <= MAX_RETRY_AFTER


@given(st.binary(max_size=40), st.integers(200, 599))
def test_any_bytes_are_text_and_raise_nothing_but_api_errors(body: bytes, status: int) -> None:
    assert text_of(reply(body)).encode("utf-8", "surrogateescape") in (body, body[3:])
    with suppress(RequestFailed):
        read_members(reply(body, status))


@pytest.mark.parametrize("status", [199, 304, 307, 400, 500])
def test_only_a_success_has_members(status: int) -> None:
    with pytest.raises(RequestFailed):
        read_members(reply({"run_id": "r"}, status))


def test_a_book_in_an_error_is_kept_in_part_and_that_is_noted() -> None:
    read = fault({"error": {"code": "C" * 100_000, "message": "m" * 1_000_000}})
    assert read.code == "C" * MAX_CODE_LENGTH + "… (cut: 100,000 characters)"
    assert read.message == "m" * MAX_MESSAGE_LENGTH + "… (cut: 1,000,000 characters)"
    named = fault({"error": {**INVALID, "details": [{"index": 0, "message": "m" * 99_999}]}})
    assert len(named.issues[0]) < MAX_MESSAGE_LENGTH + 50
    exact = fault({"error": {"code": "C" * MAX_CODE_LENGTH, "message": "m" * MAX_MESSAGE_LENGTH}})
    assert (exact.code, exact.message) == ("C" * MAX_CODE_LENGTH, "m" * MAX_MESSAGE_LENGTH)


@pytest.mark.parametrize(
    "error", ["m" * 1_000_000, {"message": "m" * 1_000_000, "code": "C" * 999}]
)
def test_a_book_in_a_runs_error_is_kept_in_part(error: Any) -> None:
    shown = read_run(json.dumps({"run_id": "r", "status": "FAILED", "error": error}))
    assert shown is not None
    assert shown.error is not None
    assert len(shown.error.message) < MAX_MESSAGE_LENGTH + 50
    assert len(shown.error.code or "") < MAX_CODE_LENGTH + 50
