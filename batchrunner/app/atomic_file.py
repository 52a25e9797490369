"""Writes a file so that it appears whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeVar

from batchrunner.app.clock import now

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")

#: What the names of files that are not whole yet begin with.
_PREFIX = ".batchrunner-"
_PART_FLAGS = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
#: The names that earlier versions used for every target, and did not lock.
_OLD_NAME = re.compile(re.escape(_PREFIX) + "[a-z0-9_]{8}")
#: Age from which such a file is surely left over.
_OLD_NAME_SECONDS = 24 * 3600


def replace_when_complete(path: Path, write: Callable[[IO[bytes]], T]) -> T:
    """
    Call *write* with a file beside *path*, and replace *path* by it once it is on disk.

    Returns what *write* returns. If anything fails before that, *write* included, the old file
    stays as it was and nothing is left beside it; what a killed process left of the same file is
    removed. Only its owner can read a new file. A replaced file keeps its mode, and a symbolic link
    stays a link. A device or a pipe is written directly.

    Raises:
        OSError: The file cannot be written; its `filename` is *path*.
    """
    name_path = _NamedErrors(path)
    if path.exists() and not path.is_file():
        with name_path:
            device = _RawFile(path, name_path)
        return _write(device, write, name_path)
    target = Path(os.path.realpath(path))
    with name_path:
        _remove_leftovers(target)
        descriptor, part = _new_part(target)
    try:
        written = _write(_RawFile(descriptor, name_path), write, name_path)
        with name_path:
            if target.exists():
                os.chmod(part, stat.S_IMODE(target.stat().st_mode))
            os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    _sync_folder(target.parent)
    return written


def _part_prefix(target: Path) -> str:
    # A digest, because the target's name may be as long as a name can be.
    return f"{_PREFIX}{hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()}-"


def _new_part(target: Path) -> tuple[int, Path]:
    """Create a file beside *target*, and lock it until it is closed."""
    while True:
        part = target.with_name(f"{_part_prefix(target)}{secrets.token_hex(4)}")
        descriptor = os.open(part, _PART_FLAGS, 0o600)
        with suppress(OSError):  # some file systems have no locks, and there nothing is removed
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.lexists(part):
            return descriptor, part
        os.close(descriptor)  # another process took it for a leftover before it was locked


def _remove_leftovers(target: Path) -> None:
    """Remove files of *target* that no process writes any more: they lock what they write."""
    with suppress(OSError):
        for part in list(_parts(target)):
            with suppress(OSError):
                _remove_if_unlocked(part)


def _parts(target: Path) -> Iterator[Path]:
    prefix, long_ago = _part_prefix(target), now().timestamp() - _OLD_NAME_SECONDS
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX) or not entry.is_file(follow_symlinks=False):
                continue
            is_old = _OLD_NAME.fullmatch(entry.name) and entry.stat().st_mtime < long_ago
            if is_old or entry.name.startswith(prefix):
                yield target.parent / entry.name


def _remove_if_unlocked(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(part)
    finally:
        os.close(descriptor)


class _NamedErrors:
    """A context in which OSErrors get the name of the file that the user gave."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(self._path)) from error


class _RawFile(io.FileIO):
    """A file with errors of its own: an OSError of the data's source is not about this file."""

    def __init__(self, file: Path | int, name_path: _NamedErrors) -> None:
        super().__init__(file, "w")
        self._name_path = name_path

    def write(self, data: ReadableBuffer, /) -> int:
        with self._name_path:
            return super().write(data)


def _write(raw: _RawFile, write: Callable[[IO[bytes]], T], name_path: _NamedErrors) -> T:
    file = io.BufferedWriter(raw)
    try:
        written = write(file)
        file.flush()
        with name_path:
            if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                os.fsync(raw.fileno())
            file.close()
    except BaseException:
        # Closing tries once more to write what is left, and would hide the first error.
        with suppress(OSError):
            file.close()
        raise
    return written


def _sync_folder(folder: Path) -> None:
    # The file is whole either way. Some file systems cannot do this, and then a power cut in the
    # next seconds may bring the old file back.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
