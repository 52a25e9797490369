"""Opens a page over HTTP, and follows redirects and reloads until there are no more."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field, replace

import anyio
import httpx

from batchrunner.sandbox.agent.html import TooDeepError, attribute, join, parse

MAX_REDIRECTS = 5
MAX_REFRESHES = 5
MAX_BYTES = 2_000_000
DEADLINE = 15.0

#: Seconds; a page that reloads after a longer time shows live content, and is not a redirect.
_MAX_PATIENCE = 10
_HEADERS = {
    "User-Agent": "sandbox-agent/1.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.5",
    "Accept-Encoding": "gzip",
}
_GZIP = 16 + zlib.MAX_WBITS
_READABLE = re.compile(r"^$|text/|html|xml|json", re.I)
_REFRESH = re.compile(r"\s*(\d{1,4})(?:\.\d*)?\s*(?:[;,]\s*(?:url\s*=\s*)?['\"]?([^'\"]*))?", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A page after all redirects and reloads, or why there is none."""

    url: str
    status: int = 0  #: 0 when no answer came
    html: str = ""
    problem: str | None = None  #: one sentence that says why there is nothing to read
    actions: tuple[str, ...] = field(default=())


async def visit(client: httpx.AsyncClient, url: str) -> Visit:
    """Open an address and wait until the page has stopped redirecting and reloading.

    A page that cannot be had is a visit with a problem, never an exception.
    """
    actions = [f"Open {url[:300]}"]
    redirects = refreshes = 0
    while True:
        seen, target = await _open(client, url)
        if target is not None:
            redirects += 1
            actions.append(f"Follow the redirect to {target[:300]}")
        elif (refresh := _refresh(seen)) is not None:
            delay, target = refresh
            refreshes += 1
            actions.append("Wait for the page to finish")
            await anyio.sleep(delay)
        if target is None:
            return replace(seen, actions=tuple(actions))
        if redirects > MAX_REDIRECTS or refreshes > MAX_REFRESHES:
            problem = "The page kept sending the browser on and never finished"
            return replace(seen, problem=problem, actions=tuple(actions[:-1]))
        url = target


async def _open(client: httpx.AsyncClient, url: str) -> tuple[Visit, str | None]:
    """Return one answer, and where it redirects to."""
    try:
        request = client.build_request("GET", url, headers=_HEADERS)
        if request.url.scheme not in ("http", "https") or not request.url.host:
            return Visit(url=url, problem="The address is not a web address"), None
        with anyio.fail_after(DEADLINE):
            return await _read(client, request)
    except TimeoutError:
        problem = f"The page did not answer within {DEADLINE:.0f} seconds"
    except httpx.TimeoutException:
        problem = "The page did not answer in time"
    except httpx.ConnectError:
        problem = "The site could not be reached"
    except httpx.RequestError:
        problem = "The site broke off before its answer was complete"
    except (httpx.InvalidURL, ValueError):
        problem = "The address is not a web address"
    return Visit(url=url, problem=problem), None


async def _read(client: httpx.AsyncClient, request: httpx.Request) -> tuple[Visit, str | None]:
    response = await client.send(request, stream=True, follow_redirects=False)
    seen = Visit(url=str(response.url), status=response.status_code)
    try:
        if response.next_request is not None:
            return seen, str(response.next_request.url)
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if not _READABLE.search(kind):
            return replace(seen, problem=f"The page is a file of type {kind[:80]}"), None
        body = _unpack(await _body(response), response.headers.get("content-encoding", ""))
        if len(body) > MAX_BYTES:
            problem = f"The page is larger than {MAX_BYTES // 1_000_000} MB"
            return replace(seen, problem=problem), None
        return replace(seen, html=_decode(body, response.encoding)), None
    except zlib.error:
        return replace(seen, problem="The page's compression is broken"), None
    finally:
        await response.aclose()


async def _body(response: httpx.Response) -> bytes:
    """Return the body as it was sent, at most one chunk beyond the limit."""
    body = bytearray()
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream), "an async client's answers stream"
    # Cancelled and not left with `break`: that would abandon httpx's generators half-way, and trio
    # complains about each of them.
    with anyio.CancelScope() as scope:
        async for chunk in stream:
            if len(body) <= MAX_BYTES:
                body += chunk
            else:
                scope.cancel()
    return bytes(body)


def _unpack(body: bytes, coding: str) -> bytes:
    """Decompress gzip, to at most one byte beyond the limit."""
    if coding.strip().lower() not in ("gzip", "x-gzip"):
        return body
    return zlib.decompressobj(_GZIP).decompress(body, MAX_BYTES + 1)


def _decode(body: bytes, encoding: str | None) -> str:
    try:
        text = body.decode(encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):  # an unknown codec, or one that is not for text
        text = body.decode("utf-8", errors="replace")
    # A few codecs accept half a surrogate pair, which neither JSON nor a database accepts.
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _refresh(seen: Visit) -> tuple[int, str] | None:
    """Return after how long the page reloads, and which address it loads."""
    if "http-equiv" not in seen.html.lower():
        return None
    try:
        metas = parse(seen.html).css("meta[http-equiv]")
    except TooDeepError:
        return None
    for meta in metas:
        found = _REFRESH.match(attribute(meta, "content"))
        if attribute(meta, "http-equiv").lower() == "refresh" and found:
            delay = int(found.group(1))
            target = join(seen.url, (found.group(2) or "").strip())
            return (delay, target) if delay <= _MAX_PATIENCE else None
    return None
