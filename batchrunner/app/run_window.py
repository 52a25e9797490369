"""When a runner may submit jobs: the moments that `start_at` and `until` name."""

from __future__ import annotations

from datetime import datetime

from batchrunner.app.clock import Here, now
from batchrunner.app.run_observer import Say
from batchrunner.app.time_args import parse_time
from batchrunner.errors import UsageError
from batchrunner.policy.schedule import Window
from batchrunner.text.format import dated


def run_window(start_at: str | datetime | None, until: str | datetime | None, say: Say) -> Window:
    """
    Return when jobs may be submitted; an hour without a date is the next one.

    Raises:
        UsageError: A text names no time, or the window is over before it begins.
    """
    present = now()
    opens = _moment("--start-at", start_at, present, say)
    closes = _moment("--until", until, max(opens or present, present), say)
    if closes is not None and closes <= max(opens or present, present):
        raise UsageError(
            "--until names a time that is over when the run begins",
            next="give an hour alone, such as 07:00, for the next one",
        )
    return Window(opens=opens, closes=closes)


def _moment(
    option: str, given: str | datetime | None, after: datetime, say: Say
) -> datetime | None:
    if given is None:
        return None
    text = given if isinstance(given, str) else given.isoformat()
    try:
        meant = parse_time(text, after, Here())
    except ValueError as error:
        raise UsageError(
            f"{option} {text}: {error}",
            next="write 07:00, '07:00 Europe/Berlin', 2026-10-25T07:00 or 2026-10-25T07:00+01:00",
        ) from error
    note = f" ({meant.note})" if meant.note else ""
    say(f"{option} {text} is {dated(meant.at)}{note}")
    return meant.at
