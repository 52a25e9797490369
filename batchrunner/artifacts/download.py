"""Downloads one artifact: sends the key to the API only, and checks address, size and type."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, cast

import anyio
import httpx

from batchrunner.api_facts.endpoint_paths import step_artifact_path
from batchrunner.artifacts.download_errors import (
    DownloadFailed,
    DownloadFailure,
    check_status,
    download_errors,
    later,
    refused,
)
from batchrunner.artifacts.media_types import (
    HEAD_BYTES,
    LIMITS,
    is_allowed_type,
    media_type_in,
    media_type_of,
)
from batchrunner.artifacts.url_safety import (
    Resolve,
    UnsafeUrl,
    origin_of,
    parsed,
    resolved,
    safe_route,
)
from batchrunner.model.artifacts import ArtifactKind
from batchrunner.network.clients import http_client

__all__ = ["ArtifactDownloader", "DownloadFailed", "DownloadFailure", "Downloaded", "is_id"]

#: Maximum redirects that are followed.
MAX_REDIRECTS = 3
#: Seconds without a byte after which a connection is closed.
IDLE_SECONDS = 30.0
#: Bytes that are written at once.
BLOCK_BYTES = 256 * 1024
#: Allowed ids of runs and steps: an id becomes a part of a path.
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
#: The API's name of each kind, at the end of a step's path.
_STEP_ARTIFACTS = {ArtifactKind.SCREENSHOTS: "screenshot", ArtifactKind.HTML: "html"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Downloaded:
    """A whole artifact, passed on."""

    size: int
    sha256: str
    media: str

    def suffix(self, kind: ArtifactKind) -> str:
        """Return the end of the file's name."""
        return LIMITS[kind].medias[self.media]


Take = Callable[[bytes], Awaitable[None]]


def is_id(text: str | None) -> bool:
    """Whether *text* can be the id of a run or of a step."""
    return text is not None and _ID.fullmatch(text) is not None


