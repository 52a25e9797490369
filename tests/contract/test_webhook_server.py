"""Requests to the webhook server: the secret path wakes the poller, and all are bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import anyio
import httpx
import pytest
from anyio.abc import ByteStream

from batchrunner.tinyfish.webhook_server import (
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    REQUEST_SECONDS,
    WebhookServer,
)
from tests.simulator.simulated_batch import simulate

SECRET = "c2VjcmV0LXBhdGgtb2YtYS1ydW4"
WEBHOOK = f"POST /{SECRET} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ".encode()


class Caller(ByteStream):
    """A connection on which these pieces come, and then silence, or the end."""

    def __init__(self, pieces: Iterable[bytes], *, hangs: bool = False, pause: float = 0) -> None:
        self._pieces = iter(pieces)
        self._hangs = hangs
        self._pause = pause
        self.answer = b""
        self.read = 0
        self.closed_at: float | None = None

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.sleep(self._pause)
        piece = next(self._pieces, None)
        if piece is None and self._hangs:
            await anyio.sleep_forever()
        if piece is None:
            raise anyio.EndOfStream
        self.read += len(piece)
        return piece

    async def send(self, item: bytes) -> None:
        self.answer += item

    async def send_eof(self) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.closed_at = anyio.current_time()


def called(*callers: Caller, after: Sequence[Caller] = ()) -> int:
    """Let all call at once, a second after *after*; return how many requests woke the poller."""
    wake_ups: list[float] = []

    async def calls() -> None:
        server = WebhookServer(SECRET, lambda: wake_ups.append(0.0))
        async with anyio.create_task_group() as tasks:
            for caller in after:
                tasks.start_soon(server.answer, caller)
            await anyio.sleep(1 if after else 0)
            for caller in callers:
                tasks.start_soon(server.answer, caller)

    simulate(calls)
    assert all(caller.closed_at is not None for caller in (*after, *callers))
    return len(wake_ups)


def status_of(caller: Caller) -> int | None:
    return int(caller.answer.split()[1]) if caller.answer else None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"not JSON", b"\xff\x00" * 50, b'{"run_id": "of somebody else"}', b"[" * 60_000],
)
def test_any_body_on_the_secret_path_is_a_hint(body: bytes) -> None:
    caller = Caller([WEBHOOK + str(len(body)).encode() + b"\r\n\r\n" + body])
    assert called(caller) == 1
    assert status_of(caller) == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (f"GET /{SECRET}", 200),
        (f"POST /behind/a/proxy/{SECRET}?x=1", 200),
        (f"POST https://hooks.test/{SECRET}", 200),
        ("POST /", 404),
        (f"POST /{SECRET[:-1]}", 404),
        (f"POST /{SECRET}/", 404),
        (f"POST /{SECRET.lower()}", 404),
        (f"POST /other?{SECRET}", 404),
        (f"POST /{'a' * 9000}", 404),
        ("PRI *", 404),
    ],
)
def test_only_the_secret_path_is_one(line: str, status: int) -> None:
    caller = Caller([f"{line} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode()])
    assert called(caller) == (status == 200)
    assert status_of(caller) == status


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
        [b"POST /" + SECRET.encode() + b"\r\n\r\n"],
        [f"POST /{SECRET} HTTP/1.1\r\n\r\n".encode()],
        [WEBHOOK + b"-1\r\n\r\n"],
        [f"POST /{SECRET} HTTP/1.1\r\n".encode(), *[b"X-Y: " + b"z" * 90 + b"\r\n"] * 10_000],
    ],
    ids=["nothing", "TLS", "no version", "no host", "odd length", "endless head"],
)
def test_what_is_no_request_is_hung_up_on(pieces: list[bytes]) -> None:
    caller = Caller(pieces)
    assert called(caller) == 0
    assert caller.answer == b""
    assert caller.read <= MAX_HEAD_BYTES + 100
    assert caller.closed_at == 0


def test_the_answer_does_not_wait_for_a_body_that_drips_and_the_call_has_an_end() -> None:
    slow = Caller([WEBHOOK + b"60000\r\n\r\n", *[b"x"] * 60_000], pause=0.4)
    silent = Caller([WEBHOOK + b"60000\r\n\r\n"], hangs=True)
    headless = Caller([b"POST /", *[b"a"] * 60_000], pause=0.4)
    assert called(slow, silent, headless) == 2
    assert status_of(slow) == status_of(silent) == 200
    assert headless.answer == b""
    assert slow.closed_at == silent.closed_at == headless.closed_at == REQUEST_SECONDS


def test_a_body_without_end_is_read_no_further_than_the_bound() -> None:
    declared = Caller([WEBHOOK + b"9000000000\r\n\r\n", *[b"x" * 4096] * 10_000])
    head = f"POST /{SECRET} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunked = Caller([head, *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 10_000])
    assert called(declared, chunked) == 2
    for caller in (declared, chunked):
        assert status_of(caller) == 200
        assert caller.read <= MAX_BODY_BYTES + 8192


def test_who_comes_while_too_many_are_there_is_hung_up_on_and_the_next_is_not() -> None:
    idle = [Caller([], hangs=True) for _ in range(MAX_CONNECTIONS)]
    turned_away = Caller([WEBHOOK + b"0\r\n\r\n"])
    assert called(turned_away, after=idle) == 0
    assert (turned_away.answer, turned_away.read, turned_away.closed_at) == (b"", 0, 1)
    taken = Caller([WEBHOOK + b"0\r\n\r\n"])
    assert called(taken, after=idle[1:]) == 1


@pytest.mark.sweep
def test_a_flood_is_a_hint_for_each_call_and_nothing_is_kept() -> None:
    flood = [Caller([WEBHOOK + b"2\r\n\r\n{}"]) for _ in range(2_000)]
    answered = 0
    for at in range(0, len(flood), MAX_CONNECTIONS):
        answered += called(*flood[at : at + MAX_CONNECTIONS])
    assert answered == len(flood)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_real_client_is_answered_on_a_real_port(anyio_backend: str) -> None:
    wake_ups: list[int] = []
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(WebhookServer(SECRET, lambda: wake_ups.append(1)).serve, listener)
        async with httpx.AsyncClient(trust_env=False) as client:
            home = f"http://127.0.0.1:{port}"
            large = {"run_id": "x", "data": "y" * 60_000}
            answers = [await client.post(f"{home}/{SECRET}", json=large) for _ in range(3)]
            answers.append(await client.post(home, json={}))
        tasks.cancel_scope.cancel()
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
    assert len(wake_ups) == 3
