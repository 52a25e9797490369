"""What broken lines, proxies and limits do to a request: the API says nothing of it, or little."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import anyio
import httpx

from tests.simulator.network.fault import Does, FaultyRequest, NetworkFault

#: Where a redirect leads; nobody may ever ask there.
ANOTHER_HOST = "elsewhere.test"

#: A drip: so many bytes, so many seconds apart.
_DROP, _PAUSE = 3, 20.0
#: The server's clock, and half a minute later.
_DATE, _LATER = "Sat, 21 Nov 2026 22:00:00 GMT", "Sat, 21 Nov 2026 22:00:30 GMT"
#: What no server should say.
_ABSURD = ("1e9", "-5", "soon", "")


class _Stream(httpx.AsyncByteStream):
    """A body whose length nobody told, in pieces that come one by one."""

    def __init__(self, pieces: Sequence[bytes], pause: float = 0.0) -> None:
        self._pieces = pieces
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
            await anyio.sleep(self._pause)


def _broken(error: type[httpx.TransportError], *, after: bool) -> Does:
    async def does(trip: FaultyRequest) -> httpx.Response:
        if after:
            await trip.answer()
        trip.strike()
        raise error("the line broke", request=trip.request)

    return does


def _said(answer: Callable[[FaultyRequest], httpx.Response], *, after: bool) -> Does:
    """Let somebody on the way answer, before or *after* the API had the request."""

    async def does(trip: FaultyRequest) -> httpx.Response:
        if after:
            await trip.answer()
        trip.strike()
        return answer(trip)

    return does


async def _silence(trip: FaultyRequest) -> httpx.Response:
    answer = await trip.answer()
    trip.strike()
    await anyio.sleep_forever()
    return answer


async def _drip(trip: FaultyRequest) -> httpx.Response:
    answer = await trip.answer()
    trip.strike()
    body = answer.content
    drops = [body[at : at + _DROP] for at in range(0, len(body), _DROP)]
    return httpx.Response(answer.status_code, stream=_Stream(drops, _PAUSE))


async def _cut(trip: FaultyRequest) -> httpx.Response:
    answer = await trip.answer()
    trip.strike()
    half = answer.content[: len(answer.content) // 2]
    return httpx.Response(200, stream=_Stream([half]))


async def _revoked(trip: FaultyRequest) -> httpx.Response:
    trip.request.headers["X-API-Key"] = "revoked"
    answer = await trip.answer()
    if answer.status_code == 401:
        trip.strike()
    return answer


def _page(status: int, **headers: str) -> Callable[[FaultyRequest], httpx.Response]:
    """Return an answer in HTML, as proxies give them."""
    text = f"<html><head><title>{status}</title></head><body>nginx</body></html>"
    return lambda trip: httpx.Response(status, html=text, headers=headers)


def _json(status: int, body: Any, **headers: str) -> Callable[[FaultyRequest], httpx.Response]:
    return lambda trip: httpx.Response(status, content=json.dumps(body), headers=headers)


def _elsewhere(trip: FaultyRequest) -> httpx.Response:
    return httpx.Response(
        302, headers={"Location": f"https://{ANOTHER_HOST}{trip.request.url.path}"}
    )


_SLOW_DOWN = {"error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Rate limit exceeded."}}


def _throttled(wait: Mapping[str, str] | None, *, page: bool) -> Does:
    """Return a 429 that says how long to *wait*, or by None something absurd in turn."""

    def answer(trip: FaultyRequest) -> httpx.Response:
        said = {"Retry-After": _ABSURD[trip.nth % len(_ABSURD)]} if wait is None else wait
        made = _page(429, **said) if page else _json(429, _SLOW_DOWN, **said)
        return made(trip)

    return _said(answer, after=False)


_GZIP = {"Content-Encoding": "gzip"}
_WAIT = {"Retry-After": "30"}
_WAIT_UNTIL = {"Date": _DATE, "Retry-After": _LATER}
_LATE = {"error": {"code": "TIMEOUT", "message": "Request timeout"}}

CONNECTION_FAULTS: Mapping[str, NetworkFault] = {
    "refused": NetworkFault(
        says="the connection is refused; nothing is sent",
        does=_broken(httpx.ConnectError, after=False),
    ),
    "connect_timeout": NetworkFault(
        says="nobody answers the connection; nothing is sent",
        does=_broken(httpx.ConnectTimeout, after=False),
    ),
    "reset_before": NetworkFault(
        says="the line breaks before the API has the request",
        does=_broken(httpx.ReadError, after=False),
    ),
    "reset_after": NetworkFault(
        says="the line breaks when the request has taken effect",
        does=_broken(httpx.ReadError, after=True),
    ),
    "closed_after": NetworkFault(
        says="the connection is closed when the request has taken effect",
        does=_broken(httpx.RemoteProtocolError, after=True),
    ),
    "silence": NetworkFault(says="the request takes effect; no answer ever", does=_silence),
    "drip": NetworkFault(says="the answer comes, nine bytes a minute", does=_drip),
    "cut": NetworkFault(says="half of the answer, with status 200 and no length", does=_cut),
    "broken_gzip": NetworkFault(
        says="the answer's compression is broken",
        # httpx unpacks it at once, as it has no stream, and raises what it would raise later.
        does=_said(
            lambda trip: httpx.Response(200, headers=_GZIP, content=b"\x1f\x8b\x08 no"),
            after=True,
        ),
    ),
    "bad_gateway_before": NetworkFault(
        says="502 with a proxy's page; the API has nothing", does=_said(_page(502), after=False)
    ),
    "bad_gateway_after": NetworkFault(
        says="502 with a proxy's page, although the request took effect",
        does=_said(_page(502), after=True),
    ),
    "gateway_timeout": NetworkFault(
        says="504 with nothing in it, although the request took effect",
        does=_said(lambda trip: httpx.Response(504), after=True),
    ),
    "request_timeout": NetworkFault(
        says="408 in the API's own words, although the request took effect",
        does=_said(_json(408, _LATE), after=True),
    ),
    "captive_portal": NetworkFault(
        says="200 with the page of a hotel; the API has nothing",
        does=_said(_page(200), after=False),
    ),
    "redirect": NetworkFault(
        says="302 to another host, where the key must not go", does=_said(_elsewhere, after=False)
    ),
    "throttled": NetworkFault(
        says="429 of the API with Retry-After in seconds", does=_throttled(_WAIT, page=False)
    ),
    "throttled_until": NetworkFault(
        says="429 of the API with Retry-After as a date", does=_throttled(_WAIT_UNTIL, page=False)
    ),
    "throttled_unsaid": NetworkFault(
        says="429 of the API without Retry-After", does=_throttled({}, page=False)
    ),
    "throttled_absurd": NetworkFault(
        says="429 of the API with a Retry-After that no server should send",
        does=_throttled(None, page=False),
    ),
    "proxy_throttled": NetworkFault(
        says="429 of a proxy with Retry-After in seconds", does=_throttled(_WAIT, page=True)
    ),
    "proxy_throttled_until": NetworkFault(
        says="429 of a proxy with Retry-After as a date", does=_throttled(_WAIT_UNTIL, page=True)
    ),
    "proxy_throttled_unsaid": NetworkFault(
        says="429 of a proxy without Retry-After", does=_throttled({}, page=True)
    ),
    "proxy_throttled_absurd": NetworkFault(
        says="429 of a proxy with a Retry-After that no server should send",
        does=_throttled(None, page=True),
    ),
    "revoked_key": NetworkFault(
        says="401: the API does not take the key for a while", does=_revoked
    ),
}
