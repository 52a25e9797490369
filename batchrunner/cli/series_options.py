"""Options that say how a job file is run night after night."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--every",
        metavar="SLOT",
        help="Run all jobs anew in each calendar slot, as an edition NAME@SLOT: 1d, 12h, "
        "1w, 1mo.  [default: the job file's setting]",
    ),
    click.option(
        "--time-zone",
        metavar="ZONE",
        help="The time zone of these slots, such as Europe/Berlin.  [default: this machine's]",
    ),
    click.option("--fresh", is_flag=True, help="Begin a new edition now, whatever the slot."),
    click.option(
        "--keep-editions",
        type=click.IntRange(1),
        metavar="N",
        help="Remove older editions when the run ends, except the newest N.  [default: keep all]",
    ),
)


def series_options(command: F) -> F:
    """Add the options; the command receives them as one value `series`."""

    @functools.wraps(command)
    def with_series(*args: Any, **given: Any) -> Any:
        from batchrunner.app.choose_edition import SeriesOptions

        names = ("every", "time_zone", "fresh", "keep_editions")
        series = SeriesOptions(**{name: given.pop(name) for name in names})
        series.check()
        return command(*args, series=series, **given)

    decorated: Any = with_series
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
