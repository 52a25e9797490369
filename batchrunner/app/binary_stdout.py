"""Returns standard output as a binary stream, even if it was replaced by a text stream."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def binary_stdout() -> Iterator[IO[bytes]]:
    """Give standard output for bytes; what was printed before comes first, and all is flushed."""
    sys.stdout.flush()
    file = cast("IO[bytes]", getattr(sys.stdout, "buffer", None) or _TextFile(sys.stdout))
    guarded = getattr(getattr(file, "raw", None), "file", None)
    with getattr(guarded, "needed", nullcontext)():
        yield file
        file.flush()


class _TextFile(io.BufferedIOBase):
    """Bytes in UTF-8 → a file of text."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: ReadableBuffer, /) -> int:
        self._text.write(self._decoder.decode(bytes(data)))
        return len(memoryview(data))

    def flush(self) -> None:
        self._text.flush()
