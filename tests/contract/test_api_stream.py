"""A stream of events: read however it is cut, bounded, sent for once, and never asked for again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
import trio
import trio.testing
from api_wire import KEY, FakeApi
from hypothesis import given
from hypothesis import strategies as st

from batchrunner.model import ApiFaultKind, CreateAnswer, Created, Refused, Unanswered
from batchrunner.tinyfish import http
from batchrunner.tinyfish.client import CREATE_SECONDS
from batchrunner.tinyfish.console_client import QUIET_SECONDS, STREAM_SECONDS, ConsoleClient
from batchrunner.tinyfish.event_stream import MAX_LINE_BYTES, EventDecoder, StreamEvent, read_event

RUN = {"url": "https://shop.test/", "goal": "Read it"}
STARTED = {"type": "STARTED", "run_id": "r-1", "timestamp": "2026-09-02T21:00:00Z"}


def frame(event: Any) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()


class Pieces(httpx.AsyncByteStream):
    """A body in pieces; an exception among them breaks the connection, None lets it hang."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                await anyio.sleep_forever()
            else:
                yield piece


def streamed(*pieces: bytes | Exception | None) -> httpx.Response:
    return httpx.Response(
        200, headers={"content-type": "text/event-stream"}, stream=Pieces(*pieces)
    )


def streamed_by(fake: FakeApi, schema: Any = None) -> tuple[CreateAnswer, list[StreamEvent]]:
    events: list[StreamEvent] = []

    async def listen() -> CreateAnswer:
        transport = fake.api._http._client._transport
        async with ConsoleClient("https://api.test", KEY, transport=transport) as reader:
            return await reader.create_streaming(RUN, schema, events.append)

    return anyio.run(listen), events


# ---- the run, as its stream shows it ----


def test_a_run_is_reported_from_its_beginning_to_its_end() -> None:
    fake = FakeApi(
        streamed(
            frame(STARTED),
            frame({"type": "STREAMING_URL", "run_id": "r-1", "streaming_url": "https://live.test"}),
            frame({"type": "HEARTBEAT"}),
            frame({"type": "PROGRESS", "run_id": "r-1", "purpose": "Open the page"}),
            frame({"type": "COMPLETE", "run_id": "r-1", "status": "FAILED", "error": "It broke"}),
            frame({"type": "PROGRESS", "run_id": "r-1", "purpose": "after the end"}),
        )
    )
    answer, events = streamed_by(fake, {"type": "object"})
    assert answer == Created(run_ids=("r-1",))
    kinds = ["STARTED", "STREAMING_URL", "HEARTBEAT", "PROGRESS", "COMPLETE"]
    assert [event.kind for event in events] == kinds
    assert (events[1].address, events[3].says) == ("https://live.test", "Open the page")
    assert (events[4].status, events[4].says) == ("FAILED", "It broke")
    assert json.loads(fake.requests[0].content) == {**RUN, "output_schema": {"type": "object"}}


def test_older_names_of_events_are_understood() -> None:
    event = read_event('{"type": "streaming_url", "runId": "r", "streamingUrl": "s"}')
    assert event == StreamEvent(kind="STREAMING_URL", run_id="r", address="s")


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "7", "{}", '{"type": 7}', '{"type": null}', "[" * 100_000]
)
def test_what_is_no_event_is_passed_over(data: str) -> None:
    assert read_event(data) is None


def test_an_id_that_no_database_can_keep_is_none() -> None:
    event = read_event('{"type": "STARTED", "run_id": "a\\nb"}')
    assert event is not None
    assert event.run_id is None


# ---- streams that are lost ----

LOST: list[tuple[bytes | Exception | None, ...]] = [
    (),
    (httpx.ReadError("gone"),),
    (b'data: {"type": "STAR',),
    (b"data: <html>\n\n",),
    (frame({"type": "HEARTBEAT"}),),
]


@pytest.mark.parametrize("pieces", LOST)
def test_a_stream_that_names_no_run_leaves_it_unanswered_and_is_sent_once(pieces: Any) -> None:
    fake = FakeApi(streamed(*pieces))
    answer, _ = streamed_by(fake)
    assert isinstance(answer, Unanswered)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("end", [(), (httpx.ReadError("gone"),), (b"data: half",)])
def test_a_stream_that_is_lost_after_it_named_the_run_has_created_it(end: Any) -> None:
    fake = FakeApi(streamed(frame(STARTED), *end))
    answer, _ = streamed_by(fake)
    assert answer == Created(run_ids=("r-1",))
    assert len(fake.requests) == 1


