"""httpx transports without a network: an ASGI application in this process, or no network at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp

from batchrunner.network.clients import plain_transport


class InProcess(httpx.AsyncBaseTransport):
    """Passes requests to an ASGI application in this process, on asyncio or trio.

    If the application returns without a complete answer, the client sees a dropped connection, as
    on a socket. Its exceptions are bugs and pass through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the application's answer, within the read timeout of the request."""
        exchange = _Exchange(content=await request.aread())
        read_timeout = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(read_timeout) as waiting:
            await self._app(_scope(request), exchange.receive, exchange.send)
        if waiting.cancelled_caught:
            raise httpx.ReadTimeout("no answer in time", request=request)
        if not exchange.complete:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            )
        answer = httpx.Response(
            exchange.status, headers=exchange.headers, stream=_Whole(bytes(exchange.answer))
        )
        # httpx would decompress the whole body here, even if the client wants only a part.
        if "content-encoding" not in answer.headers:
            await answer.aread()
        return answer


class _Whole(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class Offline(httpx.AsyncBaseTransport):
    """Refuses every connection: there is no network on a virtual clock."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Fail like an unknown host name."""
        raise httpx.ConnectError(f"no way to {request.url.host}", request=request)


class Loopback(httpx.AsyncBaseTransport):
    """Sends requests for any host to one port of this machine, with their Host header."""

    def __init__(self, port: int) -> None:
        self._port = port
        # The server may close a kept connection just when it is used again; the page would seem
        # broken.
        self._inner = plain_transport(httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the port."""
        return await self._inner.handle_async_request(
            httpx.Request(
                method=request.method,
                url=request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


@dataclass
class _Exchange:
    content: bytes
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    answer: bytearray = field(default_factory=bytearray)
    complete: bool = False
    received: bool = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self.received:
            await anyio.sleep_forever()  # the client waits until it is cancelled or has its answer
        self.received = True
        return {"type": "http.request", "body": self.content, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        else:
            self.answer += message.get("body", b"")
            self.complete = not message.get("more_body", False)


def _scope(request: httpx.Request) -> MutableMapping[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (request.url.host, request.url.port),
        "client": ("127.0.0.1", 0),
    }