class ArtifactDownloader:
    """
    Downloads artifacts from the API with the key, and from other addresses without it.

    The host of an address is resolved once, and the request goes to the machine that was checked:
    a name server cannot give another answer later. No proxy is used, as it would resolve again.
    """

    def __init__(
        self,
        api_url: str,
        key: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        resolve: Resolve = resolved,
        outside: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = httpx.URL(api_url)
        self._api = url
        self._keyed = _client(transport, headers={"X-API-Key": key})
        self._plain = _client(transport)
        self._outside = _client(outside, proxies=False)
        self._resolve = resolve
        self._exit_stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the connections."""
        for client in (self._keyed, self._plain, self._outside):
            await self._exit_stack.enter_async_context(client)
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        """Close the connections."""
        await self._exit_stack.aclose()

    async def step(self, run_id: str, step_id: str, kind: ArtifactKind, take: Take) -> Downloaded:
        """
        Download what was captured at a step, and pass it to *take* block by block.

        Raises:
            DownloadFailed: It was not downloaded, or not whole; some blocks may have been passed.
        """
        if not (is_id(run_id) and is_id(step_id)):
            raise refused("the id of its step is a path, or no id at all")
        path = step_artifact_path(run_id, step_id, _STEP_ARTIFACTS[kind])
        request = self._keyed.build_request("GET", self._api.join(path))
        async with _deadline(LIMITS[kind].seconds):
            async with self._answer(self._keyed, request) as answer:
                if not answer.has_redirect_location:
                    return await _pass_on(answer, kind, take, keyed=True)
                target = _redirect_target(answer)
            return await self._follow(target, kind, take, hops=1)

    async def address(self, address: str, kind: ArtifactKind, take: Take) -> Downloaded:
        """
        Download what is at an address without the key, and pass it to *take* block by block.

        Raises:
            DownloadFailed: It was not downloaded, or not whole; some blocks may have been passed.
        """
        async with _deadline(LIMITS[kind].seconds):
            return await self._follow(address, kind, take, hops=0)

    async def _follow(self, address: str, kind: ArtifactKind, take: Take, hops: int) -> Downloaded:
        while hops <= MAX_REDIRECTS:
            async with self._open_address(address) as answer:
                if not answer.has_redirect_location:
                    return await _pass_on(answer, kind, take, keyed=False)
                address = _redirect_target(answer)
            hops += 1
        raise refused(f"it was redirected more than {MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _open_address(self, address: str) -> AsyncIterator[httpx.Response]:
        try:
            url = parsed(address)
            if origin_of(url) == origin_of(self._api):
                request = self._plain.build_request("GET", url)
                async with self._answer(self._plain, request) as answer:
                    yield answer
                return
            route = await safe_route(url, self._resolve)
        except UnsafeUrl as error:
            raise refused(str(error)) from error
        except OSError as error:
            raise later(f"nobody knows the host {url.host}") from error
        async with await self._send_outside(route.url, route.hosts) as answer:
            yield answer

    async def _send_outside(self, url: httpx.URL, hosts: tuple[str, ...]) -> _Closing:
        """Send the request to one of the checked machines, under the host name of the address."""
        failure: httpx.TransportError = httpx.ConnectError("no address")
        for host in hosts:
            request = self._outside.build_request(
                "GET",
                url.copy_with(host=host),
                headers={"Host": url.netloc.decode()},
                extensions={"sni_hostname": url.raw_host.decode()},
            )
            try:
                return _Closing(await self._outside.send(request, stream=True))
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure

    @asynccontextmanager
    async def _answer(
        self, client: httpx.AsyncClient, request: httpx.Request
    ) -> AsyncIterator[httpx.Response]:
        async with _Closing(await client.send(request, stream=True)) as answer:
            yield answer


class _Closing:
    """An answer that is closed at the end of the block."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    async def __aenter__(self) -> httpx.Response:
        return self._answer

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._answer.aclose()


def _client(
    transport: httpx.AsyncBaseTransport | None,
    *,
    proxies: bool = True,
    headers: dict[str, str] | None = None,
) -> httpx.AsyncClient:
    client = http_client(
        headers={"User-Agent": "batchrunner", "Accept": "*/*", **(headers or {})},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        proxies=proxies,
        timeout=httpx.Timeout(None, connect=10),
        # A connection that was checked for one name must not serve another one.
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=0),
        transport=transport,
    )
    client.headers["Accept-Encoding"] = "identity"
    return client


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Give the block so many seconds, and turn what goes wrong in it into DownloadFailed."""
    with download_errors(seconds), anyio.fail_after(seconds):
        yield


def _redirect_target(answer: httpx.Response) -> str:
    """Return the target of a redirect."""
    try:
        return str(answer.request.url.join(answer.headers["location"]))
    except (httpx.InvalidURL, ValueError) as error:
        raise refused("it was redirected to an address that is none") from error


async def _pass_on(
    answer: httpx.Response, kind: ArtifactKind, take: Take, *, keyed: bool
) -> Downloaded:
    check_status(answer.status_code, keyed=keyed)
    declared = _check_headers(answer, kind)
    limit, size, media = LIMITS[kind].bytes, 0, None
    digest, block = hashlib.sha256(), bytearray()
    async with aclosing(_chunks(answer)) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise refused(f"it is larger than {limit >> 20} MB")
            digest.update(chunk)
            block += chunk
            if media is None and len(block) >= HEAD_BYTES:
                media = _media(kind, bytes(block[:HEAD_BYTES]))
            if len(block) >= BLOCK_BYTES:
                await take(bytes(block))
                block.clear()
    if declared is not None and size != declared:
        raise later(f"{size} bytes came of {declared}")
    if not size:
        raise refused("it is empty")
    media = media or _media(kind, bytes(block[:HEAD_BYTES]))
    await take(bytes(block))
    return Downloaded(size=size, sha256=digest.hexdigest(), media=media)


async def _chunks(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    # Chunks as they arrive: collecting them first would look like silence.
    async with aclosing(cast("AsyncGenerator[bytes, None]", answer.aiter_bytes())) as chunks:
        while True:
            chunk = None
            with anyio.fail_after(IDLE_SECONDS):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk


def _check_headers(answer: httpx.Response, kind: ArtifactKind) -> int | None:
    """Return the length that an answer declares; raises DownloadFailed if it is not the kind."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise refused("it came packed, although nobody asked for that")
    content_type = answer.headers.get("content-type", "")
    if not is_allowed_type(kind, content_type):
        shown = re.sub(r"[^\w/+.-]", "?", media_type_in(content_type))[:60]
        raise refused(f"it says to be {shown or 'of no type'}")
    length = answer.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        return None
    if int(length) > LIMITS[kind].bytes:
        raise refused(f"it is larger than {LIMITS[kind].bytes >> 20} MB")
    return int(length)


def _media(kind: ArtifactKind, head: bytes) -> str:
    media = media_type_of(kind, head)
    if media is None:
        raise refused("its bytes are of another type")
    return media
