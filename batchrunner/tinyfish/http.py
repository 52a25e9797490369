"""Sends one request with a deadline and a size limit, and says how it failed; never retries."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import anyio
import httpx

from batchrunner.model import ApiFault, ApiFaultKind, RequestFailed
from batchrunner.network.certificates import distrust
from batchrunner.network.clients import check_network, http_client
from batchrunner.network.proxies import Proxy
from batchrunner.tinyfish.redaction import Secret
from batchrunner.tinyfish.repeat_guard import RepeatGuard

#: Maximum size of an answer, decoded: 483 bytes of gzip can contain 200 MB.
MAX_ANSWER_BYTES = 32 * 1024 * 1024

#: After these errors, the request has not left this machine; after any other, it may have.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)

#: A shorter key is no secret, but a word like the sandbox's key, which may occur in results.
MIN_SECRET_LENGTH = 12

#: Hosts on this machine to which plain http is allowed.
LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Statuses of a proxy that does not let us through, now or later.
_PROXY_BARS = ("401", "403", "405", "407")

#: What an address has before its host: a user, and perhaps a password.
_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.I | re.DOTALL)
#: What follows a user's name where the host was forgotten, unless it is a port.
_PASSWORD = re.compile(r"^([a-z][a-z0-9+.-]*:/+)?([^:/]*:)(?!/|\d{1,5}(?:/|$)).+", re.I | re.DOTALL)
#: A query may hold a key.
_QUERY = re.compile(r"[?#].*", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A whole answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AddressError(Exception):
    """The API's address cannot be used; the message says why."""


