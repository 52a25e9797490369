"""The bytes of a file: read from the start as often as needed, and unpacked if they are gzip."""

from __future__ import annotations

import gzip
import io
import shlex
import zlib
from typing import BinaryIO, Protocol

from batchrunner.errors import UsageError

#: Maximum bytes of a table, unpacked.
MAX_UNPACKED_BYTES = 1024**3
#: Bytes from which a file is recognized.
HEAD_BYTES = 64 * 1024
#: What standard input is called in messages.
STANDARD_INPUT_NAME = "standard input"
_GZIP = b"\x1f\x8b"


class SeekableFile(Protocol):
    """An open binary file that can be read from any position."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""

    def close(self) -> None:
        """Let go of the file."""


class _View(io.RawIOBase):
    """Reads a shared file from a position of its own."""

    def __init__(self, file: SeekableFile) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position."""
        if whence == io.SEEK_CUR:
            offset += self._at
        self._at = offset if whence != io.SEEK_END else self._file.seek(offset, whence)
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill a buffer with what comes next."""
        self._file.seek(self._at)
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Content:
    """What a file contains, unpacked."""

    def __init__(self, file: SeekableFile, name: str) -> None:
        self.name = name
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)
        self.is_gzip = file.read(2) == _GZIP
        with self.open() as stream:
            self.head = self.read_some(stream, HEAD_BYTES)

    def open(self) -> BinaryIO:
        """Return a stream from the first byte on, which does not disturb others."""
        raw = io.BufferedReader(_View(self._file), 256 * 1024)
        return gzip.GzipFile(fileobj=raw, mode="rb") if self.is_gzip else raw  # type: ignore[return-value]

    def read_some(self, stream: BinaryIO, size: int) -> bytes:
        """
        Return up to *size* bytes of a stream of this file.

        Raises:
            UsageError: It is a gzip file that is cut or damaged.
        """
        try:
            return stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(
                f"{self.name} is a gzip file that is cut or damaged",
                next="copy or download it anew; `gzip -t` tests it",
                why=str(error),
            ) from error

    def is_changed(self) -> bool:
        """Return whether the file has another size than when it was opened."""
        return self._file.seek(0, io.SEEK_END) != self._size

    def shell_input(self, command: str) -> str:
        """Return a shell command that gives this file, unpacked, to *command*."""
        if self.name == STANDARD_INPUT_NAME:
            return command
        name = shlex.quote(self.name)
        return f"gunzip -c {name} | {command}" if self.is_gzip else f"{command} {name}"

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
