"""Faults of connections, proxies and rate limits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import anyio
import httpx

from tests.simulator.network.fault import FaultyRequest, NetworkFault, Respond

#: The host to which redirects lead; no client may send anything there.
ANOTHER_HOST = "elsewhere.test"

#: A very slow answer: bytes in a piece, and seconds between two pieces.
_PIECE_BYTES, _PIECE_SECONDS = 3, 20.0
#: The server's clock, and half a minute later.
_DATE, _LATER = "Sat, 21 Nov 2026 22:00:00 GMT", "Sat, 21 Nov 2026 22:00:30 GMT"
#: Values of Retry-After that no server should send.
_ABSURD = ("1e9", "-5", "soon", "")


class _Stream(httpx.AsyncByteStream):
    """A body without a length, which arrives in pieces."""

    def __init__(self, pieces: Sequence[bytes], pause: float = 0.0) -> None:
        self._pieces = pieces
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
            await anyio.sleep(self._pause)


def _broken(error: type[httpx.TransportError], *, after: bool) -> Respond:
    async def does(faulty: FaultyRequest) -> httpx.Response:
        if after:
            await faulty.answer()
        faulty.note_happened()
        raise error("the connection broke", request=faulty.request)

    return does


def _answered(answer: Callable[[FaultyRequest], httpx.Response], *, after: bool) -> Respond:
    """Answer in the place of the API, before or *after* it gets the request."""

    async def does(faulty: FaultyRequest) -> httpx.Response:
        if after:
            await faulty.answer()
        faulty.note_happened()
        return answer(faulty)

    return does


async def _silence(faulty: FaultyRequest) -> httpx.Response:
    answer = await faulty.answer()
    faulty.note_happened()
    await anyio.sleep_forever()
    return answer


async def _drip(faulty: FaultyRequest) -> httpx.Response:
    answer = await faulty.answer()
    faulty.note_happened()
    body = answer.content
    drops = [body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES)]
    return httpx.Response(answer.status_code, stream=_Stream(drops, _PIECE_SECONDS))


async def _cut(faulty: FaultyRequest) -> httpx.Response:
    answer = await faulty.answer()
    faulty.note_happened()
    half = answer.content[: len(answer.content) // 2]
    return httpx.Response(200, stream=_Stream([half]))


async def _revoked(faulty: FaultyRequest) -> httpx.Response:
    faulty.request.headers["X-API-Key"] = "revoked"
    answer = await faulty.answer()
    if answer.status_code == 401:
        faulty.note_happened()
    return answer


def _page(status: int, **headers: str) -> Callable[[FaultyRequest], httpx.Response]:
    """Return an answer in HTML, like a proxy's."""
    text = f"<html><head><title>{status}</title></head><body>nginx</body></html>"
    return lambda faulty: httpx.Response(status, html=text, headers=headers)


def _json(status: int, body: Any, **headers: str) -> Callable[[FaultyRequest], httpx.Response]:
    return lambda faulty: httpx.Response(status, content=json.dumps(body), headers=headers)


def _redirected(faulty: FaultyRequest) -> httpx.Response:
    return httpx.Response(
        302, headers={"Location": f"https://{ANOTHER_HOST}{faulty.request.url.path}"}
    )


_SLOW_DOWN = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded."}}


def _throttled(wait: Mapping[str, str] | None, *, page: bool) -> Respond:
    """Return a 429 that says how long to *wait*; if None, absurd values in turn."""

    def answer(faulty: FaultyRequest) -> httpx.Response:
        said = {"Retry-After": _ABSURD[faulty.nth % len(_ABSURD)]} if wait is None else wait
        made = _page(429, **said) if page else _json(429, _SLOW_DOWN, **said)
        return made(faulty)

    return _answered(answer, after=False)


_GZIP = {"Content-Encoding": "gzip"}
_WAIT = {"Retry-After": "30"}
_WAIT_UNTIL = {"Date": _DATE, "Retry-After": _LATER}
_LATE = {"error": {"code": "TIMEOUT", "message": "Request timeout"}}

