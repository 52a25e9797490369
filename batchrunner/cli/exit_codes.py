"""Exit codes, and how errors are shown at a terminal."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Any

import click

from batchrunner.errors import BatchrunnerError, InputError, UsageError

if TYPE_CHECKING:
    from batchrunner.app.run_batch import BatchRunEnded
    from batchrunner.model import BatchCounts

ALL_SUCCEEDED = 0
SOME_FAILED = 1
PROMISE_BROKEN = 1
SOME_MISSED = 1
WRONG_USAGE = 2
CANNOT_GO_ON = 3
OUT_OF_TIME = 4
OUT_OF_BUDGET = 5
HOSTS_PARKED = 6
CANARY_FAILED = 7
INTERRUPTED = 130
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
        if isinstance(error, InputError):
            click.echo(error.what, file=out)
        else:
            click.echo(f"error: {error.what}\n  tip: {error.next}", file=out)


def exit_code_of_error(error: BatchrunnerError) -> int:
    """Return the exit code that an error ends a command with."""
    return WRONG_USAGE if isinstance(error, UsageError) else CANNOT_GO_ON


def exit_code_of_run(ended: BatchRunEnded) -> int:
    """Return the exit code that a runner ends a command with."""
    from batchrunner.runner.runner import ExitReason

    codes = {
        None: INTERRUPTED,
        ExitReason.DRAINED: INTERRUPTED,
        ExitReason.OUT_OF_TIME: OUT_OF_TIME,
        ExitReason.BUDGET_USED_UP: OUT_OF_BUDGET,
        ExitReason.CANARY_FAILED: CANARY_FAILED,
        ExitReason.PARKED: HOSTS_PARKED,
        ExitReason.STOPPED: CANNOT_GO_ON,
    }
    return codes.get(ended.reason) or exit_code_of_counts(ended.counts)


def exit_code_of_counts(counts: BatchCounts) -> int:
    """Return the exit code for a batch in which every job is final."""
    from batchrunner.model import JobState

    return ALL_SUCCEEDED if counts.jobs[JobState.SUCCEEDED] == counts.total else SOME_FAILED
