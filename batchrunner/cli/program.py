"""Runs the command line as a program: its streams, its signals, its last word."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from types import FrameType
from typing import NoReturn

import click

from batchrunner.cli import cli
from batchrunner.cli.exit_codes import HUNG_UP, INTERRUPTED, TERMINATED, ShownError, bought_once
from batchrunner.cli.standard_streams import finish_messages, guard_standard_streams
from batchrunner.crash_report import report_crash
from batchrunner.errors import BatchrunnerError


class _EndedBySignal(SystemExit):
    """A signal ended the program while no runner took it."""


def run_program() -> int:
    """Run the command that argv names, and return its exit code."""
    guard_standard_streams()
    _show_no_tracebacks()
    _end_on_signals()
    try:
        return _exit_code()
    finally:
        finish_messages()


def _exit_code() -> int:
    try:
        done = cli.main(prog_name="batchrunner", standalone_mode=False)
        sys.stdout.flush()
        return done if isinstance(done, int) else 0
    except _EndedBySignal as error:
        word = "hung up" if error.code == HUNG_UP else "terminated"
        tip = bought_once("give the same command again to go on", sys.argv[1:])
        click.echo(f"{word}: {tip}", err=True)
        return int(error.code or 0)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else bool(error.code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BatchrunnerError as error:  # raised before a command began, as by --help
        shown = ShownError(error)
        shown.show()
        return shown.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED


def _end_on_signals() -> None:
    """End on SIGTERM and SIGHUP as on Ctrl-C: what is open is closed, what is half written goes."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise _EndedBySignal(TERMINATED if number == signal.SIGTERM else HUNG_UP)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # ignored under nohup: it stays so
            signal.signal(number, end)


def _show_no_tracebacks() -> None:
    """Let no thread, task or warning of a library print more than a line."""
    warnings.simplefilter("ignore")
    threading.excepthook = _thread_crashed
    sys.unraisablehook = lambda _: None
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)
    logging.raiseExceptions = False


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    """Report an exception that ended a thread; the program goes on without it."""
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        report_crash(args.exc_value, sys.argv, os.environ)


class _Lines(logging.Handler):
    """Writes the first line of what a library logs: what follows may quote a result."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line on standard error."""
        from batchrunner.text.terminal import SHOWN, shorten, term_safe

        first = next(iter(record.getMessage().splitlines()), "")
        click.echo(shorten(term_safe(first), SHOWN), err=True)