CONNECTION_FAULTS: Mapping[str, NetworkFault] = {
    "refused": NetworkFault(
        description="the connection is refused; nothing is sent",
        respond=_broken(httpx.ConnectError, after=False),
    ),
    "connect_timeout": NetworkFault(
        description="the connection times out; nothing is sent",
        respond=_broken(httpx.ConnectTimeout, after=False),
    ),
    "reset_before": NetworkFault(
        description="the connection breaks before the API has the request",
        respond=_broken(httpx.ReadError, after=False),
    ),
    "reset_after": NetworkFault(
        description="the connection breaks after the request took effect",
        respond=_broken(httpx.ReadError, after=True),
    ),
    "closed_after": NetworkFault(
        description="the connection is closed after the request took effect",
        respond=_broken(httpx.RemoteProtocolError, after=True),
    ),
    "silence": NetworkFault(
        description="the request takes effect, and no answer ever arrives", respond=_silence
    ),
    "drip": NetworkFault(description="the answer arrives, nine bytes a minute", respond=_drip),
    "cut": NetworkFault(
        description="half of the answer, with status 200 and no length", respond=_cut
    ),
    "broken_gzip": NetworkFault(
        description="the compression of the answer is broken",
        # Without a stream, httpx decompresses it at once, and raises the same error earlier.
        respond=_answered(
            lambda faulty: httpx.Response(200, headers=_GZIP, content=b"\x1f\x8b\x08 no"),
            after=True,
        ),
    ),
    "bad_gateway_before": NetworkFault(
        description="502 with a proxy's page; the API has nothing",
        respond=_answered(_page(502), after=False),
    ),
    "bad_gateway_after": NetworkFault(
        description="502 with a proxy's page, although the request took effect",
        respond=_answered(_page(502), after=True),
    ),
    "gateway_timeout": NetworkFault(
        description="504 with an empty body, although the request took effect",
        respond=_answered(lambda faulty: httpx.Response(504), after=True),
    ),
    "request_timeout": NetworkFault(
        description="408 in the API's own words, although the request took effect",
        respond=_answered(_json(408, _LATE), after=True),
    ),
    "captive_portal": NetworkFault(
        description="200 with the login page of a hotel; the API has nothing",
        respond=_answered(_page(200), after=False),
    ),
    "redirect": NetworkFault(
        description="302 to another host, where the key must not go",
        respond=_answered(_redirected, after=False),
    ),
    "throttled": NetworkFault(
        description="429 of the API with Retry-After in seconds",
        respond=_throttled(_WAIT, page=False),
    ),
    "throttled_until": NetworkFault(
        description="429 of the API with Retry-After as a date",
        respond=_throttled(_WAIT_UNTIL, page=False),
    ),
    "throttled_unsaid": NetworkFault(
        description="429 of the API without Retry-After", respond=_throttled({}, page=False)
    ),
    "throttled_absurd": NetworkFault(
        description="429 of the API with a Retry-After that no server should send",
        respond=_throttled(None, page=False),
    ),
    "proxy_throttled": NetworkFault(
        description="429 of a proxy with Retry-After in seconds",
        respond=_throttled(_WAIT, page=True),
    ),
    "proxy_throttled_until": NetworkFault(
        description="429 of a proxy with Retry-After as a date",
        respond=_throttled(_WAIT_UNTIL, page=True),
    ),
    "proxy_throttled_unsaid": NetworkFault(
        description="429 of a proxy without Retry-After", respond=_throttled({}, page=True)
    ),
    "proxy_throttled_absurd": NetworkFault(
        description="429 of a proxy with a Retry-After that no server should send",
        respond=_throttled(None, page=True),
    ),
    "revoked_key": NetworkFault(
        description="401: the API refuses the key for a while", respond=_revoked
    ),
}
