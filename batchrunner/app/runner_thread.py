"""Runs work in a thread of its own, so that a slow or interrupted caller does not hold it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from batchrunner.app.stop_control import StopControl

T = TypeVar("T")

#: Seconds between two checks for signals, where the system does not wake a waiting thread.
SIGNAL_CHECK_SECONDS = 0.5


class RunnerThread(Generic[T]):
    """
    A thread that works until its end, or until its `control` stops it.

    It is a daemon: an interpreter that exits does not wait for it, and the next start goes on.
    """

    def __init__(self, work: Callable[[StopControl], T]) -> None:
        self.control = StopControl()
        self._work = work
        self._ended = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="batchrunner", daemon=True)

    def start(self) -> None:
        """Begin the work."""
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the work is over."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Wait for the end; signal handlers run meanwhile, and may raise."""
        while not self._ended.wait(SIGNAL_CHECK_SECONDS):
            pass

    def stop_and_wait(self) -> None:
        """Drain and wait for the end; an exception meanwhile, such as Ctrl-C, leaves at once."""
        try:
            self.control.drain()
            self.wait()
        except BaseException:
            self.control.leave()
            self.wait()
            raise

    @property
    def error(self) -> BaseException | None:
        """What ended the work early."""
        return self._error

    def result(self) -> T:
        """Return what the work returned, or raise what it raised; only after its end."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # it has ended without an error

    def _run(self) -> None:
        try:
            self._result = self._work(self.control)
        except BaseException as error:
            self._error = error
        finally:
            self.control.close()
            self._ended.set()
