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
import sys
from typing import IO, TYPE_CHECKING, TextIO

from batchrunner.errors import CannotContinue
from batchrunner.text.terminal import screen_safe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


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

    What is written to a lost standard error is dropped. The first write to a lost standard output
    raises CannotContinue, or BrokenPipeError where a reader has seen enough.
    """
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr  # None: it was closed
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else another file would get the number of a closed stream
    os.close(number)
    if stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for the life of the program
    output, messages = _raw(stdout), _raw(stderr)
    sys.stdout = _text(_Output(output, _screen(stdout)), stdout)
    sys.stderr = _text(_Messages(messages, _screen(stderr)), stderr)
    _STYLED[1] = _text(_Output(output), stdout)
    _STYLED[2] = _text(_Messages(messages), stderr)


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
    encoding, errors = (like.encoding, like.errors) if like else ("utf-8", "backslashreplace")
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


class _Guarded(io.RawIOBase):
    """A file that is written until it is lost; what comes after that is dropped."""

    def __init__(self, raw: IO[bytes] | None, screen: _ScreenFilter | None = None) -> None:
        self._raw = raw
        self._screen = screen
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
            if self._screen is None:
                return self._raw.write(data)
            _write_all(self._raw, self._screen(bytes(data)))
        except OSError as error:
            self._is_lost = True
            self._lost(error)
        return memoryview(data).nbytes

    def _lost(self, error: OSError) -> None:
        """Report the loss, or do not."""


def _write_all(raw: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[raw.write(left) or 0 :]


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
