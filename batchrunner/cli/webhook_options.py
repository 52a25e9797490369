"""The options --webhook-listen and --webhook-url: where the API may call when runs end."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from batchrunner.errors import UsageError

if TYPE_CHECKING:
    from batchrunner.app.webhook_listener import WebhookOptions

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--webhook-listen",
        metavar="HOST:PORT",
        help="Let the API tell at once that runs ended, and look less often.",
    ),
    click.option(
        "--webhook-url",
        metavar="URL",
        help="The public https address that leads to --webhook-listen.",
    ),
)


def webhook_options(command: F) -> F:
    """Add the options for webhooks to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def webhook_from_options(
    webhook_listen: str | None, webhook_url: str | None, *, local: bool
) -> WebhookOptions | None:
    """
    Return where to receive webhooks; None if the options are not given.

    *local* says that the API is on this machine.

    Raises:
        UsageError: The API could not reach the place that the options name.
    """
    from batchrunner.app.webhook_listener import WebhookOptions

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
