"""Exit codes, and how errors are shown at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from batchrunner import crash_report
from batchrunner.cli.same_api import on_same_api
from batchrunner.cli.standard_streams import ReaderGone
from batchrunner.errors import BadQuality, BatchrunnerError, InputError, UsageError

ALL_SUCCEEDED = 0
SOME_FAILED = 1
PROMISE_BROKEN = 1
SOME_MISSED = 1
AUDIT_DIFFERS = 1
LEFT_OUT = 1
RESULTS_DIFFER = 1
WRONG_USAGE = 2
CANNOT_GO_ON = 3
OUT_OF_TIME = 4
OUT_OF_BUDGET = 5
HOSTS_PARKED = 6
CANARY_FAILED = 7
BAD_QUALITY = 8
CRASHED = crash_report.EXIT_CODE
HUNG_UP = 129
INTERRUPTED = 130
READER_GONE = 141
TERMINATED = 143


class ShownError(click.ClickException):
    """An error for people that click can print, with the program's exit code."""

    def __init__(self, error: BatchrunnerError, exit_code: int | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.exit_code = exit_code_of_error(error) if exit_code is None else exit_code  # type: ignore[misc]  # click's own way to set it

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what happened and what to do next to stderr; a report as it is."""
        error, out = self.error, file or sys.stderr
        if isinstance(error, ReaderGone):
            return
        if isinstance(error, InputError):
            click.echo(error.what, file=out)
        else:
            tip = bought_once(on_same_api(error.next, sys.argv[1:]), sys.argv[1:])
            click.echo(f"error: {error.what}\n  tip: {tip}", file=out)


def bought_once(tip: str, args: Sequence[str]) -> str:
    """Return advice to repeat a command, so that nothing is bought a second time."""
    reruns = any(arg.partition("=")[0] == "--rerun" for arg in args)
    if not reruns or "same command" not in tip:
        return tip
    return f"{tip} (without --rerun once jobs have run: it would buy them again)"


def exit_code_of_error(error: BatchrunnerError) -> int:
    """Return the exit code that an error ends a command with."""
    if isinstance(error, ReaderGone):
        return READER_GONE
    if isinstance(error, BadQuality):
        return BAD_QUALITY
    return WRONG_USAGE if isinstance(error, UsageError) else CANNOT_GO_ON
