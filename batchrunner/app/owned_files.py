"""Writes files that later exports of the same batch recognise, and refuses to replace others."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import IO

from batchrunner.app.atomic_file import replace_when_complete
from batchrunner.app.clock import store_now
from batchrunner.app.output_targets import Target
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.outputs import Written
from batchrunner.store.address import file_of, sandbox_database
from batchrunner.store.errors import StoreError
from batchrunner.store.export_files import (
    WrittenFile,
    files_at,
    first_export_at,
    forget_older_files,
    jobs_of_runs,
    record_export,
)
from batchrunner.store.store import Store

_CHUNK = 1 << 20
#: Rows of an older version's file in which runs of the batch are searched.
_ROWS_COMPARED = 200
#: What the header of an export by any version begins with.
_OLD_HEADER = ["id", "url", "goal", "state", "category", "code", "message", "attempts", "steps"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FileBefore:
    """What is at a place before an export."""

    foreign: str | None = None  #: why it is not this batch's; None: it may be replaced
    jobs: int = 0  #: jobs in the file that this batch wrote


#: There is nothing that could be lost.
NOTHING_THERE = FileBefore()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileOwner:
    """Whose exports may replace a file: a batch's, and those of the other editions of a series."""

    batch_id: int | None  #: None: the batch is not loaded yet
    series: str | None = None

    def wrote(self, file: WrittenFile) -> bool:
        """Return whether it wrote a file."""
        same_series = self.series is not None and file.series == self.series
        return file.batch_id == self.batch_id or same_series


def owner_of(batch: Batch) -> FileOwner:
    """Return a batch as the owner of files."""
    return FileOwner(batch_id=batch.id, series=batch.series)


def file_before(store: Store, address: str, owner: FileOwner, path: str) -> FileBefore:
    """Return what is at *path*, and whether the owner wrote it as it is now."""
    try:
        size = os.stat(path).st_size if Path(path).is_file() else 0
    except OSError:
        return NOTHING_THERE
    if not size:
        return NOTHING_THERE
    known = store.read(files_at, place_of(path, address))
    digest = digest_of(path) if any(file.size == size for file in known) else ""
    same = next((file for file in known if file.digest == digest), None)
    if same is not None:
        return FileBefore(jobs=same.jobs, foreign=None if owner.wrote(same) else _written_by(same))
    if any(owner.wrote(file) for file in known):
        return FileBefore(foreign="it was changed since this batch wrote it")
    if not known and (_has_runs_of(store, owner, path) or _is_of_sandbox(address, path)):
        return NOTHING_THERE  # of an older version, which remembered nothing, or only a trial
    return FileBefore(foreign=_NOT_WRITTEN)


_NOT_WRITTEN = "this batch did not write it"


def _written_by(file: WrittenFile) -> str:
    return f"batch {file.batch!r} wrote it"


def check_owned(
    store: Store, address: str, owner: FileOwner, path: str, *, overwrite: bool
) -> FileBefore:
    """
    Return what is at *path*, if the batch may replace it.

    Raises:
        UsageError: The file is not this batch's, or somebody changed it since.
    """
    before = file_before(store, address, owner, path)
    if before.foreign is None or overwrite:
        return before
    raise UsageError(
        f"{path} is there already, and {before.foreign}: it stays as it is",
        next=f"name another file, such as -o {free_name(path)}, or replace it with --overwrite",
        where=path,
        why=before.foreign,
    )


def free_name(path: str) -> str:
    """Return a name like *path* that no file has."""
    return next(name for name in names_like(path) if not os.path.lexists(name))


def names_like(path: str) -> Iterator[str]:
    """Give `prices-2.csv`, `prices-3.csv` and so on for `prices.csv`."""
    given = Path(path)
    for number in count(2):
        yield str(given.with_name(f"{given.stem}-{number}{given.suffix}"))


