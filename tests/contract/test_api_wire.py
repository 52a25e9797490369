"""What becomes of a create when the wire fails, at every point: one request, one honest answer."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from api_wire import KEY, Behave, Talk, Wire, http, jobs, nobody

from batchrunner.model import (
    ApiFaultKind,
    CreateAnswer,
    Created,
    Refused,
    RequestFailed,
    Unanswered,
)
from batchrunner.tinyfish.client import TinyFishClient

pytestmark = pytest.mark.anyio

IDS = json.dumps({"run_ids": ["r0", "r1", "r2"], "error": None}).encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNSIZED = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
ERROR = b'{"error": {"code": "INTERNAL_ERROR", "message": "An unexpected error occurred"}}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # real sockets are met in production only, where that is what runs


async def create(url: str, count: int = 3, goal: str = "Read the price") -> CreateAnswer:
    async with TinyFishClient(url, KEY) as api:
        return await api.create(jobs(count, goal), None)


def says(data: bytes) -> Behave:
    """Take a whole request and answer with these bytes."""

    def behave(talk: Talk) -> None:
        talk.take()
        talk.send(data)

    return behave


def then(end: Callable[[Talk], None]) -> Behave:
    """Take a whole request, and do something else than to answer."""

    def behave(talk: Talk) -> None:
        talk.take()
        end(talk)

    return behave


def after_the_head(end: Callable[[Talk], None]) -> Behave:
    def behave(talk: Talk) -> None:
        talk.take_head()
        end(talk)

    return behave


def nothing(talk: Talk) -> None:
    """Let the connection close."""


#: The whole request arrived: the runs may exist, whatever came back.
ARRIVED = {
    "close": then(nothing),
    "reset": then(Talk.reset),
    "half a status line": says(b"HTTP/1.1 20"),
    "headers cut off": says(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "headers only": says(http(b"", length=len(IDS))),
    "half a body": says(http(IDS[:20], length=len(IDS))),
    "all but the last byte": says(http(IDS[:-1], length=len(IDS))),
    "half a chunk": says(CHUNKED + b"1f\r\n" + IDS[:10]),
    "chunks without an end": says(CHUNKED + b"%x\r\n%s\r\n" % (len(IDS), IDS)),
    "garbage": says(b"\x00\xff\x16\x03SSH-2.0\r\n\r\n"),
    "cut JSON without a length": says(UNSIZED + IDS[:25]),
    "cut JSON that ends in a bracket": says(UNSIZED + IDS[: IDS.index(b"]") + 1]),
    "nothing without a length": says(UNSIZED),
    "200 with HTML": says(http(b"<html>Log in to the hotel's network</html>")),
    "200 with text": says(http(b"OK")),
    "200 with a list": says(http(b"[]")),
    "502 with HTML": says(http(b"<html>502 Bad Gateway</html>", "502 Bad Gateway")),
    "504 with nothing": says(http(b"", "504 Gateway Timeout")),
    "500 of the API": says(http(ERROR, "500 Internal Server Error")),
    "408 and close": says(http(b"", "408 Request Timeout")),
    "404 with HTML": says(http(b"<html>404 Not Found</html>", "404 Not Found")),
    "429 with HTML": says(http(b"<html>Slow down</html>", "429 Too Many Requests")),
    "bad gzip": says(http(b"not gzip", "200 OK", "Content-Encoding: gzip")),
    "half a gzip": says(http(b"\x1f\x8b\x08\x00", "200 OK", "Content-Encoding: gzip")),
    "too many headers": says(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 40_000 + b"\r\n"),
    "another protocol": says(b"HTTP/9.9 200 OK\r\n\r\n"),
}
#: Only a part of the request arrived, but no client can tell.
PARTLY = {
    "reset at once": Talk.reset,
    "closed at once": nothing,
    "reset after the head": after_the_head(Talk.reset),
    "closed in the middle of the body": after_the_head(nothing),
}


@pytest.mark.parametrize("fault", ARRIVED)
async def test_a_create_that_arrived_and_got_no_answer_is_unanswered_and_sent_once(
    fault: str,
) -> None:
    with Wire(ARRIVED[fault]) as wire:
        answer = await create(wire.url)
    assert isinstance(answer, Unanswered)
    assert answer.fault.message
    assert (len(wire.requests), wire.connections) == (1, 1)


@pytest.mark.parametrize("fault", PARTLY)
async def test_a_create_that_was_cut_off_on_its_way_is_unanswered_and_sent_once(fault: str) -> None:
    with Wire(PARTLY[fault]) as wire:
        answer = await create(wire.url, 100, "Read the price " * 2000)
    assert not isinstance(answer, Created)
    # A reset can come before the first byte; only then, nothing was sent for sure.
    assert isinstance(answer, Unanswered) or fault == "reset at once"
    assert answer.fault.kind in (ApiFaultKind.INTERRUPTED, ApiFaultKind.NOT_SENT)
    assert (len(wire.requests), wire.connections) == (0, 1)


@pytest.mark.parametrize("fault", ["silence", "drip", "drip of an answer that never ends"])
async def test_an_answer_that_does_not_come_in_time_is_unanswered(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.client.CREATE_SECONDS", 0.3)
    behave = {
        "silence": then(Talk.stay_silent),
        "drip": then(lambda talk: talk.drip(http(IDS + b" " * 10_000))),
        "drip of an answer that never ends": then(lambda talk: talk.drip(UNSIZED + b" " * 10_000)),
    }[fault]
    with Wire(behave) as wire:
        answer = await create(wire.url)
    assert isinstance(answer, Unanswered)
    assert (answer.fault.kind, len(wire.requests)) == (ApiFaultKind.INTERRUPTED, 1)


async def test_a_connection_that_nobody_takes_is_refused_for_sure() -> None:
    answer = await create(nobody())
    assert isinstance(answer, Refused)
    assert answer.fault.kind is ApiFaultKind.NOT_SENT
    assert "cannot be reached" in answer.fault.message


async def test_a_whole_answer_is_created() -> None:
    with Wire(says(http(IDS))) as wire:
        assert await create(wire.url) == Created(run_ids=("r0", "r1", "r2"))
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "line",
    ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"],
)
async def test_no_other_host_ever_sees_anything(line: str) -> None:
    with Wire(says(http(IDS))) as other:
        moved = http(b"", line, f"Location: {other.url}/v1/automation/run-batch")
        with Wire(says(moved)) as wire:
            assert isinstance(await create(wire.url), Unanswered)
            async with TinyFishClient(wire.url, KEY) as api:
                with pytest.raises(RequestFailed):
                    await api.get_many(["r0"])
                with pytest.raises(RequestFailed):
                    await api.cancel("r0")
    assert other.connections == 0
    assert len(wire.requests) == 3


async def test_the_key_stands_in_its_header_and_nowhere_else() -> None:
    with Wire(says(http(IDS))) as wire:
        await create(wire.url)
    [request] = wire.requests
    assert request.count(KEY.encode()) == 1
    assert f"\r\nX-API-Key: {KEY}\r\n".encode() in request
    assert request.startswith(b"POST /v1/automation/run-batch HTTP/1.1\r\n")


@pytest.mark.sweep
async def test_a_connection_that_was_closed_between_requests_costs_nothing() -> None:
    with Wire(says(http(IDS).replace(b"Connection: close", b"Connection: keep-alive"))) as wire:
        async with TinyFishClient(wire.url, KEY) as api:
            for _ in range(5):
                answer = await api.create(jobs(3), None)
                assert isinstance(answer, Created | Unanswered)
    assert len(wire.requests) <= 5
