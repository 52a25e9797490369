"""Errors for people: what happened, what to do about it, and the exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

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


class UserError(click.ClickException):
    """Something that the user can mend: what and why, then what to do next."""

    def __init__(self, message: str, *, hint: str, exit_code: int = CANNOT_GO_ON) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way to set it

    def show(self, file: IO[Any] | None = None) -> None:
        """Print both parts to stderr."""
        click.echo(f"error: {self.message}\n  tip: {self.hint}", file=file or sys.stderr)


class ErrorReport(click.ClickException):
    """A report that is complete as it stands."""

    exit_code = WRONG_USAGE

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to stderr, as it is."""
        click.echo(self.message, file=file or sys.stderr)


@contextmanager
def for_people() -> Iterator[None]:
    """Turn errors of the database and of files into errors for people."""
    from batchrunner.store.account_keys import KeyReplaced
    from batchrunner.store.claims import LeaseLost
    from batchrunner.store.database import StoreError

    try:
        yield
    except StoreError as error:
        raise UserError(error.message, hint=error.hint) from error
    except LeaseLost as error:
        raise UserError(
            "this runner was asleep for so long that another one took its jobs over",
            hint="run the same command again to work beside it",
        ) from error
    except KeyReplaced as error:
        raise UserError(
            "somebody began to run this batch with another key: nothing more is submitted",
            hint="run the same command again: it looks whether both are of one account",
        ) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        taken = error.errno == errno.EADDRINUSE
        raise UserError(
            f"{where}{error.strerror or error}",
            hint="--port 0 takes a free one"
            if taken
            else "check the path, its permissions and the space on its disk",
        ) from error
