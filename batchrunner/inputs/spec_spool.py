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

#: key, url, goal, options, expect, policy, limits, line, columns, source: the fields of a spec as
#: a tuple, which is written and read several times as quickly as an object.
SpecRecord = tuple[Any, ...]
KEY, URL, GOAL, OPTIONS, EXPECT, POLICY, LIMITS, LINE, COLUMNS, SOURCE = range(10)


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
        self._open: list[SpecRecord] = []
        self._end = 0
        self._count = 0
        self._left_out = bytearray()  # a bit for each spec, once one was left out
        self._left_out_count = 0

    def append(self, record: SpecRecord) -> None:
        """Add a spec."""
        self._open.append(record)
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
        for _, record in self.records():
            yield spec_of(record)

    def records(self) -> Iterator[tuple[int, SpecRecord]]:
        """Yield the specs as tuples, each with its number."""
        number = 0
        for records in self._record_chunks():
            if self._left_out:
                kept = enumerate(records, number)
                yield from (each for each in kept if not self._is_left_out(each[0]))
            else:
                yield from enumerate(records, number)
            number += len(records)

    def _record_chunks(self) -> Iterator[list[SpecRecord]]:
        for chunk in self._chunks:
            self._file.seek(chunk.offset)
            yield pickle.loads(self._file.read(chunk.size))
        if self._open:
            yield self._open

    def _write(self) -> None:
        data = pickle.dumps(self._open, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.seek(self._end)
        self._file.write(data)
        self._chunks.append(_Chunk(self._end, len(data), len(self._open)))
        self._end += len(data)
        self._open = []

    def _is_left_out(self, number: int) -> bool:
        return bool(self._left_out[number // 8] >> number % 8 & 1)


def spec_of(record: SpecRecord) -> JobSpec:
    """Return the spec that a tuple stands for."""
    key, url, goal, options, expect, policy, limits, line, columns, source = record
    return JobSpec(
        key=key,
        url=url,
        goal=goal,
        options=options,
        expect=expect,
        policy=policy,
        limits=limits,
        line=line,
        columns=columns,
        source=source,
    )


def record_of(spec: JobSpec) -> SpecRecord:
    """Return a spec as a tuple."""
    return (
        spec.key,
        spec.url,
        spec.goal,
        spec.options,
        spec.expect,
        spec.policy,
        spec.limits,
        spec.line,
        spec.columns,
        spec.source,
    )
