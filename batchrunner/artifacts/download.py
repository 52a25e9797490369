"""Brings one artifact over HTTP: the key to the API only, from safe addresses, in bounds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self, cast

import anyio
import httpx

from batchrunner.api_facts.endpoints import step_artifact_path
from batchrunner.artifacts.media_types import (
    HEAD,
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

#: Redirects that are followed at most.
MAX_REDIRECTS = 3
#: Seconds without a byte after which a connection is given up.
IDLE_SECONDS = 30.0
#: Bytes that are written at once.
BLOCK = 256 * 1024
#: What the id of a run or of a step may be: it becomes a part of a path.
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
#: What the API calls each kind at the end of a step's path.
_STEP_ARTIFACTS = {ArtifactKind.SCREENSHOTS: "screenshot", ArtifactKind.HTML: "html"}


class DownloadFailure(StrEnum):
    """What an artifact that did not come means for the next try."""

    REFUSED = "refused"  #: it is not what it should be: another try brings the same
    GONE = "gone"  #: it is not there
    STALE = "stale"  #: its address is too old: a look at the run brings a new one
    LATER = "later"  #: something was in the way
    BARRED = "barred"  #: the key opens nothing


class DownloadFailed(Exception):
    """The artifact did not come."""

    def __init__(self, why: DownloadFailure, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Downloaded:
    """What came, and was passed on."""

    size: int
    sha256: str
    media: str

    def suffix(self, kind: ArtifactKind) -> str:
        """Return the end of a file name that fits."""
        return LIMITS[kind].medias[self.media]


Take = Callable[[bytes], Awaitable[None]]


def is_id(text: str | None) -> bool:
    """Whether this can be the id of a run or of a step."""
    return text is not None and _ID.fullmatch(text) is not None


class ArtifactDownloader:
    """
    Takes artifacts from the API by the key, and from addresses without it.

    Where an address leads is looked up once, checked, and gone to: a name server that changes its
    mind is not asked again. No proxy is used for that, as a proxy would look it up by itself.
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
        loopback = url.host in ("127.0.0.1", "localhost", "::1")
        self._keyed = _client(transport, trust_env=not loopback, headers={"X-API-Key": key})
        self._plain = _client(transport, trust_env=not loopback)
        self._outside = _client(outside, trust_env=False)
        self._resolve = resolve
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the connections."""
        for client in (self._keyed, self._plain, self._outside):
            await self._open.enter_async_context(client)
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        """Close the connections."""
        await self._open.aclose()

    async def step(self, run_id: str, step_id: str, kind: ArtifactKind, take: Take) -> Downloaded:
        """
        Pass what was captured at a step to *take*, block by block.

        Raises:
            NotBrought: It did not come, or not whole; blocks may have come before.
        """
        if not (is_id(run_id) and is_id(step_id)):
            raise DownloadFailed(
                DownloadFailure.REFUSED, "the id of its step is a path, or no id at all"
            )
        path = step_artifact_path(run_id, step_id, _STEP_ARTIFACTS[kind])
        request = self._keyed.build_request("GET", self._api.join(path))
        async with _bounded(LIMITS[kind].seconds):
            async with self._answer(self._keyed, request) as answer:
                if not answer.has_redirect_location:
                    return await _passed_on(answer, kind, take, keyed=True)
                following = _next(answer)
            return await self._follow(following, kind, take, hops=1)

    async def address(self, address: str, kind: ArtifactKind, take: Take) -> Downloaded:
        """
        Pass what is at an address to *take*, block by block; the key stays here.

        Raises:
            NotBrought: It did not come, or not whole; blocks may have come before.
        """
        async with _bounded(LIMITS[kind].seconds):
            return await self._follow(address, kind, take, hops=0)

    async def _follow(self, address: str, kind: ArtifactKind, take: Take, hops: int) -> Downloaded:
        while hops <= MAX_REDIRECTS:
            async with self._ask(address) as answer:
                if not answer.has_redirect_location:
                    return await _passed_on(answer, kind, take, keyed=False)
                address = _next(answer)
            hops += 1
        raise DownloadFailed(
            DownloadFailure.REFUSED, f"it was redirected more than {MAX_REDIRECTS} times"
        )

    @asynccontextmanager
    async def _ask(self, address: str) -> AsyncIterator[httpx.Response]:
        try:
            url = parsed(address)
            if origin_of(url) == origin_of(self._api):
                request = self._plain.build_request("GET", url)
                async with self._answer(self._plain, request) as answer:
                    yield answer
                return
            way = await safe_route(url, self._resolve)
        except UnsafeUrl as error:
            raise DownloadFailed(DownloadFailure.REFUSED, str(error)) from error
        except OSError as error:
            raise DownloadFailed(
                DownloadFailure.LATER, f"nobody knows the host {url.host}"
            ) from error
        async with await self._outward(way.url, way.hosts) as answer:
            yield answer

    async def _outward(self, url: httpx.URL, hosts: tuple[str, ...]) -> _Closing:
        """Ask one of the machines that were checked, under the name that the address has."""
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
    trust_env: bool,
    headers: dict[str, str] | None = None,
) -> httpx.AsyncClient:
    client = httpx.AsyncClient(
        headers={"User-Agent": "batchrunner", "Accept": "*/*", **(headers or {})},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=trust_env,
        timeout=httpx.Timeout(None, connect=10),
        # A connection that was checked for one name must not serve another one.
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=0),
        transport=transport,
    )
    client.headers["Accept-Encoding"] = "identity"
    return client


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    """Give the block so many seconds, and say what went wrong in it as NotBrought."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise DownloadFailed(
            DownloadFailure.LATER, f"it did not come whole within {seconds:g} s"
        ) from error
    except httpx.ConnectError as error:
        raise DownloadFailed(DownloadFailure.LATER, "its host cannot be reached") from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise DownloadFailed(
            DownloadFailure.REFUSED, "it leads to an address that is none"
        ) from error
    except httpx.HTTPError as error:
        raise DownloadFailed(
            DownloadFailure.LATER, "the connection broke before it was whole"
        ) from error


