"""The fast reader of answers returns what the lenient one returns, whatever an answer holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random  # noqa: TID251  # with a seed
from typing import Any

import httpx
import pytest

from batchrunner.model import RequestFailed, Run
from batchrunner.tinyfish import client, fast_answers
from batchrunner.tinyfish.http import Reply
from batchrunner.tinyfish.raw_json import MAX_ENTRIES
from tests.hostile_answers import hostile_answer

IDS = ["run-1", "run-2", "r/3", "\u00e9-4", "5"]


def reply(body: bytes, status: int = 200) -> Reply:
    headers = httpx.Headers({"date": "Mon, 30 Nov 2026 22:00:00 GMT"})
    return Reply(status=status, headers=headers, body=body)


def page(*runs: str, **others: Any) -> bytes:
    rest = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in others.items())
    return f'{{"data": [{",".join(runs)}]{rest}}}'.encode()


def seen(read: Callable[..., Any], *args: Any) -> Any:
    """Return what a reader returns, or the fault that it raises."""
    try:
        return read(*args)
    except RequestFailed as error:
        return error.fault


def both(body: bytes, monkeypatch: pytest.MonkeyPatch, status: int = 200) -> list[list[Any]]:
    """Return what the fast reader and the lenient one return of an answer."""
    found = []
    for is_fast in (True, False):
        with monkeypatch.context() as patch:
            if not is_fast:
                patch.setattr(client, "page_of", lambda _: None)
            answer = reply(body, status)
            found.append([seen(client.observations_of, answer, IDS), seen(client._listed, answer)])
    return found


@pytest.mark.parametrize("answers", [300, pytest.param(60_000, marks=pytest.mark.sweep)])
def test_both_readers_return_the_same_of_hostile_answers(
    answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, fast = Random(answers), 0
    for _ in range(answers):
        body = hostile_answer(random)
        first, second = both(body, monkeypatch)
        assert repr(first) == repr(second), body
        fast += fast_answers.page_of(reply(body)) is not None
    assert fast > answers / 4  # else this compares the lenient reader with itself


@pytest.mark.parametrize("status", [199, 200, 204, 300, 404, 500])
def test_both_readers_return_the_same_whatever_the_status(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = page('{"run_id": "run-1", "status": "COMPLETED"}', error={"message": "no"})
    first, second = both(body, monkeypatch, status)
    assert first == second


def zeros(members: int) -> str:
    return ",".join(f'"a{number}":0' for number in range(members))


def with_id(members: str) -> str:
    return f'{{"run_id": "run-1", {members}}}'


LONG = f'"{"x" * 1024**2}"'
LONG_ANSWERS = {
    "result": with_id(f'"result": {LONG}'),
    "wide": with_id(f'"result": ["\u00e9", {LONG}]'),
    "steps": with_id(f'"goal": "\u00e9", "steps": [{LONG}]'),
    "members": with_id(f'{zeros(MAX_ENTRIES)}, "result": 1'),
    "more members": with_id(zeros(MAX_ENTRIES + 1)),
    "entries": ",".join(['{"run_id": "run-1"}'] * MAX_ENTRIES),
    "numbers": ",".join("5" * (MAX_ENTRIES - 1)),
}


@pytest.mark.parametrize(
    "name", ["result", *(pytest.param(each, marks=pytest.mark.sweep) for each in LONG_ANSWERS)]
)
def test_both_readers_return_the_same_of_long_answers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = both(page(LONG_ANSWERS[name]), monkeypatch)
    assert first == second


@pytest.mark.sweep
def test_an_answer_with_too_many_members_is_refused_by_both_readers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = page('{"run_id": "run-1"}', **dict.fromkeys(map(str, range(MAX_ENTRIES + 1)), 0))
    first, second = both(body, monkeypatch)
    assert first == second
    assert not isinstance(first[0], dict)


def test_a_usual_answer_does_not_reach_the_lenient_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    run = {
        "run_id": "run-1",
        "status": "COMPLETED",
        "goal": "Read the price",
        "created_at": "2026-11-30T22:00:00.000Z",
        "started_at": None,
        "finished_at": "2026-11-30T22:00:09.000Z",
        "num_of_steps": 4,
        "result": {"price": 12.5},
        "output_schema": {"type": "object"},
        "schema_validation": {"valid": True},
        "error": None,
        "browser_config": {"proxy_enabled": False},
        "steps": [{"id": "s", "screenshot": None}],
    }
    failed = {**run, "run_id": "run-2", "status": "FAILED", "result": None}
    failed["error"] = {"code": "X", "message": "It broke", "category": "AGENT_FAILURE"}

    def refused(*_: Any) -> None:
        raise AssertionError("the lenient reader was called")

    monkeypatch.setattr(client, "read_members", refused)
    monkeypatch.setattr(fast_answers, "run_or_none", refused)
    body = page(json.dumps(run), json.dumps(failed), '{"run_id": 5}'.replace("5", "null"))
    found = client.observations_of(reply(body), ["run-1", "run-2"])
    shown = found["run-1"]
    assert isinstance(shown, Run)
    assert shown.result == '{"price": 12.5}'
    assert shown.shown_at is not None


def test_one_odd_run_leaves_its_neighbours_to_the_fast_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd: list[str] = []
    lenient = fast_answers.run_or_none

    def noted(text: str, **where: Any) -> Run | None:
        odd.append(text)
        return lenient(text, **where)

    monkeypatch.setattr(fast_answers, "run_or_none", noted)
    body = page('{"run_id": "run-1"}', '{"run_id": "run-2", "goal": 5}')
    assert client.observations_of(reply(body), IDS).keys() == {"run-1", "run-2"}
    assert odd == ['{"run_id": "run-2", "goal": 5}']
