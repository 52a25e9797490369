"""Answers the API's webhooks: each request only wakes the poller; its content is not used."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import anyio
import h11
from anyio.abc import ByteStream, Listener, SocketStream

#: Maximum seconds of a request, bytes of its head, and bytes read after the head.
REQUEST_SECONDS = 5.0
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
#: Maximum connections at a time; further ones are closed at once.
MAX_CONNECTIONS = 50
#: Seconds to wait if a connection cannot be accepted: this machine lacks a resource.
ACCEPT_RETRY_SECONDS = 1.0


class WebhookServer:
    """A server with one path; each request to it calls *on_request*."""

    def __init__(self, secret: str, on_request: Callable[[], None]) -> None:
        self._secret = secret.encode()
        self._on_request = on_request
        self._connections = 0

    async def serve(self, listener: Listener[SocketStream]) -> None:
        """Answer requests for ever; a lost one only means that a run is polled later."""
        while True:
            try:
                await listener.serve(self.answer)
            except* (OSError, anyio.BrokenResourceError):
                pass
            await anyio.sleep(ACCEPT_RETRY_SECONDS)

    async def answer(self, stream: ByteStream) -> None:
        """Answer one request and close the connection, whatever was sent."""
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                with anyio.move_on_after(REQUEST_SECONDS):
                    await self._respond(stream)
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, h11.ProtocolError):
            pass  # the caller has gone, or it does not speak HTTP
        finally:
            self._connections -= 1
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    async def _respond(self, stream: ByteStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        request = await _read_head(connection, stream)
        known = self._is_known(request.target)
        if known:
            self._on_request()
        # Before the body is read: nothing in it is needed, and it may be slow.
        headers = [("Content-Length", "0"), ("Connection", "close")]
        answer = h11.Response(status_code=200 if known else 404, headers=headers)
        await stream.send(
            (connection.send(answer) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )
        await _drain(connection, stream)

    def _is_known(self, target: bytes) -> bool:
        """Whether a request is for the secret path; a proxy may have put a prefix before it."""
        path = target.partition(b"?")[0]
        return secrets.compare_digest(path.rpartition(b"/")[2], self._secret)


async def _read_head(connection: h11.Connection, stream: ByteStream) -> h11.Request:
    while not isinstance(event := connection.next_event(), h11.Request):
        if event is not h11.NEED_DATA:
            raise anyio.EndOfStream
        connection.receive_data(await stream.receive())
    return event


async def _drain(connection: h11.Connection, stream: ByteStream) -> None:
    """Read the rest of a request: closing earlier may lose the answer."""
    left = MAX_BODY_BYTES
    while left > 0:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            chunk = await stream.receive()
            left -= len(chunk)
            connection.receive_data(chunk)
        elif not isinstance(event, h11.Data):
            return