def _next(answer: httpx.Response) -> str:
    """Return where a redirect leads to, as it says it."""
    try:
        return str(answer.request.url.join(answer.headers["location"]))
    except (httpx.InvalidURL, ValueError) as error:
        raise DownloadFailed(
            DownloadFailure.REFUSED, "it was redirected to an address that is none"
        ) from error


async def _passed_on(
    answer: httpx.Response, kind: ArtifactKind, take: Take, *, keyed: bool
) -> Downloaded:
    _check_status(answer.status_code, keyed=keyed)
    declared = _check_headers(answer, kind)
    most, taken, media = LIMITS[kind].bytes, 0, None
    digest, block = hashlib.sha256(), bytearray()
    async with aclosing(_pieces(answer)) as pieces:
        async for piece in pieces:
            taken += len(piece)
            if taken > most:
                raise DownloadFailed(DownloadFailure.REFUSED, f"it is larger than {most >> 20} MB")
            digest.update(piece)
            block += piece
            if media is None and len(block) >= HEAD:
                media = _media(kind, bytes(block[:HEAD]))
            if len(block) >= BLOCK:
                await take(bytes(block))
                block.clear()
    if declared is not None and taken != declared:
        raise DownloadFailed(DownloadFailure.LATER, f"{taken} bytes came of {declared}")
    if not taken:
        raise DownloadFailed(DownloadFailure.REFUSED, "it is empty")
    media = media or _media(kind, bytes(block[:HEAD]))
    await take(bytes(block))
    return Downloaded(size=taken, sha256=digest.hexdigest(), media=media)


async def _pieces(answer: httpx.Response) -> AsyncGenerator[bytes, None]:
    # As they come: what is gathered first looks like silence. There is nothing to be unpacked.
    async with aclosing(cast("AsyncGenerator[bytes, None]", answer.aiter_bytes())) as pieces:
        while True:
            piece = None
            with anyio.fail_after(IDLE_SECONDS):
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece


def _check_status(status: int, *, keyed: bool) -> None:
    if status == 200:
        return
    if status in (404, 410):
        raise DownloadFailed(DownloadFailure.GONE, f"it is not there (HTTP {status})")
    if status == 401 and keyed:
        raise DownloadFailed(DownloadFailure.BARRED, "the API refuses the key (HTTP 401)")
    if status in (401, 403):
        why = DownloadFailure.REFUSED if keyed else DownloadFailure.STALE
        raise DownloadFailed(why, f"it is not given out (HTTP {status})")
    if status in (408, 425, 429) or status >= 500:
        raise DownloadFailed(DownloadFailure.LATER, f"the server is busy (HTTP {status})")
    raise DownloadFailed(DownloadFailure.REFUSED, f"the server answered with HTTP {status}")


def _check_headers(answer: httpx.Response, kind: ArtifactKind) -> int | None:
    """Return the length that an answer declares; raises NotBrought if it cannot be the artifact."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise DownloadFailed(
            DownloadFailure.REFUSED, "it came packed, although nobody asked for that"
        )
    said = answer.headers.get("content-type", "")
    if not is_allowed_type(kind, said):
        shown = re.sub(r"[^\w/+.-]", "?", media_type_in(said))[:60]
        raise DownloadFailed(DownloadFailure.REFUSED, f"it says to be {shown or 'of no type'}")
    length = answer.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        return None
    if int(length) > LIMITS[kind].bytes:
        raise DownloadFailed(
            DownloadFailure.REFUSED, f"it is larger than {LIMITS[kind].bytes >> 20} MB"
        )
    return int(length)


def _media(kind: ArtifactKind, head: bytes) -> str:
    media = media_type_of(kind, head)
    if media is None:
        raise DownloadFailed(DownloadFailure.REFUSED, "its bytes are of another type")
    return media
