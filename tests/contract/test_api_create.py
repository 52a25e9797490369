"""Creating runs: every answer of the API is one of three, and no request is sent twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest
import trio
import trio.testing
from api_wire import KEY, FakeApi, jobs, raw

from batchrunner.model import (
    ApiFaultKind,
    CreateAnswer,
    Created,
    Refused,
    RequestFailed,
    Unanswered,
)
from batchrunner.tinyfish.client import CREATE_SECONDS, READ_SECONDS, TinyFishClient

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def batch(fake: FakeApi, count: int = 3) -> CreateAnswer:
    async with fake.api as api:
        return await api.create(jobs(count), None)


async def single(fake: FakeApi) -> CreateAnswer:
    async with fake.api as api:
        return await api.create_one(jobs(1)[0], None)


def answers(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body), headers=headers)


def error(code: str | None = "INVALID_INPUT", **more: Any) -> dict[str, Any]:
    return {"code": code, "message": "No", **more}


# ---- what is sent ----


async def test_a_batch_is_one_request_with_its_schema_beside_its_runs() -> None:
    fake = FakeApi(answers({"run_ids": ["a", "b"], "error": None}))
    runs, schema = jobs(2), {"type": "object"}
    async with fake.api as api:
        assert await api.create(runs, schema) == Created(run_ids=("a", "b"))
    [request] = fake.requests
    assert (request.method, request.url.path) == ("POST", "/v1/automation/run-batch")
    assert json.loads(request.content) == {"runs": runs, "output_schema": schema}


async def test_a_single_run_is_one_request_with_its_schema_inside() -> None:
    fake = FakeApi(answers({"run_id": "a", "error": None}))
    run = {**jobs(1)[0], "use_vault": True}
    async with fake.api as api:
        assert await api.create_one(run, {"type": "object"}) == Created(run_ids=("a",))
    [request] = fake.requests
    assert (request.method, request.url.path) == ("POST", "/v1/automation/run-async")
    assert json.loads(request.content) == {**run, "output_schema": {"type": "object"}}
    assert "output_schema" not in run


async def test_without_a_schema_none_is_sent() -> None:
    fake = FakeApi(answers({"run_ids": ["a"]}))
    await batch(fake, 1)
    assert "output_schema" not in json.loads(fake.requests[0].content)


# ---- a success that is none ----


@pytest.mark.parametrize(
    "body",
    [
        {"run_ids": ["a", "b"], "error": None},
        {"run_ids": ["a", "b", "c", "d"], "error": None},
        {"run_ids": ["a", "b", "b"], "error": None},
        {"run_ids": ["a", "b", None], "error": None},
        {"run_ids": ["a", "b", ""], "error": None},
        {"run_ids": ["a", "b", 3], "error": None},
        {"run_ids": ["a", "b", "c\0"], "error": None},
        {"run_ids": ["a", "b", "\ud83d"], "error": None},
        {"run_ids": "a", "error": None},
        {"run_ids": [], "error": None},
        {"run_ids": None, "error": None},
        {"run_ids": {"0": "a"}, "error": None},
        {"run_ids": ["a", "b"], "error": {"code": "INVALID_INPUT", "message": "One was bad"}},
        {"run_ids": ["a", None, "c"], "error": error()},
        {"run_ids": ["a", None, "c"], "errors": [{"index": 1, "error": error()}]},
        {"run_ids": [None, None, "c"], "error": error("INSUFFICIENT_CREDITS")},
        {"run_ids": [None, None, None], "error": error()},
        {"run_ids": None, "error": {"message": "Something"}},
        {"run_ids": None, "error": {"code": "NEW_CODE", "message": "Something"}},
        {"run_ids": None, "error": "INVALID_INPUT"},
        {"error": None},
        {"id": "a"},
        {},
        [],
        None,
        "a",
    ],
)
async def test_a_success_without_as_many_different_ids_as_runs_is_unanswered(body: Any) -> None:
    fake = FakeApi(answers(body))
    assert isinstance(await batch(fake), Unanswered)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_ids_may_come_with_any_success_and_more_beside_them(status: int) -> None:
    body = {"run_ids": ["a", "b", "c"], "batch_id": 7}
    assert await batch(FakeApi(answers(body, status))) == Created(run_ids=("a", "b", "c"))


@pytest.mark.parametrize("status", [307, 400, 402, 429, 500, 503])
@pytest.mark.parametrize("ids", [["a", "b", "c"], ["a", None, "c"], [7], "a"])
async def test_ids_that_come_with_a_failure_are_no_refusal(ids: Any, status: int) -> None:
    fake = FakeApi(answers({"run_ids": ids, "error": error()}, status))
    assert isinstance(await batch(fake), Unanswered)


@pytest.mark.parametrize("status", [200, 207, 400])
@pytest.mark.parametrize(
    "body",
    [
        {"runs": [{"index": 0, "run_id": "a"}], "errors": [{"index": 1, **error()}]},
        {"data": {"run_ids": ["a", "b", "c"]}, "error": error()},
        {"run_id": "a", "error": error()},
        {"runIds": ["a"], "error": error()},
        [{"run_id": "a"}, {"error": error()}],
    ],
)
async def test_an_id_that_stands_elsewhere_is_no_refusal_either(body: Any, status: int) -> None:
    assert isinstance(await batch(FakeApi(answers(body, status))), Unanswered)


CODES = [
    ("INVALID_INPUT", 400),
    ("invalid_input", 400),
    ("CONTENT_POLICY_VIOLATION", 400),
    ("INVALID_API_KEY", 401),
    ("INSUFFICIENT_CREDITS", 402),
    ("FORBIDDEN", 403),
    ("RATE_LIMIT_EXCEEDED", 429),
]


@pytest.mark.parametrize("ids", [None, []])
@pytest.mark.parametrize(("code", "status"), CODES)
async def test_a_refusal_that_comes_with_200_is_one(code: str, status: int, ids: Any) -> None:
    answer = await batch(FakeApi(answers({"run_ids": ids, "error": error(code)})))
    assert isinstance(answer, Refused)
    assert (answer.fault.status, answer.fault.message) == (status, "No")
    alone = await single(FakeApi(answers({"run_id": None, "error": error(code)})))
    assert isinstance(alone, Refused)


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "SERVICE_BUSY", "TIMEOUT", "TASK_FAILED", None])
async def test_any_other_error_that_comes_with_200_is_unanswered(code: str | None) -> None:
    assert isinstance(
        await batch(FakeApi(answers({"run_ids": None, "error": error(code)}))), Unanswered
    )


# ---- failures ----

SHAPES: list[tuple[Any, dict[int, str]]] = [
    ({"error": error()}, {}),
    ({"run_ids": None, "error": error()}, {}),
    ({"error": error(details=[{"path": ["runs", 2, "url"], "message": "Bad"}])},
     {2: 'Field "url": Bad'}),
    ({"run_ids": None, "error": error(details=[{"path": ["runs", 1], "message": "Bad"}])},
     {1: "Bad"}),
    ({"run_ids": None, "errors": [{"index": 0, "error": error()}]}, {0: "No"}),
    ({"error": [{"index": 0, **error()}, {"index": 2, **error()}]}, {0: "No", 2: "No"}),
    ({"errors": [{"path": ["runs", 1, "goal"], **error()}]}, {1: 'Field "goal": No'}),
]  # fmt: skip


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 501])
@pytest.mark.parametrize(("body", "issues"), SHAPES)
async def test_a_refusal_in_every_shape_of_the_api(
    body: Any, issues: dict[int, str], status: int
) -> None:
    fake = FakeApi(answers(body, status))
    answer = await batch(fake)
    assert isinstance(answer, Refused)
    assert (answer.fault.kind, answer.fault.status) == (ApiFaultKind.STATUS, status)
    assert answer.fault.issues == issues
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [body for body, _ in SHAPES])
async def test_an_error_behind_which_runs_may_exist_is_unanswered(body: Any, status: int) -> None:
    fake = FakeApi(answers(body, status, **{"Retry-After": "9"}))
    answer = await batch(fake)
    assert isinstance(answer, Unanswered)
    assert answer.fault.retry_after == timedelta(seconds=9)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 413, 422, 429, 451, 501])
@pytest.mark.parametrize(
    "body", [b"", b"<html>No</html>", b'{"error": "No"}', b'{"message": "No"}']
)
async def test_a_status_of_something_that_is_not_the_api_refuses_nothing(
    body: bytes, status: int
) -> None:
    assert isinstance(await batch(FakeApi(raw(body, status))), Unanswered)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30), ("-30", 0), ("1e9", 3600), ("soon", 0), ("Thu, 03 Sep 2026 03:00:40 GMT", 40)],
)
async def test_a_throttle_says_how_long(value: str, seconds: float) -> None:
    headers = {"Retry-After": value, "Date": "Thu, 03 Sep 2026 03:00:00 GMT"}
    answer = await batch(FakeApi(answers({"error": error("RATE_LIMIT_EXCEEDED")}, 429, **headers)))
    assert isinstance(answer, Refused)
    assert (answer.fault.retry_after or timedelta(0)) == timedelta(seconds=seconds)


def kinds_of(kind: type[httpx.HTTPError]) -> Iterator[type[httpx.HTTPError]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from kinds_of(sub)


NOT_SENT = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
}


@pytest.mark.parametrize(
    "kind", sorted(kinds_of(httpx.RequestError), key=lambda kind: kind.__name__)
)
async def test_only_six_failures_say_that_nothing_was_sent(kind: type[httpx.HTTPError]) -> None:
    fake = FakeApi(kind("it failed"))  # type: ignore[call-arg]
    answer = await batch(fake)
    assert isinstance(answer, Refused if kind in NOT_SENT else Unanswered)
    assert (answer.fault.kind is ApiFaultKind.NOT_SENT) is (kind in NOT_SENT)
    if kind in NOT_SENT:
        assert "it failed" in answer.fault.message
    assert len(fake.requests) == 1


# ---- the deadline, on virtual time ----


class Slow(httpx.AsyncByteStream):
    """A body of which a byte comes every second, for ever."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(1)
            yield b" "


