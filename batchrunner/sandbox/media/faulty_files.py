"""Artifacts with faults: what each fault sends in place of the file."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache

import anyio
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from batchrunner.sandbox.media.urls import ELSEWHERE

_MEGABYTE = 1 << 20
_MAX_BLOCKS = 64
_SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(document.domain)</script></svg>'


class _Cut(Response):
    """Sends half of a body, then drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


def _redirected(content: bytes, media: str) -> Response:
    return RedirectResponse(f"{ELSEWHERE}/artifact", status_code=302)


def _mistyped(content: bytes, media: str) -> Response:
    return Response(_SCRIPT, media_type="image/svg+xml")


def _endless(content: bytes, media: str) -> Response:
    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(_MAX_BLOCKS):
            yield bytes(_MEGABYTE)

    return StreamingResponse(zeros(), media_type=media)


def _bomb(content: bytes, media: str) -> Response:
    return Response(_packed(), media_type=media, headers={"Content-Encoding": "gzip"})


@cache
def _packed() -> bytes:
    return gzip.compress(bytes(_MAX_BLOCKS * _MEGABYTE), mtime=0)


def _truncated(content: bytes, media: str) -> Response:
    return _Cut(content, media_type=media)


def _dripping(content: bytes, media: str) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for start in range(len(content)):
            yield content[start : start + 1]
            await anyio.sleep(1)

    length = {"Content-Length": str(len(content))}
    return StreamingResponse(drops(), media_type=media, headers=length)


#: What each fault sends, from the content that it should have sent.
_SENT: Mapping[str, Callable[[bytes, str], Response]] = {
    "artifact_redirected": _redirected,
    "artifact_mistyped": _mistyped,
    "artifact_endless": _endless,
    "artifact_bomb": _bomb,
    "artifact_truncated": _truncated,
    "artifact_dripping": _dripping,
}


def faulty_content(fault: str | None, content: bytes, media: str) -> Response:
    """Return an artifact, or what its fault sends instead."""
    spoiled = _SENT.get(fault or "")
    return Response(content, media_type=media) if spoiled is None else spoiled(content, media)
