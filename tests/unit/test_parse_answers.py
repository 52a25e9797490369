"""The API's answers are read leniently: strange is odd, never fatal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_raw_json import STRANGE, values

from batchrunner.api_facts.run_statuses import says_ended
from batchrunner.classify import classify
from batchrunner.model import (
    ApiFault,
    Failed,
    FailureCategory,
    ProfileHint,
    Run,
    RunHelp,
    RunStatus,
)
from batchrunner.tinyfish.event_stream import read_event
from batchrunner.tinyfish.http import Reply
from batchrunner.tinyfish.parse import (
    MAX_HELP_LENGTH,
    read_cancel_answers,
    read_fault,
    read_members,
    read_run,
    read_runs,
    text_of,
)
from batchrunner.tinyfish.raw_json import ascii_safe

COMPLETED = RunStatus.COMPLETED


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=headers, body=raw)


def shown(**fields: Any) -> Run:
    """Read a run that has these fields and an id."""
    run = read_run(json.dumps({"run_id": "r", **fields}))
    assert run is not None
    return run


def fault(body: Any, status: int = 400, **headers: str) -> ApiFault:
    return read_fault(reply(body, status, **headers))


# ---- what the API advises ----

ADVICE = RunHelp(url="https://docs.test/guide", message="Say less")
HINT = ProfileHint(message="Log in", setup_url="https://a.test/p", reason="auth_wall")
SENT = {"help_url": ADVICE.url, "help_message": ADVICE.message}
SENT_HINT = {"message": "Log in", "setup_url": "https://a.test/p", "reason": "auth_wall"}


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"error": {"message": "no", **SENT}}, ADVICE),
        ({"error": {"message": "no"}, **SENT}, ADVICE),
        ({"error": "no", **SENT}, ADVICE),
        ({"error": None, **SENT}, ADVICE),
        ({"error": {"helpUrl": ADVICE.url, "helpMessage": ADVICE.message}}, ADVICE),
        ({"profile_hint": SENT_HINT}, RunHelp(profile_hint=HINT)),
        (
            {"profileHint": {**SENT_HINT, "setupUrl": "https://a.test/p", "setup_url": 0}},
            RunHelp(profile_hint=HINT),
        ),
        ({"profile_hint": {"reason": "odd"}}, RunHelp(profile_hint=ProfileHint(reason="odd"))),
        ({"profile_hint": "Log in"}, RunHelp(profile_hint=ProfileHint(message="Log in"))),
        ({"help_url": "javascript:alert(1)", "help_message": "a"}, RunHelp(message="a")),
        ({"help_url": "https://a.test/\u202egpj", "help_message": "a"}, RunHelp(message="a")),
        ({"help_url": "https://a.test/ b", "help_message": "a"}, RunHelp(message="a")),
        ({"help_url": "HTTP://a.test"}, RunHelp(url="HTTP://a.test")),
    ],
)
def test_advice_is_read_wherever_it_stands(sent: dict[str, Any], read: RunHelp) -> None:
    assert shown(status="FAILED", **sent).help == read


@pytest.mark.parametrize(
    "sent",
    [
        {"help_url": "file:///etc/passwd"},
        {"help_url": ["https://a.test"], "help_message": {}, "profile_hint": []},
        {"profile_hint": {"setup_url": "data:text/html,x", "reason": 5, "message": None}},
        {"help_url": "https://a.test/" + "x" * MAX_HELP_LENGTH},
        {"profile_hint": None, "error": None},
        {"error": [1]},
    ],
)
def test_what_is_no_advice_is_none(sent: dict[str, Any]) -> None:
    assert shown(status="COMPLETED", result={"help_url": "https://a.test"}, **sent).help is None


def test_advice_is_bounded_and_can_be_stored() -> None:
    run = shown(status="FAILED", help_message="a\0\ud800" + "b" * 10**6)
    assert run.help is not None
    assert run.help.message is not None
    assert run.help.message.startswith("a\ufffd?b")
    assert len(run.help.message) < MAX_HELP_LENGTH + 50


def test_refusals_and_events_have_advice_too() -> None:
    refused = fault({"error": {"code": "INVALID_INPUT", "message": "no", **SENT}})
    assert refused.help == ADVICE
    event = read_event(json.dumps({"type": "COMPLETE", "status": "FAILED", "error": "no", **SENT}))
    assert event is not None
    assert event.help == ADVICE


# ---- runs as the newest pages show them ----


def test_a_run_is_read_whole() -> None:
    run = shown(
        status="FAILED",
        goal="Read the title [ref br-t-1]",
        created_at="2026-09-02T21:05:00Z",
        started_at="2026-09-02T23:05:02.125+02:00",
        finished_at="2026-09-02T21:06:10Z",
        num_of_steps=9,
        result={"a": 1},
        error={
            "code": "service_busy",
            "message": "No browser was free",
            "category": "SYSTEM_FAILURE",
            "retry_after": 45,
            "help_url": "https://docs.test/",
            "help_message": "Wait",
        },
        streaming_url="https://stream.test/r",
    )
    assert run.status is RunStatus.FAILED
    assert run.goal == "Read the title [ref br-t-1]"
    assert run.created_at == datetime(2026, 9, 2, 21, 5, tzinfo=UTC)
    assert run.started_at == datetime(2026, 9, 2, 21, 5, 2, 125000, tzinfo=UTC)
    assert (run.steps, run.result) == (9, '{"a": 1}')
    assert run.streaming_url == "https://stream.test/r"
    assert run.error is not None
    assert run.error.retry_after == timedelta(seconds=45)
    assert (run.error.code, run.error.category) == ("service_busy", "SYSTEM_FAILURE")
    assert run.help == RunHelp(url="https://docs.test/", message="Wait")


# ---- what older pages, other sources and field code show instead ----


def test_every_field_but_the_id_may_be_missing() -> None:
    assert shown() == Run(run_id="r", status=RunStatus.RUNNING)
    assert read_run("{}") is None
    assert read_run('{"run_id": null, "status": "COMPLETED"}') is None
    assert read_run('{"run_id": [7]}') is None


@pytest.mark.parametrize("name", ["run_id", "runId", "id"])
def test_older_names_of_the_id(name: str) -> None:
    run = read_run(json.dumps({name: "r"}))
    assert run is not None
    assert run.run_id == "r"


def test_older_names_of_other_fields() -> None:
    assert shown(streamingUrl="https://old.test/").streaming_url == "https://old.test/"
    assert shown(resultJson={"a": 1}).result == '{"a": 1}'


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (None, None),
        (0, 0),
        (19, 19),
        (19.0, 19),
        ([], 0),
        ([{"id": "s1"}, {"id": "s2"}], 2),
        ("19", None),
        (True, None),
        (-1, None),
        (2**40, None),
        (float("nan"), None),
        (float("inf"), None),
        ({"count": 3}, None),
    ],
)
def test_steps_in_every_form(value: Any, steps: int | None) -> None:
    assert shown(num_of_steps=value).steps == steps


@pytest.mark.parametrize("status", ["COMPLETED", "completed", "Completed"])
def test_status_in_any_case(status: str) -> None:
    assert shown(status=status).status is RunStatus.COMPLETED


@pytest.mark.parametrize("status", ["QUEUED", "", None, 3, ["COMPLETED"], {"a": "FAILED"}])
def test_a_status_that_nobody_knows_is_no_end(status: Any) -> None:
    assert not shown(status=status).status.is_final


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("Site blocked access", "Site blocked access"),
        ("bad \0 \ud83d", "bad \ufffd ?"),
        ({"message": "m", "category": "AGENT_FAILURE"}, "m"),
        ({"message": "m\0"}, "m\ufffd"),
        ({"code": "TASK_FAILED"}, "TASK_FAILED"),
        ({"category": "UNKNOWN"}, "No reason given"),
        ({"message": ["m"], "code": 7, "category": 1, "retry_after": "soon"}, "No reason given"),
        (["a", "b"], "['a', 'b']"),
        (500, "500"),
    ],
)
def test_errors_of_every_form(error: Any, message: str) -> None:
    read = shown(status="FAILED", error=error).error
    assert read is not None
    assert read.message == message


@pytest.mark.parametrize("error", [None, "", {}, [], False, 0])
def test_no_error_in_every_form(error: Any) -> None:
    assert shown(error=error).error is None


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        (60, 60),
        (0.5, 0.5),
        (60.0, 60),
        (-5, None),
        (10**9, 3600),
        (10**400, 3600),
        (float("inf"), 3600),
        (float("-inf"), None),
        (float("nan"), None),
        ("60", 60),
        (True, None),
        ([60], None),
    ],
)
def test_waits_in_every_form(said: Any, seconds: float | None) -> None:
    wait = None if seconds is None else timedelta(seconds=seconds)
    run_error = shown(error={"message": "m", "retry_after": said}).error
    assert run_error is not None
    assert run_error.retry_after == wait
    body = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "m", "retry_after": said}}
    assert fault(body, 429).retry_after == wait


@pytest.mark.parametrize(
    "moment",
    [
        *(None, "", "yesterday", 0, 1756760400, "2026-09-02", "2026-09-02T21:00:00", []),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-13-01T00:00:00Z"),
    ],
)
def test_what_is_no_moment_is_left_out(moment: Any) -> None:
    assert shown(created_at=moment).created_at is None


@pytest.mark.parametrize(
    ("said", "errors"),
    [
        (None, None),
        (True, None),
        ({"valid": True, "errors": [{"message": "m"}]}, None),
        ({"valid": None}, None),
        ({"valid": False, "errors": [{"path": "#/a", "message": "m\0"}]}, ("#/a: m\ufffd",)),
        ({"valid": False, "errors": [{}, 5, None]}, ("invalid",)),
    ],
)
def test_schema_validation_of_every_form(said: Any, errors: tuple[str, ...] | None) -> None:
    assert shown(schema_validation=said).schema_errors == errors


@pytest.mark.parametrize("errors", [None, [], 5, True, "text", {"a": 1}])
def test_a_result_that_breaks_its_schema_always_says_so(errors: Any) -> None:
    assert shown(schema_validation={"valid": False, "errors": errors}).schema_errors


# ---- results ----


@given(values)
def test_a_result_of_any_type_is_kept_with_its_meaning(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    run = read_run(f'{{"run_id": "r", "result": {text} }}')
    assert run is not None
    assert run.result == (None if value is None else ascii_safe(text))
    assert value is None or (run.result or "").isascii()


@pytest.mark.parametrize("kind", STRANGE)
def test_one_strange_result_spoils_no_page(kind: str) -> None:
    strange = STRANGE[kind]
    results = [strange if at == 41 else f'{{"at": {at}}}' for at in range(100)]
    page = ",".join(
        f'{{"run_id": "r{at}", "result": {result}, "status": "COMPLETED", "num_of_steps": 3}}'
        for at, result in enumerate(results)
    )
    body = f'{{"data": [{page}], "not_found": null}}'.encode("utf-8", "surrogateescape")
    runs = read_runs(read_members(reply(body))["data"])
    assert [run.run_id for run in runs] == [f"r{at}" for at in range(100)]
    assert [run.result for run in runs] == [ascii_safe(result) for result in results]
    assert {(run.status, run.steps) for run in runs} == {(RunStatus.COMPLETED, 3)}


@pytest.mark.parametrize("name", ["status", "error", "num_of_steps", "goal", "schema_validation"])
@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_value_in_any_field_spoils_neither_page_nor_run(name: str, kind: str) -> None:
    page = f'[{{"run_id": "a"}}, {{"run_id": "b", "{name}": {STRANGE[kind]}}}, {{"run_id": "c"}}]'
    assert [run.run_id for run in read_runs(page)] == ["a", "b", "c"]


FIELDS = [
    *("run_id", "runId", "id", "status", "goal", "created_at", "started_at", "finished_at"),
    *("num_of_steps", "result", "error", "schema_validation", "streaming_url", "steps"),
]


@given(
    st.dictionaries(
        st.sampled_from(FIELDS),
        values | st.dictionaries(st.sampled_from(["valid", "errors", "message", "code"]), values),
    )
)
def test_a_run_of_any_shape_is_read_or_passed_over(fields: dict[str, Any]) -> None:
    entries = [{"run_id": "a"}, fields, {"run_id": "z"}]
    runs = read_runs(json.dumps(entries))
    assert [run.run_id for run in runs][:: len(runs) - 1] == ["a", "z"]
    for run in runs:
        for text in (run.run_id, run.goal, run.error and run.error.message, run.streaming_url):
            assert "\0" not in (text or "")
            assert (text or "").encode() is not None


@pytest.mark.parametrize("entry", ["null", "7", '"r"', "[]", "{}", "{a: 1}", '{"run_id": ""}'])
def test_what_is_no_run_is_passed_over(entry: str) -> None:
    page = f'[{{"run_id": "a"}}, {entry}, {{"run_id": "b"}}]'
    assert [run.run_id for run in read_runs(page)] == ["a", "b"]


def test_bytes_that_are_no_text_are_kept_as_what_they_were() -> None:
    body = b'\xef\xbb\xbf{"run_id": "r", "result": "caf\xe9 \xf0\x9f\x98\x80"}'
    run = read_run(text_of(reply(body)))
    assert run is not None
    assert run.result == r'"caf\udce9 \ud83d\ude00"'


@pytest.mark.parametrize("said", ["COMPLETED ", "completed", " Completed\n", "cOMPLETED"])
def test_a_known_status_counts_however_it_is_spelled(said: str) -> None:
    assert (shown(status=said).status, shown(status=said).unknown_status) == (COMPLETED, None)
    assert shown(status="canceled ").status is RunStatus.CANCELLED


@pytest.mark.parametrize("said", ["EXPIRED", "Timed_Out", "PAUSED", "", 7, {"is": "odd"}, None])
def test_a_run_of_an_unknown_status_is_over_once_it_has_an_end(said: Any) -> None:
    assert shown(status=said, result={"a": 1}).status is RunStatus.RUNNING
    ended = shown(status=said, finished_at="2026-09-03T03:00:00Z")
    assert ended.status is RunStatus.FAILED
    outcome = classify(ended)
    assert isinstance(outcome, Failed)
    assert outcome.category is FailureCategory.UNKNOWN
    assert "which is not known here" in outcome.message
    judged = shown(status=said, finished_at="2026-09-03T03:00:00Z", result={"a": 1})
    assert judged.status is COMPLETED


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": "EXPIRED", "message": "Run already finished"}, RunStatus.FAILED),
        ({"status": "EXPIRED", "message": "run ALREADY finished"}, RunStatus.FAILED),
        ({"status": "EXPIRED", "finished_at": "2026-09-03T03:00:00Z"}, RunStatus.FAILED),
        ({"status": "STOPPED", "cancelled_at": "2026-09-03T03:00:00Z"}, RunStatus.CANCELLED),
        ({"status": "STOPPING", "message": None}, RunStatus.RUNNING),
        ({"status": "COMPLETED ", "message": "Run already finished"}, COMPLETED),
    ],
)
def test_an_answer_to_a_cancel_says_if_a_run_of_an_unknown_status_is_over(
    answer: dict[str, Any], status: RunStatus
) -> None:
    assert read_cancel_answers(json.dumps([{"run_id": "r", **answer}, 5, {}])) == {"r": status}


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("EXPIRED", True),
        ("timed_out", True),
        ("RUN_TIMEOUT", True),
        ("Done.", True),
        ("SUSPENDED", False),
        ("PAUSED", False),
        ("QUEUED", False),
        ("COMPLETING", False),
        (None, False),
    ],
)
def test_words_for_an_end_are_recognised_in_an_unknown_status(
    status: str | None, ended: bool
) -> None:
    assert says_ended(status) is ended