class Stalling(httpx.AsyncBaseTransport):
    """An API that takes requests, and its time."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self._where == "before the answer":
            await anyio.sleep_forever()
        return httpx.Response(200, stream=Slow())


def later(call: Any) -> float:
    """Run *call* on a virtual clock; return how many seconds that took."""

    async def main() -> float:
        began = trio.current_time()
        await call()
        return trio.current_time() - began

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("where", ["before the answer", "inside the answer"])
def test_a_create_never_takes_longer_than_its_deadline(where: str) -> None:
    transport = Stalling(where)

    async def create() -> None:
        async with TinyFishClient("https://api.test", KEY, transport=transport) as api:
            answer = await api.create(jobs(2), None)
        assert isinstance(answer, Unanswered)
        assert answer.fault.kind is ApiFaultKind.INTERRUPTED

    assert later(create) == pytest.approx(CREATE_SECONDS)
    assert transport.requests == 1


@pytest.mark.parametrize("where", ["before the answer", "inside the answer"])
def test_no_read_takes_longer_than_its_deadline(where: str) -> None:
    async def get() -> None:
        async with TinyFishClient("https://api.test", KEY, transport=Stalling(where)) as api:
            with pytest.raises(RequestFailed):
                await api.get_many(["a"])

    assert later(get) == pytest.approx(READ_SECONDS)


async def test_our_own_cancellation_is_no_answer() -> None:
    transport = Stalling("before the answer")
    async with TinyFishClient("https://api.test", KEY, transport=transport) as api:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(api.create, jobs(1), None)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
    assert scope.cancelled_caught
    assert transport.requests == 1


@pytest.mark.parametrize("place", ["mailto:x@y", "javascript:alert(1)", "http://xn--a/"])
def test_a_redirect_to_what_is_no_address_leaves_a_create_unanswered(place: str) -> None:
    async def create() -> CreateAnswer:
        away = httpx.Response(302, headers={"Location": place})
        transport = httpx.MockTransport(lambda request: away)
        async with TinyFishClient("http://127.0.0.1", "key", transport=transport) as api:
            return await api.create([{"url": "https://a.example", "goal": "g"}], None)

    assert isinstance(anyio.run(create), Unanswered)


def test_a_key_that_the_api_repeats_is_not_passed_on() -> None:
    async def create() -> CreateAnswer:
        shown = {"error": {"code": "INVALID_INPUT", "message": "no such key: sk-canary-8f3a51"}}
        transport = httpx.MockTransport(lambda request: httpx.Response(400, json=shown))
        async with TinyFishClient(
            "http://127.0.0.1", "sk-canary-8f3a51", transport=transport
        ) as api:
            return await api.create([{"url": "https://a.example", "goal": "g"}], None)

    answer = anyio.run(create)
    assert isinstance(answer, Refused)
    assert answer.fault.message == "no such key: ***"
