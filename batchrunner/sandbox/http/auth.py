"""Checks API keys, and tells accounts apart by them."""

from __future__ import annotations

import hashlib

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from batchrunner.sandbox.http.errors import ApiErrorAnswer
from batchrunner.sandbox.http.responses import Refusals
from batchrunner.sandbox.scenario import SandboxConfig

#: Paths that need no key: browsers open them.
_FOR_BROWSERS = ("/live/", "/runs/", "/artifacts/")


def holder_of(request: HTTPConnection, config: SandboxConfig) -> str:
    """Return a name for the account of a key if keys are accounts; the key is not kept."""
    if not config.apart:
        return ""
    return hashlib.sha256(request.headers["x-api-key"].encode()).hexdigest()[:16]


class KeyCheck:
    """Lets only requests with a valid key pass; pages for browsers are outside of /v1."""

    def __init__(self, app: ASGIApp, *, keys: frozenset[str] | None, refusals: Refusals) -> None:
        self._app = app
        self._keys = keys
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        is_api = scope["type"] == "http" and not scope["path"].startswith(_FOR_BROWSERS)
        wrong = self._wrong(scope) if is_api else None
        app = self._app if wrong is None else self._refusals.answer(wrong)
        await app(scope, receive, send)

    def _wrong(self, scope: Scope) -> ApiErrorAnswer | None:
        key = HTTPConnection(scope).headers.get("x-api-key", "")
        if not key:
            return ApiErrorAnswer(401, "MISSING_API_KEY", "X-API-Key header is required")
        if self._keys is not None and key not in self._keys:
            return ApiErrorAnswer(401, "INVALID_API_KEY", "Invalid or expired API key")
        return None
