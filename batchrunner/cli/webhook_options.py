"""The options --webhook-listen and --webhook-url: where the API may call when runs end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

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
    """Add the options for webhooks to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