def test_a_stream_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.console_client.QUIET_SECONDS", 0.01)
    answer, _ = streamed_by(FakeApi(streamed(frame(STARTED), None)))
    assert answer == Created(run_ids=("r-1",))


def test_a_stream_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1000)
    beats = [frame({"type": "HEARTBEAT"})] * 100
    answer, events = streamed_by(FakeApi(streamed(frame(STARTED), *beats, None)))
    assert answer == Created(run_ids=("r-1",))
    assert len(events) < 60


class Stalling(httpx.AsyncBaseTransport):
    """An API that answers with *response*, or never."""

    def __init__(self, response: httpx.Response | None) -> None:
        self._response = response
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self._response is None:
            await anyio.sleep_forever()
        assert self._response is not None
        return self._response


class Beats(httpx.AsyncByteStream):
    """A stream of heartbeats without an end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(QUIET_SECONDS - 5)
            yield frame({"type": "HEARTBEAT"})


def waited(transport: httpx.AsyncBaseTransport) -> tuple[CreateAnswer, float]:
    """Return the answer, and after how many seconds of a virtual clock it came."""

    async def main() -> tuple[CreateAnswer, float]:
        began = trio.current_time()
        async with ConsoleClient("https://api.test", KEY, transport=transport) as client:
            answer = await client.create_streaming(RUN, None, lambda _: None)
        return answer, trio.current_time() - began

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("response", [None, httpx.Response(500, stream=Pieces(b"{", None))])
def test_an_answer_that_is_no_stream_has_the_deadline_of_a_create(
    response: httpx.Response | None,
) -> None:
    transport = Stalling(response)
    answer, seconds = waited(transport)
    assert isinstance(answer, Unanswered)
    assert answer.fault.kind is ApiFaultKind.INTERRUPTED
    assert seconds == pytest.approx(CREATE_SECONDS)
    assert transport.requests == 1


def test_a_stream_that_has_begun_may_take_longer_than_a_create() -> None:
    beats = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Beats())
    answer, seconds = waited(Stalling(beats))
    assert isinstance(answer, Unanswered)
    assert seconds == pytest.approx(STREAM_SECONDS)
    assert waited(Stalling(streamed(None)))[1] == pytest.approx(QUIET_SECONDS)


def test_only_what_never_left_or_was_refused_by_the_api_creates_nothing() -> None:
    error = {"error": {"code": "FORBIDDEN", "message": "agent_config.mode is not enabled"}}
    for answered, kind in (
        (httpx.Response(403, json=error), Refused),
        (httpx.ConnectError("no"), Refused),
        (httpx.Response(500, json=error), Unanswered),
        (httpx.Response(403, text="<html>"), Unanswered),
        (httpx.ReadTimeout("no"), Unanswered),
    ):
        fake = FakeApi(answered)
        assert isinstance(streamed_by(fake)[0], kind), answered
        assert len(fake.requests) == 1


def test_a_key_that_a_stream_repeats_is_not_passed_on() -> None:
    event = {"type": "PROGRESS", "run_id": "r-1", "purpose": f"with {KEY}"}
    _, events = streamed_by(FakeApi(streamed(frame(event))))
    assert [event.says for event in events] == ["with ***"]


# ---- frames ----


@given(
    st.lists(st.sampled_from(["one", "två", "{}", "a:b", " x", ""]), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 9),
)
def test_frames_are_the_same_however_they_are_cut(
    texts: list[str], line_end: str, size: int
) -> None:
    lines = [f": comment{line_end}event: x{line_end}data: {text}{line_end * 2}" for text in texts]
    sent = "".join(lines).encode()
    frames = EventDecoder()
    pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
    found = [data for piece in [*pieces, b":\n"] for data in frames.feed(piece)]
    assert found == texts


def test_lines_of_a_frame_belong_together() -> None:
    assert list(EventDecoder().feed(b"data: {\ndata: }\nid: 7\n\n\n\n")) == ["{\n}"]


def test_a_line_that_is_too_long_is_skipped_and_the_next_is_read() -> None:
    frames = EventDecoder()
    long = b"data: " + b"x" * (MAX_LINE_BYTES + 1)
    found = [
        data
        for piece in (long, b"data: y" * 10, b"\n\n", long + b"\n\n", b"data: z\n\n")
        for data in frames.feed(piece)
    ]
    assert found == ["z"]
