"""The options that filter the list of runs: --status, --goal, --created-after, --created-before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from batchrunner.api_facts.limits import MAX_GOAL_FILTER_LENGTH
from batchrunner.errors import UsageError
from batchrunner.model import RunStatus

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--status",
        type=click.Choice([str(status) for status in RunStatus], case_sensitive=False),
        metavar="STATUS",
        help="Only runs of this status: PENDING, RUNNING, COMPLETED, FAILED or CANCELLED.",
    ),
    click.option(
        "--goal",
        metavar="TEXT",
        help="Only runs whose goal contains this text, in any case.",
    ),
    click.option(
        "--created-after",
        metavar="TIME",
        help="Only runs created after.  [TIME: 2026-09-01, or 2026-09-01T22:00 with or without "
        "+01:00]",
    ),
    click.option("--created-before", metavar="TIME", help="Only runs created before."),
)


def filter_options(command: F) -> F:
    """Add the options that filter runs to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def filters(
    *,
    status: str | None,
    goal: str | None,
    created_after: str | None,
    created_before: str | None,
) -> dict[str, Any]:
    """
    Return the filters as values.

    Raises:
        UsageError: The API would not accept one of them.
    """
    if goal is not None and not 1 <= len(goal) <= MAX_GOAL_FILTER_LENGTH:
        raise UsageError(
            f"--goal has {len(goal)} characters",
            next=f"give a part of the goal, of 1 to {MAX_GOAL_FILTER_LENGTH} characters",
        )
    return {
        "status": RunStatus(status) if status else None,
        "goal": goal,
        "created_after": _time("--created-after", created_after),
        "created_before": _time("--created-before", created_before),
    }


def _time(option: str, text: str | None) -> datetime | None:
    """Return the time that a text names, in this machine's zone unless it names another."""
    from batchrunner.app.clock import Here

    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=Here())).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option} {text}: this is no date or time",
            next="write 2026-09-01, 2026-09-01T22:00 or 2026-09-01T22:00+01:00",
        ) from error
