"""Lets the program go on without standard error, and report that standard output is lost."""

from __future__ import annotations

import errno
import io
import os
import queue
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO

from batchrunner.errors import CannotContinue

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Seconds for which a writer waits for standard error, and for which the end of the program does.
MESSAGE_SECONDS, LAST_MESSAGES_SECONDS = 1.0, 10.0
#: Messages that wait for a terminal that stands still; later ones are dropped.
MAX_WAITING_MESSAGES = 10_000


class ReaderGone(CannotContinue):
    """Whoever read standard output has seen enough, such as `head`."""


def guard_standard_streams() -> None:
    """
    Replace the standard streams by ones that exist, also where the shell closed them.

    What is written to a lost standard error is dropped; one that stands still holds nobody up. The
    first write to a lost standard output raises CannotContinue, unless `go_on_without_output`.
    """
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr  # None: it was closed
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else another file would get the number of a closed stream
    os.close(number)
    if stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for the life of the program
    sys.stdout = _text(_Output(_raw(stdout)), stdout)
    sys.stderr = _text(_Messages(_raw(stderr)), stderr)


def go_on_without_output() -> None:
    """Let a lost standard output end nothing: the command does more than to print."""
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(output, _Output):
        output.is_needed = False


def finish_messages() -> None:
    """Wait for messages that standard error has not taken yet, but not for ever."""
    messages = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if isinstance(messages, _Messages):
        messages.finish(LAST_MESSAGES_SECONDS)


def _raw(stream: TextIO | None) -> IO[bytes] | None:
    if stream is None:
        return None
    stream.flush()
    raw: IO[bytes] = getattr(stream.buffer, "raw", stream.buffer)
    return raw


def _text(raw: _Guarded, like: TextIO | None) -> TextIO:
    # A character that the terminal cannot show is no reason to fail.
    encoding, errors = like.encoding if like else "utf-8", "backslashreplace"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=True
    )


class _Guarded(io.RawIOBase):
    """A file that is written until it is lost."""

    def __init__(self, raw: IO[bytes] | None) -> None:
        self._raw = raw
        self._loss: OSError | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("the stream was closed")
        return self._raw.fileno()

    def _write(self, data: ReadableBuffer) -> int | None:
        """Write some bytes, and return how many; None once the file is lost."""
        try:
            if self._loss is None and self._raw is None:
                raise OSError(errno.EBADF, "it is closed")
            while self._loss is None and self._raw is not None:
                written: int | None = self._raw.write(data)
                if written is not None:
                    return written
                select.select((), (self._raw,), ())  # another program made it non-blocking
        except OSError as error:
            self._loss = error
        return None


class _Messages(_Guarded):
    """
    Standard error: nobody can be shown that it is lost, and a batch goes on without it.

    A thread writes it: a terminal that stands still, or a pager, holds up that thread alone.
    """

    def __init__(self, raw: IO[bytes] | None, patience: float = MESSAGE_SECONDS) -> None:
        super().__init__(raw)
        self._patience = patience
        self._waiting: queue.Queue[bytes] = queue.Queue(MAX_WAITING_MESSAGES)
        self._all_written = threading.Condition()
        self._unwritten = 0
        self._thread: threading.Thread | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Pass bytes on to the thread, and wait a moment for it; never fail."""
        size = memoryview(data).nbytes
        if self._loss is None:
            self._pass_on(bytes(data))
            stands_still = self._unwritten > 1
            self.finish(0 if stands_still else self._patience)
        return size

    def finish(self, seconds: float) -> bool:
        """Wait until everything is written, for so many seconds; return whether it is."""
        with self._all_written:
            return self._all_written.wait_for(lambda: not self._unwritten, seconds)

    def _pass_on(self, data: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="messages", daemon=True)
            self._thread.start()
        with self._all_written:
            if self._unwritten < MAX_WAITING_MESSAGES:
                self._unwritten += 1
                self._waiting.put_nowait(data)

    def _write_all(self) -> None:
        while True:
            left = memoryview(self._waiting.get())
            while left and (written := self._write(left)) is not None:
                left = left[written:]
            with self._all_written:
                self._unwritten -= 1
                self._all_written.notify_all()


class _Output(_Guarded):
    """Standard output: a command whose purpose it is has failed without it."""

    def __init__(self, raw: IO[bytes] | None) -> None:
        super().__init__(raw)
        self.is_needed = True
        self._is_reported = False

    def write(self, data: ReadableBuffer, /) -> int:
        """
        Write some bytes; drop them once it is lost.

        Raises:
            CannotContinue: It is lost and needed; only once.
        """
        written = self._write(data)
        if written is not None:
            return written
        if self.is_needed and not self._is_reported and self._loss is not None:
            self._is_reported = True
            raise _lost(self._loss) from self._loss
        return memoryview(data).nbytes

    @contextmanager
    def needed(self) -> Iterator[None]:
        """Let a loss be an error while the block writes results."""
        before, self.is_needed, self._is_reported = self.is_needed, True, False
        try:
            yield
        finally:
            self.is_needed = before


def _lost(error: OSError) -> CannotContinue:
    kind = ReaderGone if isinstance(error, BrokenPipeError) else CannotContinue
    return kind(
        f"standard output cannot be written: {error.strerror or error}",
        next="send it to a place that takes it, such as a file on a disk with space",
    )
