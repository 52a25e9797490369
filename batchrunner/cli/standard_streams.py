"""
Lets the program go on without standard error, and report that standard output is lost.

On a terminal, control characters of texts from elsewhere are shown and not obeyed, whatever prints
them: results, names of files, messages of the API. Our own colours take the styled streams.
"""

from __future__ import annotations

import codecs
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
from batchrunner.text.terminal import screen_safe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Seconds for which a writer waits for standard error, and for which the end of the program does.
MESSAGE_SECONDS, LAST_MESSAGES_SECONDS = 1.0, 10.0
#: Messages that wait for a terminal that stands still; later ones are dropped.
MAX_WAITING_MESSAGES = 10_000


class ReaderGone(CannotContinue):
    """Whoever read standard output has seen enough, such as `head`."""


#: Standard output and standard error for text with styles of our own, by their numbers.
_STYLED: dict[int, TextIO] = {}


def styled_stdout() -> TextIO:
    """Return standard output for text whose escapes are all our own."""
    return _STYLED.get(1, sys.stdout)


def styled_stderr() -> TextIO:
    """Return standard error for text whose escapes are all our own."""
    return _STYLED.get(2, sys.stderr)


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
    output, messages = _OutputFile(_raw(stdout)), _MessageFile(_raw(stderr))
    sys.stdout = _text(_Guarded(output, _screen(stdout)), stdout)
    sys.stderr = _text(_Guarded(messages, _screen(stderr)), stderr)
    _STYLED[1] = _text(_Guarded(output), stdout)
    _STYLED[2] = _text(_Guarded(messages), stderr)


def go_on_without_output() -> None:
    """Let a lost standard output end nothing: the command does more than to print."""
    file = _file_of(sys.stdout)
    if isinstance(file, _OutputFile):
        file.is_needed = False


def finish_messages() -> None:
    """Wait for messages that standard error has not taken yet, but not for ever."""
    file = _file_of(sys.stderr)
    if isinstance(file, _MessageFile):
        file.finish(LAST_MESSAGES_SECONDS)


def _file_of(stream: TextIO) -> _File | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.file if isinstance(raw, _Guarded) else None


def _raw(stream: TextIO | None) -> IO[bytes] | None:
    if stream is None:
        return None
    stream.flush()
    raw: IO[bytes] = getattr(stream.buffer, "raw", stream.buffer)
    return raw


def _screen(stream: TextIO | None) -> _ScreenFilter | None:
    """Return the filter of a stream that is a terminal."""
    return _ScreenFilter(stream.encoding) if stream is not None and stream.isatty() else None


def _text(raw: _Guarded, like: TextIO | None) -> TextIO:
    # A character that the terminal cannot show is no reason to fail.
    encoding, errors = like.encoding if like else "utf-8", "backslashreplace"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=True
    )


class _ScreenFilter:
    """Makes bytes for a terminal visible, however they are cut into pieces."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
        self._encoding = encoding
        self._held = ""  # a carriage return, which may be the first half of a line end

    def __call__(self, data: bytes) -> bytes:
        """Return the bytes to show."""
        text = self._held + self._decoder.decode(data)
        self._held = "\r" if text.endswith("\r") else ""
        shown = screen_safe(text.removesuffix(self._held))
        return shown.encode(self._encoding, "backslashreplace")


class _File:
    """A file that is written until it is lost; what comes after that is dropped."""

    def __init__(self, raw: IO[bytes] | None) -> None:
        self.raw = raw
        self.loss: OSError | None = None

    def write(self, data: bytes) -> None:
        """Write all bytes, unless the file is lost."""
        left = memoryview(data)
        try:
            if self.raw is None and self.loss is None:
                raise OSError(errno.EBADF, "it is closed")
            while left and self.loss is None and self.raw is not None:
                written: int | None = self.raw.write(left)
                if written is None:  # another program made it non-blocking
                    select.select((), (self.raw,), ())
                left = left[written or 0 :]
        except OSError as error:
            self.loss = error


class _Guarded(io.RawIOBase):
    """One way to a file: as it is, or with control characters made visible."""

    def __init__(self, file: _File, screen: _ScreenFilter | None = None) -> None:
        self.file = file
        self._screen = screen

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.file.raw is not None and self.file.raw.isatty()

    def fileno(self) -> int:
        if self.file.raw is None:
            raise io.UnsupportedOperation("the stream was closed")
        return self.file.raw.fileno()

    def write(self, data: ReadableBuffer, /) -> int:
        text = bytes(data)
        self.file.write(self._screen(text) if self._screen else text)
        return len(text)


class _MessageFile(_File):
    """
    Standard error: nobody can be shown that it is lost, and a batch goes on without it.

    A thread writes it: a terminal that stands still, or a pager, holds up that thread alone.
    """

    def __init__(self, raw: IO[bytes] | None) -> None:
        super().__init__(raw)
        self.patience = MESSAGE_SECONDS
        self._waiting: queue.Queue[bytes] = queue.Queue(MAX_WAITING_MESSAGES)
        self._all_written = threading.Condition()
        self._unwritten = 0
        self._thread: threading.Thread | None = None

    def write(self, data: bytes) -> None:
        """Pass bytes on to the thread, and wait a moment for it; never fail."""
        if self.loss is None:
            self._pass_on(data)
            stands_still = self._unwritten > 1
            self.finish(0 if stands_still else self.patience)

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
            super().write(self._waiting.get())
            with self._all_written:
                self._unwritten -= 1
                self._all_written.notify_all()


class _OutputFile(_File):
    """Standard output: a command whose purpose it is has failed without it."""

    def __init__(self, raw: IO[bytes] | None) -> None:
        super().__init__(raw)
        self.is_needed = True
        self._is_reported = False

    def write(self, data: bytes) -> None:
        """
        Write all bytes; drop them once it is lost.

        Raises:
            CannotContinue: It is lost and needed; only once.
        """
        super().write(data)
        if self.loss is not None and self.is_needed and not self._is_reported:
            self._is_reported = True
            raise _lost(self.loss) from self.loss

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
