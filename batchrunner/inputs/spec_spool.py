"""Job specs in a file: read from start to end as often as needed, with one chunk in memory."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

from batchrunner.model import JobSpec

#: Specs in one chunk: as many as are in memory.
CHUNK = 500
#: Bytes up to which all specs stay in memory.
MAX_IN_MEMORY = 1024 * 1024


class _Chunk(NamedTuple):
    offset: int
    size: int
    specs: int


class SpecSpool:
    """Specs in the order in which they were added; those that were left out are not given."""

    def __init__(self) -> None:
        # Nobody else can read the file: it has no name.
        self._file: Any = SpooledTemporaryFile(max_size=MAX_IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._chunks: list[_Chunk] = []
        self._open: list[JobSpec] = []
        self._end = 0
        self._count = 0
        self._left_out = bytearray()  # a bit for each spec, once one was left out
        self._left_out_count = 0

    def append(self, spec: JobSpec) -> None:
        """Add a spec."""
        self._open.append(spec)
        self._count += 1
        if len(self._open) == CHUNK:
            self._write()

    def leave_out(self, number: int) -> None:
        """Give the spec with this number, from 0, no longer."""
        if not self._left_out:
            self._left_out = bytearray(self._count // 8 + 1)
        if not self._is_left_out(number):
            self._left_out[number // 8] |= 1 << number % 8
            self._left_out_count += 1

    def __len__(self) -> int:
        """Return how many specs are given."""
        return self._count - self._left_out_count

    def __iter__(self) -> Iterator[JobSpec]:
        """Yield the specs; several loops may do so at once."""
        if not self._left_out:
            for specs in self._read_chunks():
                yield from specs
        else:
            for _, spec in self.numbered():
                yield spec

    def numbered(self) -> Iterator[tuple[int, JobSpec]]:
        """Yield the specs, each with its number."""
        number = 0
        for specs in self._read_chunks():
            for spec in specs:
                if not (self._left_out and self._is_left_out(number)):
                    yield number, spec
                number += 1

    def _read_chunks(self) -> Iterator[list[JobSpec]]:
        for chunk in self._chunks:
            self._file.seek(chunk.offset)
            yield [JobSpec._make(values) for values in pickle.loads(self._file.read(chunk.size))]
        if self._open:
            yield self._open

    def _write(self) -> None:
        plain = [tuple(spec) for spec in self._open]  # is written and read far more quickly
        data = pickle.dumps(plain, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._end)
        self._file.write(data)
        self._chunks.append(_Chunk(self._end, len(data), len(self._open)))
        self._end += len(data)
        self._open = []

    def _is_left_out(self, number: int) -> bool:
        return bool(self._left_out[number // 8] >> number % 8 & 1)
