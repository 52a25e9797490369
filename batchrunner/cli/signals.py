"""Lets Ctrl-C, SIGTERM and SIGHUP stop a runner: first drain, then leave."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from batchrunner.app.quality import QualityCheck
from batchrunner.app.run_batch import BatchRunEnded
from batchrunner.app.runner_thread import RunnerThread
from batchrunner.app.stop_control import StopControl
from batchrunner.cli.exit_codes import (
    ALL_SUCCEEDED,
    BAD_QUALITY,
    CANARY_FAILED,
    CANNOT_GO_ON,
    HOSTS_PARKED,
    HUNG_UP,
    INTERRUPTED,
    OUT_OF_BUDGET,
    OUT_OF_TIME,
    SOME_FAILED,
    TERMINATED,
    ShownError,
)
from batchrunner.errors import LeftEarly
from batchrunner.model import BatchCounts, JobState
from batchrunner.runner.runner import ExitReason

#: Seconds in which a second SIGINT still counts as the first: some programs signal a process group
#: and its leader.
SIGNAL_ECHO_SECONDS = 0.3

_EXIT_CODES = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: HUNG_UP,
}


def run_until_signal(work: Callable[[StopControl], BatchRunEnded]) -> tuple[BatchRunEnded, int]:
    """
    Return how the runner ended, and the exit code; *work* runs in a thread.

    The first SIGINT drains. A second one, SIGTERM or SIGHUP leaves at once: runs go on remotely.
    """
    thread = RunnerThread(work)
    with _signals_to(thread.control) as signals:
        thread.start()
        thread.wait()
    try:
        ended = thread.result()
    except LeftEarly as error:
        raise ShownError(error, signals.exit_code) from error
    if ended.reason is None:
        return ended, signals.exit_code
    return ended, _exit_code_of_run(ended.reason, ended.counts)


def _exit_code_of_run(reason: ExitReason, counts: BatchCounts) -> int:
    """Return the exit code that a runner ends a command with."""
    codes = {
        ExitReason.DRAINED: INTERRUPTED,
        ExitReason.OUT_OF_TIME: OUT_OF_TIME,
        ExitReason.BUDGET_USED_UP: OUT_OF_BUDGET,
        ExitReason.CANARY_FAILED: CANARY_FAILED,
        ExitReason.BAD_QUALITY: BAD_QUALITY,
        ExitReason.PARKED: HOSTS_PARKED,
        ExitReason.STOPPED: CANNOT_GO_ON,
    }
    return codes.get(reason) or exit_code_of_counts(counts)


def exit_code_of_counts(counts: BatchCounts) -> int:
    """Return the exit code for a batch in which every job is final, or every one of a part."""
    return ALL_SUCCEEDED if counts.jobs[JobState.SUCCEEDED] == counts.done else SOME_FAILED


def exit_code_of_quality(exit_code: int, check: QualityCheck | None) -> int:
    """Return the exit code of a run that came to its end, after a look at its rows."""
    violated = check is not None and check.violated is not None
    return BAD_QUALITY if violated and exit_code in (ALL_SUCCEEDED, SOME_FAILED) else exit_code


class _Signals:
    """Turns signals into stop requests."""

    def __init__(self, control: StopControl) -> None:
        self._control = control
        self._drained_at: float | None = None
        self.exit_code = INTERRUPTED

    def handle(self, number: int, _: object) -> None:
        """Pass a signal on."""
        if number == signal.SIGINT and self._drained_at is None:
            self._drained_at = time.monotonic()
            self._control.drain()
        elif number != signal.SIGINT or not self._is_echo():
            self.exit_code = _EXIT_CODES[signal.Signals(number)]
            self._control.leave()

    def _is_echo(self) -> bool:
        drained_at = self._drained_at
        return drained_at is not None and time.monotonic() - drained_at < SIGNAL_ECHO_SECONDS


@contextmanager
def _signals_to(control: StopControl) -> Iterator[_Signals]:
    """Handle them while the block runs; SIGHUP stays ignored where it is, as under nohup."""
    signals = _Signals(control)
    handled = [
        number
        for number in _EXIT_CODES
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, signals.handle) for number in handled}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
