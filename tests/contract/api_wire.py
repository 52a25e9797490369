"""A server with faulty connections, and a fake API with any answers."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx

from batchrunner.tinyfish.client import TinyFishClient

KEY = "sk-tinyfish-canary-7f3a9c"

Behave = Callable[["Talk"], None]


class Talk:
    """One connection, from the server's side."""

    def __init__(self, connection: socket.socket, wire: Wire) -> None:
        self._connection = connection
        self._wire = wire
        self.head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._connection.close()

    def take_head(self) -> None:
        """Read to the end of the headers, and not much further."""
        while b"\r\n\r\n" not in self.head:
            self.head += self._connection.recv(1)

    def take(self) -> None:
        """Read a whole request."""
        self.take_head()
        lines = self.head.lower().split(b"\r\n")
        lengths = [line.split(b":")[1] for line in lines if line.startswith(b"content-length:")]
        left = int(lengths[0]) if lengths else 0
        body = b""
        while len(body) < left:
            body += self._connection.recv(left - len(body))
        self._wire.requests.append(self.head + body)

    def read(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        data = b""
        while len(data) < count:
            data += self._connection.recv(count - len(data))
        return data

    def secure(self, context: ssl.SSLContext) -> None:
        """Go on with TLS."""
        self._connection = context.wrap_socket(self._connection, server_side=True)

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reset(self) -> None:
        """End the connection as a crash does."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def stay_silent(self) -> None:
        """Wait until the client goes."""
        while self._connection.recv(1):
            pass

    def drip(self, data: bytes) -> None:
        """Send one byte after the other until the client goes."""
        self._connection.settimeout(0.02)
        for byte in data:
            self._connection.sendall(bytes([byte]))
            try:
                if not self._connection.recv(1):
                    return
            except TimeoutError:
                continue


class Wire:
    """A port on this machine whose connections all have the same fault."""

    def __init__(self, behave: Behave, tls: ssl.SSLContext | None = None) -> None:
        self._behave = behave
        self._tls = tls
        self._listening = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[bytes] = []  #: those that arrived whole
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            talk = Talk(connection, self)
            with talk, suppress(OSError):
                if self._tls is not None:
                    talk.secure(self._tls)
                self._behave(talk)


def nobody() -> str:
    """Return the address of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def http(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """Write an answer that ends the connection."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Parts(httpx.AsyncByteStream):
    """A body that comes in parts, before any decoding."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


def raw(body: bytes, status: int = 200, **headers: str) -> httpx.Response:
    """Build an answer whose body is decoded only when it is read."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=Parts([body]))


class FakeApi:
    """An API that gives prepared answers, and remembers what it was asked."""

    def __init__(
        self, *answers: httpx.Response | Exception | Callable[..., httpx.Response]
    ) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.api = TinyFishClient(
            "https://api.test", KEY, transport=httpx.MockTransport(self._answer)
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def jobs(count: int, goal: str = "Read the price") -> list[dict[str, Any]]:
    return [{"url": f"https://shop.test/{at}", "goal": f"{goal} ({at})"} for at in range(count)]
