"""Answers webhooks: each request to the secret path is a hint, and nothing it says is kept."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import anyio
import h11
from anyio.abc import ByteStream, Listener, SocketStream

#: Seconds that a caller has in all, bytes that its head may have, and bytes read after it.
REQUEST_SECONDS = 5.0
MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024
#: Callers at the same time; who comes while there are so many is hung up on.
MAX_CONNECTIONS = 50
#: Seconds to wait where no caller could be taken: this machine is short of something.
ACCEPT_RETRY_SECONDS = 1.0


class WebhookServer:
    """A server that knows one path, and gives a hint for each request to it."""

    def __init__(self, secret: str, ring: Callable[[], None]) -> None:
        self._secret = secret.encode()
        self._ring = ring
        self._callers = 0

    async def serve(self, listener: Listener[SocketStream]) -> None:
        """Answer all callers; for ever, as a lost hint costs nothing but time."""
        while True:
            try:
                await listener.serve(self.answer)
            except* (OSError, anyio.BrokenResourceError):
                pass
            await anyio.sleep(ACCEPT_RETRY_SECONDS)

    async def answer(self, stream: ByteStream) -> None:
        """Answer one request and hang up, whatever it is."""
        self._callers += 1
        try:
            if self._callers <= MAX_CONNECTIONS:
                with anyio.move_on_after(REQUEST_SECONDS):
                    await self._converse(stream)
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError, h11.ProtocolError):
            pass  # nobody is there any more who could be told, or it is no HTTP
        finally:
            self._callers -= 1
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    async def _converse(self, stream: ByteStream) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        request = await _head(wire, stream)
        known = self._is_known(request.target)
        if known:
            self._ring()
        # Before the body: it tells nothing that is needed, and may be slow on its way.
        headers = [("Content-Length", "0"), ("Connection", "close")]
        answer = h11.Response(status_code=200 if known else 404, headers=headers)
        await stream.send((wire.send(answer) or b"") + (wire.send(h11.EndOfMessage()) or b""))
        await _drain(wire, stream)

    def _is_known(self, target: bytes) -> bool:
        """Whether a request goes to the secret path; a proxy may have put something before it."""
        path = target.partition(b"?")[0]
        return secrets.compare_digest(path.rpartition(b"/")[2], self._secret)


async def _head(wire: h11.Connection, stream: ByteStream) -> h11.Request:
    while not isinstance(event := wire.next_event(), h11.Request):
        if event is not h11.NEED_DATA:
            raise anyio.EndOfStream
        wire.receive_data(await stream.receive())
    return event


async def _drain(wire: h11.Connection, stream: ByteStream) -> None:
    """Read what is left of a request: who hangs up before may take the answer along."""
    left = MAX_BODY_BYTES
    while left > 0:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            piece = await stream.receive()
            left -= len(piece)
            wire.receive_data(piece)
        elif not isinstance(event, h11.Data):
            return
