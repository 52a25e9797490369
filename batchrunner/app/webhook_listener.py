"""Starts and stops the webhook server while a batch runs."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import anyio
from anyio.abc import SocketAttribute

from batchrunner.errors import CannotContinue, UsageError
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.tinyfish.webhook_server import WebhookServer

if TYPE_CHECKING:
    from batchrunner.tinyfish.client import TinyFishClient

#: Random bytes in the path of the webhook's address, which only the API knows.
SECRET_BYTES = 24
#: Connections that may wait to be accepted.
BACKLOG = 64


@dataclass(frozen=True, kw_only=True)
class WebhookOptions:
    """Where to listen, and the address under which the API reaches this place."""

    host: str
    port: int
    url: str | None  #: None: the API is on this machine, and calls the port directly

    def address(self, port: int, secret: str) -> str:
        """Return the address that create requests name, for the port that is in use."""
        if self.url is not None:
            return f"{self.url.rstrip('/')}/{secret}"
        host = ip_address(self.host)
        near = ("127.0.0.1" if host.version == 4 else "::1") if host.is_unspecified else self.host
        return f"http://{f'[{near}]' if host.version == 6 else near}:{port}/{secret}"


def webhook_from_options(
    webhook_listen: str | None, webhook_url: str | None, *, local: bool
) -> WebhookOptions | None:
    """
    Return where to receive webhooks; None if the options are not given.

    *local* says that the API is on this machine.

    Raises:
        UsageError: The API could not reach the place that the options name.
    """
    if webhook_listen is None:
        if webhook_url is not None:
            raise UsageError(
                "--webhook-url leads nowhere", next="say where to listen: --webhook-listen"
            )
        return None
    host, port = _host_and_port(webhook_listen)
    if webhook_url is not None:
        _check_url(webhook_url, local=local)
    elif not local:
        raise UsageError(
            "the API calls only addresses with https, and none is given",
            next=f"name the one that leads to {webhook_listen}: --webhook-url https://…",
        )
    return WebhookOptions(host=host, port=port, url=webhook_url)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
        number = int(port)
    except ValueError as error:
        raise _no_place(text) from error
    if not 0 <= number <= 65535:
        raise _no_place(text)
    return host, number


def _no_place(text: str) -> UsageError:
    return UsageError(
        f"--webhook-listen {text} is no address of this machine with a port",
        next="write 127.0.0.1:8788, 0.0.0.0:8788 or [::1]:8788; port 0 takes a free one",
    )


def _check_url(url: str, *, local: bool) -> None:
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, is_valid = SplitResult("", "", "", "", ""), False
    schemes = ("https", "http") if local else ("https",)
    has_extra = parts.username or parts.password or "?" in url or "#" in url
    is_printable = url.isprintable() and " " not in url
    if not is_valid or parts.scheme not in schemes or has_extra or not is_printable:
        raise UsageError(
            "--webhook-url is no address that the API would call",
            next="write https://host or https://host/path: no user, no '?', no '#'",
        )


@asynccontextmanager
async def listen_for_webhooks(
    options: WebhookOptions | None, api: TinyFishClient, say: Callable[[str], None]
) -> AsyncIterator[WebhookWakeUp]:
    """
    Listen while the block runs; each webhook wakes the poller.

    *say* gets the port, and a sentence if no webhook came. The address has a secret that is valid
    while the block runs; the client removes it from all answers of the API.

    Raises:
        CannotContinue: The port cannot be used.
    """
    if options is None:
        yield WebhookWakeUp()
        return
    secret = secrets.token_urlsafe(SECRET_BYTES)
    api.hide(secret)
    try:
        listener = await anyio.create_tcp_listener(
            local_host=options.host, local_port=options.port, backlog=BACKLOG
        )
    except OSError as error:
        place = f"{options.host}:{options.port}"
        raise CannotContinue(
            f"--webhook-listen {place} cannot be used: {error.strerror or error}",
            next="name another port, or 0 for a free one; nothing was submitted",
            where=place,
            why=error.strerror or str(error),
        ) from error
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)
        wakeup = WebhookWakeUp(options.address(port, secret))
        tasks.start_soon(WebhookServer(secret, wakeup.notify).serve, listener)
        say(f"webhooks: listening on {options.host} port {port}")
        yield wakeup
        tasks.cancel_scope.cancel()
    if not wakeup.count and wakeup.webhook_url is not None:
        say("webhooks: none came; results were learned by polls alone")
