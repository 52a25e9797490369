"""Lets the program go on without standard error, and report that standard output is lost."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, TYPE_CHECKING, TextIO

from batchrunner.errors import CannotContinue

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def guard_standard_streams() -> None:
    """
    Replace the standard streams by ones that exist, also where the shell closed them.

    What is written to a lost standard error is dropped. The first write to a lost standard output
    raises CannotContinue, or BrokenPipeError where a reader has seen enough.
    """
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr  # None: it was closed
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else another file would get the number of a closed stream
    os.close(number)
    if stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for the life of the program
    sys.stdout = _text(_Output(_raw(stdout)), stdout)
    sys.stderr = _text(_Messages(_raw(stderr)), stderr)


def _raw(stream: TextIO | None) -> IO[bytes] | None:
    if stream is None:
        return None
    stream.flush()
    raw: IO[bytes] = getattr(stream.buffer, "raw", stream.buffer)
    return raw


def _text(raw: _Guarded, like: TextIO | None) -> TextIO:
    encoding, errors = (like.encoding, like.errors) if like else ("utf-8", "backslashreplace")
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=True
    )


class _Guarded(io.RawIOBase):
    """A file that is written until it is lost; what comes after that is dropped."""

    def __init__(self, raw: IO[bytes] | None) -> None:
        self._raw = raw
        self._is_lost = False

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._raw is not None and self._raw.isatty()

    def fileno(self) -> int:
        if self._raw is None:
            raise io.UnsupportedOperation("the stream was closed")
        return self._raw.fileno()

    def write(self, data: ReadableBuffer, /) -> int | None:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            if self._raw is None:
                raise OSError(errno.EBADF, "it is closed")
            return self._raw.write(data)
        except OSError as error:
            self._is_lost = True
            self._lost(error)
        return memoryview(data).nbytes

    def _lost(self, error: OSError) -> None:
        """Report the loss, or do not."""


class _Messages(_Guarded):
    """Standard error: nobody can be shown that it is lost, and a batch goes on without it."""


class _Output(_Guarded):
    """Standard output: a command without it has failed."""

    def _lost(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        raise CannotContinue(
            f"standard output cannot be written: {error.strerror or error}",
            next="send it to a place that takes it, such as a file on a disk with space",
        ) from error
