"""Appends jobs to a JSONL file as they end, each exactly once, also over kills and restarts."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import stat
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count, islice
from typing import IO, Any

from batchrunner.app.binary_stdout import binary_stdout
from batchrunner.app.output_targets import STANDARD_OUTPUT, Target
from batchrunner.app.owned_files import remember
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.outputs import FORMATS, ExportTable
from batchrunner.store.export_files import carried_columns, jobs_of_runs
from batchrunner.store.exports import ended_jobs, first_row, is_finished, jobs_of_keys
from batchrunner.store.reports import finished_jobs_among
from batchrunner.store.shown_jobs import with_long_results
from batchrunner.store.store import PAGE_SIZE, Store

#: Seconds between two passes over the database; more where a pass takes long: so many times that.
PASS_SECONDS = 1.0
_REST_PER_PASS = 20
#: How much the clocks of runners may differ; the last pass reads everything.
_CLOCK_MARGIN = timedelta(minutes=5)
#: The longest line of an export: a result is set aside before it gets there.
_MAX_LINE = 100_000_000
_CHUNK = 1 << 20
#: What every line begins with, so that the start of a line differs from a user's text.
_LINE_START = b'{"id":"'
_AFTER_ID = b',"url":"'
_ID = re.compile(rb'(?:[^"\\]|\\.)*"')

Wait = Callable[[float], object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """What following a batch wrote."""

    path: str
    known: int  #: lines that the file had
    written: int  #: lines that were added
    is_finished: bool  #: no job of the batch is left


def follow_batch(
    store: Store,
    address: str,
    batch: Batch,
    target: Target,
    *,
    wait: Wait | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Followed]:
    """
    Append each job to a file as it ends, until the batch is finished.

    It gives the counts after each pass over the database.

    What the file has already is read from the file itself, so that each job is in it exactly once,
    whenever this is killed and begun again. A last line that was cut is written again. A job that
    is put back and ends once more gets one more line.

    Raises:
        UsageError: The file has lines of something else, or another process follows into it.
    """
    wait = wait or threading.Event().wait
    with _opened(target.path) as output:
        written = _Written(store.read(first_row, batch.id))
        known = _read_back(store, batch, output, written) if output.is_file else 0
        follower = _Follower(store, batch, output, written)
        try:
            for seconds, is_over in follower.passes():
                yield Followed(
                    path=target.path, known=known, written=follower.lines, is_finished=is_over
                )
                if is_over or stop():
                    break
                wait(seconds)
        finally:
            output.cut()
            if output.is_file:
                remember(store, address, batch, target, known + follower.lines)


class _Output:
    """A file that is longer by whole lines only, or a stream."""

    def __init__(
        self, path: str, write: Callable[[memoryview], int], descriptor: int | None
    ) -> None:
        self.path = path
        self.descriptor = descriptor
        self._write = write
        self._whole = 0

    @property
    def is_file(self) -> bool:
        """Whether what was written can be read again."""
        return self.descriptor is not None and stat.S_ISREG(os.fstat(self.descriptor).st_mode)

    def keep(self, size: int) -> None:
        """Go on behind the first bytes, and cut what is behind them."""
        self._whole = size
        self.cut()

    def append(self, lines: memoryview) -> None:
        """Append whole lines."""
        size = len(lines)
        try:
            while lines:
                lines = lines[self._write(lines) :]
            if self.is_file:
                os.fsync(self.descriptor or 0)
        except OSError as error:
            if self.descriptor is None:
                raise
            raise OSError(error.errno, error.strerror, self.path) from error
        self._whole += size

    def cut(self) -> None:
        """Leave no half of a line behind where a write was interrupted."""
        if self.descriptor is not None and self.is_file:
            os.ftruncate(self.descriptor, self._whole)
            os.lseek(self.descriptor, self._whole, os.SEEK_SET)


class _Written:
    """Which attempt of each job a file has: a few bytes a job."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._numbers = array("l")

    def add(self, row: int, number: int) -> None:
        index = row - self._first
        if index >= len(self._numbers):
            self._numbers.extend([0] * (index + 1 - len(self._numbers)))
        self._numbers[index] = max(self._numbers[index], number + 1)

    def has(self, row: int, number: int) -> bool:
        index = row - self._first
        return index < len(self._numbers) and self._numbers[index] > number


