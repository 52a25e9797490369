"""A file for libraries that do not expect that writing fails."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class ErrorKeepingFile(io.RawIOBase):
    """
    A file that keeps its first error and then drops what is written.

    Parquet's library ends the process if writing fails, and that of XLSX leaves its files open.
    Whoever gives them this file raises `error` afterwards.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: BaseException | None = None

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Whether the file behind it is."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move in the file behind it."""
        return 0 if self.error else self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file behind it."""
        return 0 if self.error else self._file.tell()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, unless that failed before."""
        if self.error is None:
            try:
                self._file.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes
