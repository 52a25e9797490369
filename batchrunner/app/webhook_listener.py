"""Receives webhooks while a batch runs: a server for the API's calls that runs have ended."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute

from batchrunner.errors import CannotContinue
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
        ) from error
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)
        wakeup = WebhookWakeUp(options.address(port, secret))
        tasks.start_soon(WebhookServer(secret, wakeup.notify).serve, listener)
        say(f"webhooks: listening on {options.host} port {port}")
        yield wakeup
        tasks.cancel_scope.cancel()
    if not wakeup.count and wakeup.webhook_url is not None:
        say("webhooks: none came; results were learned by looks alone")