class _Follower:
    """Writes what has ended since its last pass."""

    def __init__(self, store: Store, batch: Batch, output: _Output, written: _Written) -> None:
        self._store = store
        self._batch = batch
        self._output = output
        self._written = written
        self._columns = store.read(carried_columns, batch.id)
        self.lines = 0

    def passes(self) -> Iterator[tuple[float, bool]]:
        """Write what has ended, each time; give the seconds to wait, and whether it was all."""
        since: datetime | None = None
        while True:
            begun = time.monotonic()
            is_over = self._store.read(is_finished, self._batch.id)
            last = self._pass(None if is_over else since)
            if last is not None:
                since = last - _CLOCK_MARGIN
            yield max(PASS_SECONDS, _REST_PER_PASS * (time.monotonic() - begun)), is_over

    def _pass(self, since: datetime | None) -> datetime | None:
        rows, numbers, last = self._store.read(ended_jobs, self._batch.id, since)
        new = (
            (row, number)
            for row, number in zip(rows, numbers, strict=True)
            if not self._written.has(row, number)
        )
        while page := list(islice(new, PAGE_SIZE)):
            self._write([row for row, _ in page])
        return last

    def _write(self, rows: Sequence[int]) -> None:
        jobs = self._store.read(finished_jobs_among, self._batch.id, rows)
        ids = self._store.read(jobs_of_keys, self._batch.id, [job.key for job in jobs])
        lines, new = io.BytesIO(), []
        for job in with_long_results(self._store, jobs):
            row = ids[job.key, job.revision]
            if self._written.has(row, job.attempts):
                continue
            table = ExportTable(jobs=lambda job=job: [job], columns=self._columns)  # type: ignore[misc]
            FORMATS["jsonl"].write(table, lines)
            new.append((row, job.attempts))
            if lines.tell() > _CHUNK:
                self._append(lines, new)
                lines, new = io.BytesIO(), []
        self._append(lines, new)

    def _append(self, lines: io.BytesIO, new: Sequence[tuple[int, int]]) -> None:
        self._output.append(lines.getbuffer())
        for row, number in new:
            self._written.add(row, number)
        self.lines += len(new)


@contextmanager
def _opened(path: str) -> Iterator[_Output]:
    if path == STANDARD_OUTPUT:
        with binary_stdout() as file:
            yield _Output(path, partial(_write_out, file), None)
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        yield _Output(path, partial(os.write, descriptor), descriptor)
    finally:
        os.close(descriptor)


def _write_out(file: IO[bytes], lines: memoryview) -> int:
    written = file.write(lines)
    file.flush()
    return written


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another process follows a batch into {path}",
            next="name another file, or end the other process",
            where=path,
        ) from error
    except OSError:
        return  # a file system without locks


# ---- what the file has already ----


def _read_back(store: Store, batch: Batch, output: _Output, written: _Written) -> int:
    """Note the jobs that a file has, and cut what is left of a line behind the last one."""
    known, lines = 0, _WholeLines(output)
    while page := list(islice(lines, PAGE_SIZE)):
        _note(store, batch, output.path, page, known, written)
        known += len(page)
    output.keep(lines.size)
    return known


class _WholeLines:
    """The jobs of a file, as far as its lines are whole."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self._lines = self._read()
        self.size = 0  #: bytes of the lines so far

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Go on where the last loop ended."""
        return self._lines

    def _read(self) -> Iterator[dict[str, Any]]:
        with open(os.dup(self._output.descriptor or 0), "rb") as file:
            for number in count(1):
                line = file.readline(_MAX_LINE)
                if not line.endswith(b"\n"):
                    if len(line) == _MAX_LINE or not _may_be_cut(line):
                        raise _foreign(self._output.path, number)
                    return
                job = _job_line(self._output.path, number, line)
                self.size += len(line)
                yield job


def _may_be_cut(line: bytes) -> bool:
    """Return whether a line without an end may be the start of one of ours, and no user's text."""
    if not (line.startswith(_LINE_START) or _LINE_START.startswith(line)):
        return False
    rest = _ID.match(line, len(_LINE_START))
    if rest is None:
        return True
    after = line[rest.end() :]
    if not (after.startswith(_AFTER_ID) or _AFTER_ID.startswith(after)):
        return False
    try:
        return _is_job(json.loads(line))
    except (ValueError, RecursionError):
        return True


def _is_job(value: Any) -> bool:
    names = ("id", "attempts", "run_id")
    if not (isinstance(value, dict) and all(name in value for name in names)):
        return False
    return isinstance(value["id"], str) and isinstance(value["attempts"], int)


def _job_line(path: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        job = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _foreign(path, number) from error
    if not _is_job(job):
        raise _foreign(path, number)
    return {name: job.get(name) for name in ("id", "attempts", "run_id", "revision")}


def _note(
    store: Store,
    batch: Batch,
    path: str,
    lines: Sequence[dict[str, Any]],
    before: int,
    written: _Written,
) -> None:
    """Note the jobs of some lines: by their runs, which no other batch has, else by their ids."""
    by_run = store.read(jobs_of_runs, batch.id, [line["run_id"] for line in lines])
    by_key = store.read(jobs_of_keys, batch.id, [line["id"] for line in lines])
    for number, line in enumerate(lines, before + 1):
        if line["run_id"] is not None:
            found = by_run.get(line["run_id"])
            row = None if found is None else found[0]
        else:
            row = by_key.get((line["id"], line["revision"] or 1))
        if row is None:
            raise _foreign(path, number)
        written.add(row, line["attempts"])


def _foreign(path: str, number: int) -> UsageError:
    return UsageError(
        f"{path}:{number}: this line is not a job of this batch, and nothing is added to the file",
        next="name another file with -o, such as one that does not exist yet",
        where=f"{path}:{number}",
    )
