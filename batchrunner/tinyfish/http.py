"""Sends one request with a deadline and a cap, and says how it failed; retries nothing."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import anyio
import httpx

from batchrunner.model import ApiError, ApiFault, FaultKind

#: Most bytes of an answer, decoded: 483 bytes of gzip can hold 200 MB.
MAX_ANSWER_BYTES = 32 * 1024 * 1024

#: After these the request has not left this machine; after anything else it may have.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)

#: Shorter keys are none, but words like the sandbox's own, which stand in results as well.
MIN_SECRET_LENGTH = 12

#: Hosts on this machine: plain http is allowed, and no proxy stands between.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AddressError(Exception):
    """The API's address cannot be used; the message says why."""


class Http:
    """A connection to the API's host, and to no other: the key goes nowhere else."""

    def __init__(
        self, base_url: str, key: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        url = _checked(base_url)
        if not (key.isascii() and key.isprintable()):
            # What httpx and h11 say of such a header shows its value.
            raise ValueError("the API key has characters that no header can carry")
        # httpx would log whole urls, signatures of presigned ones included.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self.origin = f"{url.scheme}://{url.netloc.decode()}"
        self._key = key.encode()
        self._hidden = [self._key] if len(key) >= MIN_SECRET_LENGTH else []
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={
                "X-API-Key": key,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": "batchrunner",
            },
            follow_redirects=False,  # httpx would send the key to the next host too
            trust_env=url.host not in LOOPBACK,
            # The deadline of a request is anyio's: a read timeout never fires on a slow drip.
            timeout=httpx.Timeout(None, connect=10),
            limits=httpx.Limits(max_connections=8),  # more cost time and bring nothing
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        """Close the connection pool."""
        await self._client.__aexit__(*exc_info)

    async def send(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Reply:
        """
        Send one request and return the whole answer, whatever its status.

        Raises:
            ApiError: No answer within *seconds*, or none that could be taken. Its fault is
                NOT_SENT only where no byte of the request can have left.
        """
        with _told(seconds):
            async with self._client.stream(method, path, params=query, json=body) as response:
                return self._without_key(await _taken(response))

    async def stream(
        self,
        path: str,
        body: Any,
        take: Callable[[bytes], bool],
        *,
        quiet: float,
        seconds: float,
    ) -> Reply | None:
        """
        Send one request and pass its answer on, piece by piece; return it where it is no stream.

        It is over when the server ends it or *take* is content, after *quiet* seconds without a
        piece, and after *seconds* or as many bytes as an answer may have, whatever comes.

        Raises:
            ApiError: As `send` has it; pieces may have come before.
        """
        with _told(seconds):
            async with self._client.stream("POST", path, json=body) as response:
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    return self._without_key(await _taken(response))
                await _passed_on(response, take, quiet)
        return None

    def clean(self, text: str) -> str:
        """Return text of a stream without the key, which an API might repeat."""
        key = self._key.decode()
        return text if len(key) < MIN_SECRET_LENGTH else text.replace(key, "***")

    def hide(self, secret: str) -> None:
        """Take another secret than the key out of all answers."""
        self._hidden.append(secret.encode())

    def _without_key(self, reply: Reply) -> Reply:
        # An API that repeats the key in its answer would see it end up in ledgers and exports.
        for secret in self._hidden:
            if secret in reply.body:
                reply = replace(reply, body=reply.body.replace(secret, b"***"))
        return reply


def _checked(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise AddressError(f"{base_url!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise AddressError(f"{base_url!r} is no address of an API; write https://host")
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise AddressError(
            f"{base_url!r} would send the key unencrypted; write https:// (http:// is only for "
            "this machine itself)"
        )
    return url


@contextmanager
def _told(seconds: float) -> Iterator[None]:
    """Give the block so many seconds, and say what went wrong in it as an ApiError."""
    try:
        with anyio.fail_after(seconds):
            yield
    except _NOT_SENT as error:
        raise _fault(FaultKind.NOT_SENT, f"The API cannot be reached: {error}") from error
    except TimeoutError as error:
        message = f"The API gave no whole answer within {seconds:g} s"
        raise _fault(FaultKind.INTERRUPTED, message) from error
    except httpx.DecodingError as error:
        message = f"The answer's compression is broken: {error}"
        raise _fault(FaultKind.MALFORMED, message) from error
    except (httpx.InvalidURL, UnicodeError) as error:
        # httpx reads where a redirect leads to even if nobody follows it.
        message = "The answer leads to an address that is none"
        raise _fault(FaultKind.MALFORMED, message) from error
    except httpx.HTTPError as error:
        message = "The connection to the API broke before the answer was whole"
        raise _fault(FaultKind.INTERRUPTED, message) from error


async def _passed_on(response: httpx.Response, take: Callable[[bytes], bool], quiet: float) -> None:
    if "," in response.headers.get("content-encoding", ""):
        raise _fault(FaultKind.MALFORMED, "The answer is compressed more than once")
    taken, is_over = 0, False
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as pieces:
        while not is_over and taken <= MAX_ANSWER_BYTES:
            piece = None
            with anyio.move_on_after(quiet):
                piece = await anext(pieces, None)
            if piece is None:
                return  # silent for too long, or at its end
            taken += len(piece)
            is_over = take(piece)


async def _taken(response: httpx.Response) -> Reply:
    if "," in response.headers.get("content-encoding", ""):
        raise _fault(FaultKind.MALFORMED, "The answer is compressed more than once")
    body = bytearray()
    # Closed here and now: a generator that is left half-way is closed when somebody collects it.
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise _fault(
                    FaultKind.TOO_LARGE,
                    f"The answer is larger than {MAX_ANSWER_BYTES // 1024**2} MB",
                )
    return Reply(status=response.status_code, headers=response.headers, body=bytes(body))


def _fault(kind: FaultKind, message: str) -> ApiError:
    return ApiError(ApiFault(kind=kind, message=message))
