"""Where the API may tell that a run ended: the options that say so, and the server behind them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from batchrunner.errors import CannotContinue, UsageError

if TYPE_CHECKING:
    from batchrunner.runner.webhook_wakeup import WebhookWakeUp
    from batchrunner.tinyfish.client import TinyFishClient

F = TypeVar("F", bound=Callable[..., Any])

#: Bytes of chance in the path that the API is told, and nobody else.
SECRET_BYTES = 24
#: Connections that may wait to be taken.
BACKLOG = 64

_OPTIONS = (
    click.option(
        "--webhook-listen",
        metavar="HOST:PORT",
        help="Let the API report at once that runs ended, and poll less often.",
    ),
    click.option(
        "--webhook-url",
        metavar="URL",
        help="The public https address that leads to --webhook-listen.",
    ),
)


def webhook_options(command: F) -> F:
    """Add the options that say where the API may tell that runs ended."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class WebhookOptions:
    """Where to listen, and by which address the API comes there."""

    host: str
    port: int
    url: str | None  #: None: the API is on this machine, and comes straight to the port

    def address(self, port: int, secret: str) -> str:
        """Return what creates name, where *port* was taken."""
        if self.url is not None:
            return f"{self.url.rstrip('/')}/{secret}"
        host = ip_address(self.host)
        near = ("127.0.0.1" if host.version == 4 else "::1") if host.is_unspecified else self.host
        return f"http://{f'[{near}]' if host.version == 6 else near}:{port}/{secret}"


def webhook_from_options(
    webhook_listen: str | None, webhook_url: str | None, *, local: bool
) -> WebhookOptions | None:
    """
    Return what the options say, None where they are not given.

    *local* says that the API is on this machine.

    Raises:
        BatchrunnerError: The API could not come there.
    """
    if webhook_listen is None:
        if webhook_url is not None:
            raise _wrong("--webhook-url leads nowhere", "say where to listen: --webhook-listen")
        return None
    host, port = _place(webhook_listen)
    if webhook_url is not None:
        _check(webhook_url, local=local)
    elif not local:
        raise _wrong(
            "the API calls only addresses with https, and none is given",
            f"name the one that leads to {webhook_listen}: --webhook-url https://…",
        )
    return WebhookOptions(host=host, port=port, url=webhook_url)


def _place(text: str) -> tuple[str, int]:
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
    return _wrong(
        f"--webhook-listen {text} is no address of this machine with a port",
        "write 127.0.0.1:8788, 0.0.0.0:8788 or [::1]:8788; port 0 takes a free one",
    )


def _check(url: str, *, local: bool) -> None:
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, sound = SplitResult("", "", "", "", ""), False
    schemes = ("https", "http") if local else ("https",)
    extra = parts.username or parts.password or "?" in url or "#" in url
    if not sound or parts.scheme not in schemes or extra or not url.isprintable() or " " in url:
        raise _wrong(
            "--webhook-url is no address that the API would call",
            "write https://host or https://host/path: no user, no '?', no '#'",
        )


def _wrong(message: str, hint: str) -> UsageError:
    return UsageError(
        message,
        next=hint,
    )


@asynccontextmanager
async def listen_for_webhooks(
    hook: WebhookOptions | None, api: TinyFishClient, say: Callable[[str], None]
) -> AsyncIterator[WebhookWakeUp]:
    """
    Listen while the block runs, and turn what comes into hints; *say* where, and if none came.

    The secret in their address is made here; it lives as long as the block, and is taken out of
    whatever the API says.

    Raises:
        BatchrunnerError: The port cannot be used.
    """
    import anyio
    from anyio.abc import SocketAttribute

    from batchrunner.runner.webhook_wakeup import WebhookWakeUp
    from batchrunner.tinyfish.webhook_server import WebhookServer

    if hook is None:
        yield WebhookWakeUp()
        return
    secret = secrets.token_urlsafe(SECRET_BYTES)
    api.hide(secret)
    try:
        listener = await anyio.create_tcp_listener(
            local_host=hook.host, local_port=hook.port, backlog=BACKLOG
        )
    except OSError as error:
        raise CannotContinue(
            f"--webhook-listen {hook.host}:{hook.port} cannot be used: {error.strerror or error}",
            next="name another port, or 0 for a free one; nothing was submitted",
        ) from error
    async with listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)
        hints = WebhookWakeUp(hook.address(port, secret))
        tasks.start_soon(WebhookServer(secret, hints.notify).serve, listener)
        say(f"webhooks: listening on {hook.host} port {port}")
        yield hints
        tasks.cancel_scope.cancel()
    if not hints.count and hints.webhook_url is not None:
        say("webhooks: none came; results were learned by looks alone")