class Http:
    """Connections to the API's host and to no other, so that the key goes nowhere else."""

    def __init__(
        self, base_url: str, key: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        url = _checked_url(base_url)
        if not (key.isascii() and key.isprintable()):
            # The errors of httpx and h11 about such a header show its value.
            raise ValueError("the API key has characters that no header can carry")
        # httpx would log whole urls, signatures of presigned ones included.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self.origin = f"{url.scheme}://{url.netloc.decode()}"
        self._repeat_guard = RepeatGuard()
        self._hidden = [Secret(key)] if len(key) >= MIN_SECRET_LENGTH else []
        self.proxy = None if transport else check_network(str(url))
        self._client = http_client(
            base_url=url,
            headers={
                "X-API-Key": key,
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "Cache-Control": "no-cache",  # an old list of runs would hide new ones
                "User-Agent": "batchrunner",
            },
            follow_redirects=False,  # httpx would send the key to the next host too
            # anyio keeps the deadline of a request: a read timeout never fires on a slow drip.
            timeout=httpx.Timeout(None, connect=10),
            limits=httpx.Limits(max_connections=8),  # more cost time and gain nothing
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
            RequestFailed: No answer came within *seconds*, or an unusable one. Its fault is
                NOT_SENT only if no byte of the request can have left.
        """
        await self._repeat_guard.wait(method, path, query, body)
        with _api_errors(seconds, self.proxy):
            async with self._client.stream(method, path, params=query, json=body) as response:
                return self._without_key(await _read_reply(response))

    async def stream(
        self,
        path: str,
        body: Any,
        take: Callable[[bytes], bool],
        *,
        answer_seconds: float,
        quiet: float,
        seconds: float,
    ) -> Reply | None:
        """
        Send one request and pass its stream to *take*, chunk by chunk; return another answer.

        The stream has to begin, and another answer has to end, within *answer_seconds*. The stream
        ends when the server ends it, when *take* returns true, after *quiet* seconds without a
        chunk, after *seconds*, or after MAX_ANSWER_BYTES.

        Raises:
            RequestFailed: As for `send`; some chunks may have been passed before.
        """
        await self._repeat_guard.wait("POST", path, None, body)
        with _api_errors(answer_seconds, self.proxy) as scope:
            async with self._client.stream("POST", path, json=body) as response:
                if "text/event-stream" not in response.headers.get("content-type", ""):
                    return self._without_key(await _read_reply(response))
                scope.deadline = math.inf  # the stream has begun
                with anyio.move_on_after(seconds):
                    await _pass_chunks(response, take, quiet)
        return None

    def clean(self, text: str) -> str:
        """Return text of a stream without the key, in case the API repeats it."""
        for secret in self._hidden:
            text = secret.removed_from_text(text)
        return text

    def hide(self, secret: str) -> None:
        """Remove one more secret from all answers."""
        self._hidden.append(Secret(secret))

    def _without_key(self, reply: Reply) -> Reply:
        # An answer that repeats the key would put it into databases and exports.
        body = reply.body
        for secret in self._hidden:
            body = secret.removed_from(body)
        return reply if body is reply.body else replace(reply, body=body)


def shown_address(address: str) -> str:
    """Return an address, which may be malformed, without anything that may be a secret."""
    without_user = _USER_INFO.sub(r"\1***@", address)
    return _PASSWORD.sub(r"\1\2***", _QUERY.sub("?***", without_user))


def _checked_url(base_url: str) -> httpx.URL:
    shown = repr(shown_address(base_url))
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        # The error may quote a part of a password.
        why = "" if "***" in shown else f": {error}"
        raise AddressError(f"{shown} is no address{why}") from None
    is_plain = not (url.userinfo or url.query or url.fragment)
    if url.scheme not in ("http", "https") or not url.host or not is_plain:
        raise AddressError(f"{shown} is no address of an API; write https://host")
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise AddressError(
            f"{shown} would send the key unencrypted; write https:// (http:// is only for "
            "this machine itself)"
        )
    return url


@contextmanager
def _api_errors(seconds: float, proxy: Proxy | None) -> Iterator[anyio.CancelScope]:
    """Give the block so many seconds, and turn errors of its request into RequestFailed."""
    try:
        with anyio.fail_after(seconds) as scope:
            yield scope
    except _NOT_SENT as error:
        raise _not_sent(error, proxy) from error
    except TimeoutError as error:
        message = f"The API gave no whole answer within {seconds:g} s"
        raise _fault(ApiFaultKind.INTERRUPTED, message) from error
    except httpx.DecodingError as error:
        message = f"The answer's compression is broken: {error}"
        raise _fault(ApiFaultKind.MALFORMED, message) from error
    except (httpx.InvalidURL, UnicodeError) as error:
        # httpx parses the target of a redirect even if it is not followed.
        message = "The answer leads to an address that is none"
        raise _fault(ApiFaultKind.MALFORMED, message) from error
    except httpx.HTTPError as error:
        message = "The connection to the API broke before the answer was whole"
        raise _fault(ApiFaultKind.INTERRUPTED, message) from error


def _not_sent(error: Exception, proxy: Proxy | None) -> RequestFailed:
    """Return the fault of a request of which no byte was sent to the API."""
    by_way = f" by way of {proxy}" if proxy else ""
    if distrusted := distrust(error):
        message = f"No secure connection to the API{by_way}: {distrusted.why}"
        return _barred(message, distrusted.advice)
    if isinstance(error, httpx.ProxyError):
        message = f"The API cannot be reached: {proxy or 'the proxy'} refuses: {error}"
        if str(error).startswith(_PROXY_BARS):
            variable = proxy.variable if proxy else "HTTPS_PROXY"
            return _barred(message, f"check {variable}: http://USER:PASSWORD@HOST:PORT")
        return _fault(ApiFaultKind.NOT_SENT, message)
    return _fault(ApiFaultKind.NOT_SENT, f"The API cannot be reached{by_way}: {error}")


def _barred(message: str, advice: str) -> RequestFailed:
    return RequestFailed(ApiFault(kind=ApiFaultKind.BARRED, message=message, advice=advice))


async def _pass_chunks(
    response: httpx.Response, take: Callable[[bytes], bool], quiet: float
) -> None:
    if "," in response.headers.get("content-encoding", ""):
        raise _fault(ApiFaultKind.MALFORMED, "The answer is compressed more than once")
    size, is_over = 0, False
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        while not is_over and size <= MAX_ANSWER_BYTES:
            chunk = None
            with anyio.move_on_after(quiet):
                chunk = await anext(chunks, None)
            if chunk is None:
                return  # silent for too long, or at its end
            size += len(chunk)
            is_over = take(chunk)


async def _read_reply(response: httpx.Response) -> Reply:
    if "," in response.headers.get("content-encoding", ""):
        raise _fault(ApiFaultKind.MALFORMED, "The answer is compressed more than once")
    body = bytearray()
    # Closed at once: an unfinished generator is closed only when it is garbage-collected.
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise _fault(
                    ApiFaultKind.TOO_LARGE,
                    f"The answer is larger than {MAX_ANSWER_BYTES // 1024**2} MB",
                )
    return Reply(status=response.status_code, headers=response.headers, body=bytes(body))


def _fault(kind: ApiFaultKind, message: str) -> RequestFailed:
    return RequestFailed(ApiFault(kind=kind, message=message))


def too_large(message: str) -> RequestFailed:
    """Return the error for an answer that is larger than we accept."""
    return _fault(ApiFaultKind.TOO_LARGE, message)


def malformed(message: str) -> RequestFailed:
    """Return the error for an answer that is not the API's."""
    return _fault(ApiFaultKind.MALFORMED, message)