def write_owned(
    store: Store,
    address: str,
    batch: Batch,
    target: Target,
    write: Callable[[IO[bytes]], Written],
) -> Written:
    """
    Write a file that appears whole or not at all, and remember it as this batch's.

    A file whose database cannot be written is exported all the same, and not remembered.
    """
    place, digest = place_of(target.path, address), ""

    def write_and_record(file: IO[bytes]) -> Written:
        nonlocal digest
        written = write(file)
        file.flush()
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            digest = _digest(file.fileno())
            _record(store, batch, place, target.format, written.jobs, file.fileno(), digest)
        return written

    written = replace_when_complete(Path(target.path), write_and_record)
    if digest:
        with suppress(StoreError):
            store.write(forget_older_files, place, digest)
    return written


def remember(store: Store, address: str, batch: Batch, target: Target, jobs: int) -> None:
    """Remember a file that was written in place as this batch's."""
    place = place_of(target.path, address)
    with open(target.path, "rb") as file:
        digest = _digest(file.fileno())
        _record(store, batch, place, target.format, jobs, file.fileno(), digest)
    with suppress(StoreError):
        store.write(forget_older_files, place, digest)


def _record(
    store: Store, batch: Batch, place: str, format: str, jobs: int, descriptor: int, digest: str
) -> None:
    size = os.fstat(descriptor).st_size
    with suppress(StoreError):
        store.write(
            record_export,
            batch.id,
            place,
            format=format,
            jobs=jobs,
            size=size,
            digest=digest,
            now=store_now(store),
        )


def place_of(path: str, address: str) -> str:
    """Return the name of a place that survives a move of the folder with its database."""
    real = os.path.realpath(path)
    file = file_of(address)
    folder = None if file is None else os.path.dirname(os.path.realpath(file))
    if folder is not None and real.startswith(os.path.join(folder, "")):
        real = os.path.relpath(real, folder)
    return os.fsencode(real).decode("utf-8", "backslashreplace")


def digest_of(path: str) -> str:
    """Return the digest of a file's content; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _digest(file.fileno())
    except OSError:
        return ""


def _digest(descriptor: int) -> str:
    digest, at = hashlib.blake2b(digest_size=16), 0
    while data := os.pread(descriptor, _CHUNK, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def _is_of_sandbox(address: str, path: str) -> bool:
    """Return whether a run with --sandbox wrote a file as it is: its results are made up."""
    file = file_of(address)
    database = None if file is None else sandbox_database(file)
    if database is None or not database.exists():
        return False
    query = "SELECT 1 FROM exports WHERE path = ? AND digest = ?"
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as read:
            known = (place_of(path, str(database)), digest_of(path))
            return read.execute(query, known).fetchone() is not None
    except sqlite3.Error:
        return False


# ---- files of versions that remembered nothing ----


def _has_runs_of(store: Store, owner: FileOwner, path: str) -> bool:
    """Return whether a file is an export, and has runs that only this batch made."""
    if owner.batch_id is None:
        return False
    remembered = store.read(first_export_at, owner.batch_id)
    if remembered is not None and os.stat(path).st_mtime >= remembered.timestamp():
        return False  # it would be known, so it is a copy, or it was changed
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            run_ids = set(islice(_run_ids(file), _ROWS_COMPARED))
    except (OSError, ValueError, csv.Error):
        return False
    return bool(run_ids) and set(store.read(jobs_of_runs, owner.batch_id, run_ids)) == run_ids


def _run_ids(file: io.TextIOWrapper) -> Iterator[str]:
    start = file.readline(_CHUNK)
    if start.startswith("{"):
        yield from _run_ids_of_lines(start, file)
        return
    names = next(csv.reader([start]), [])
    if names[: len(_OLD_HEADER)] != _OLD_HEADER or "run_id" not in names:
        raise ValueError("no export")
    for row in csv.DictReader(file, names):
        if row["run_id"]:
            yield row["run_id"]


def _run_ids_of_lines(start: str, file: io.TextIOWrapper) -> Iterator[str]:
    line = start
    while line:
        if not line.endswith("\n"):
            raise ValueError("no line of an export")
        job = json.loads(line)
        if list(job)[: len(_OLD_HEADER)] != _OLD_HEADER:
            raise ValueError("no export")
        if job.get("run_id"):
            yield job["run_id"]
        line = file.readline(_CHUNK)
