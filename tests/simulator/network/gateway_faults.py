"""Faults of gateways that refuse some requests or all of them, and of limits on requests."""

from __future__ import annotations

import json
from collections.abc import Mapping

import anyio
import httpx

from tests.simulator.network.fault import FaultyRequest, NetworkFault, RequestKind, Respond

#: Seconds after which a limit on requests allows more.
_RATE_LIMIT_SECONDS = 20
_PAGE = "<html><head><title>Forbidden</title></head><body>gateway</body></html>"
#: Answers to what a gateway does not pass, each for some time.
_TURN_SECONDS = 600.0
_NOT_PASSED: tuple[tuple[int, str | None], ...] = (
    (403, "FORBIDDEN"),
    (403, None),
    (404, "NOT_FOUND"),
    (405, None),
    (501, "NOT_IMPLEMENTED"),
)


def _refusal(status: int, code: str | None) -> httpx.Response:
    """Return a refusal in the API's own shape; a page if there is no code."""
    if code is None:
        return httpx.Response(status, html=_PAGE)
    error = {"code": code, "message": "This request is not passed"}
    return httpx.Response(status, content=json.dumps({"error": error}))


def _refused(status: int, code: str | None) -> Respond:
    async def does(faulty: FaultyRequest) -> httpx.Response:
        faulty.note_happened()
        return _refusal(status, code)

    return does


async def _without_run_batch(faulty: FaultyRequest) -> httpx.Response:
    """Pass every endpoint but run-batch."""
    if not faulty.request.url.path.endswith("/run-batch"):
        return await faulty.answer()
    faulty.note_happened()
    turn = int(anyio.current_time() / _TURN_SECONDS)
    return _refusal(*_NOT_PASSED[turn % len(_NOT_PASSED)])


async def _too_many_requests(faulty: FaultyRequest) -> httpx.Response:
    faulty.note_happened()
    error = {
        "code": "RATE_LIMIT_EXCEEDED",
        "message": "Rate limit exceeded",
        "details": {"limit": 60, "window": "1m"},
    }
    headers = {"Retry-After": str(_RATE_LIMIT_SECONDS)}
    return httpx.Response(429, content=json.dumps({"error": error}), headers=headers)


async def _cancelled_nothing(faulty: FaultyRequest) -> httpx.Response:
    faulty.note_happened()
    return httpx.Response(200, json={"results": [], "not_found": None})


GATEWAY_FAULTS: Mapping[str, NetworkFault] = {
    "throttled_per_minute": NetworkFault(
        description="429 with details: too many requests in a minute", respond=_too_many_requests
    ),
    "forbidden": NetworkFault(
        description="403 in the API's own shape, whatever is requested",
        respond=_refused(403, "FORBIDDEN"),
    ),
    "forbidden_page": NetworkFault(
        description="403 with a gateway's page, whatever is requested",
        respond=_refused(403, None),
    ),
    "lost_cancel": NetworkFault(
        description="a gateway answers a cancel with an empty list; the API has nothing",
        applies_to=frozenset({RequestKind.CANCEL}),
        respond=_cancelled_nothing,
    ),
    "no_run_batch": NetworkFault(
        description="a gateway passes every endpoint but run-batch",
        applies_to=frozenset({RequestKind.CREATE}),
        respond=_without_run_batch,
    ),
}
