"""HTTP without a network: an ASGI application as an httpx transport."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from starlette.types import ASGIApp


class InProcess(httpx.AsyncBaseTransport):
    """Hand requests to an ASGI application in this process, under asyncio or trio.

    An application that ends without a whole answer has dropped the connection, and the client
    sees what it would see on a socket; what it raises is a mistake in it and goes through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Give the application's answer; its read timeout is that of the request."""
        exchange = _Exchange(content=await request.aread())
        patience = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(patience) as waiting:
            await self._app(_scope(request), exchange.receive, exchange.send)
        if waiting.cancelled_caught:
            raise httpx.ReadTimeout("no answer in time", request=request)
        if not exchange.whole:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            )
        answer = httpx.Response(
            exchange.status, headers=exchange.headers, stream=_Whole(bytes(exchange.answer))
        )
        # httpx would unpack a packed body here, however little of it the client wants.
        if "content-encoding" not in answer.headers:
            await answer.aread()
        return answer


class _Whole(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class Offline(httpx.AsyncBaseTransport):
    """Refuse every connection: there is no network where time is virtual."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Fail as a name does that nobody knows."""
        raise httpx.ConnectError(f"no way to {request.url.host}", request=request)


class Loopback(httpx.AsyncBaseTransport):
    """Send requests for any host to one port of this machine, with the Host header kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        # A connection that is kept may be closed by the server just when it is used again, and
        # the page would seem broken.
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Give what the port answers."""
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
    whole: bool = False
    asked: bool = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self.asked:
            await anyio.sleep_forever()  # the client stays until it is cancelled or answered
        self.asked = True
        return {"type": "http.request", "body": self.content, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        else:
            self.answer += message.get("body", b"")
            self.whole = not message.get("more_body", False)


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
