"""Writes an artifact into its folder: whole, readable for its owner only, never outside."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from batchrunner.model.artifacts import BAD_PATH

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PARTIAL_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TargetExists(Exception):
    """Another process is writing this file."""


class BadPath(OSError):
    """The path of this artifact cannot be used; others may be."""


#: Errors of a disk, of the machine, or of a file that is gone: they are not about one path.
_OF_ALL_PATHS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ENXIO,
        errno.ENODEV,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOENT,
    }
)


@contextmanager
def _about_one_path(path: Path) -> Iterator[None]:
    """Turn an OSError that is about one path into BadPath."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_ALL_PATHS:
            raise
        why = error.strerror or str(error)
        raise BadPath(f"{BAD_PATH}: {path}: {why}") from error


class PartialFile:
    """A file that is written beside its final path; blocking, for one thread at a time."""

    def __init__(self, root: Path, path: Sequence[str]) -> None:
        self._path = root.joinpath(*path)
        self._name = f".{path[-1]}.part"
        top = _open_top(root)
        with _about_one_path(self._path):
            self._folder = _open_below(top, path[:-1])
        try:
            with _about_one_path(self._path.with_name(self._name)):
                self._file = self._open_locked()
        except BaseException:
            os.close(self._folder)
            raise
        self._is_open = True

    def _open_locked(self) -> int:
        """Open the partial file, which a process that died may have left, and lock it."""
        file = os.open(self._name, _PARTIAL_FLAGS, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(file)
            there = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            # The process that held the lock may have renamed this very file to its final path.
            if found.st_ino != there.st_ino:
                raise BlockingIOError
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise FileExistsError(f"{self._name} is no file of ours")
            os.ftruncate(file, 0)
            os.fchmod(file, 0o600)
        except (BlockingIOError, FileNotFoundError) as error:
            os.close(file)
            raise TargetExists(self._name) from error
        except BaseException:
            os.close(file)
            raise
        return file

    def write(self, content: bytes) -> None:
        """Append to the file."""
        view = memoryview(content)
        with _about_one_path(self._path):
            while view:
                view = view[os.write(self._file, view) :]

    def keep(self, suffix: str) -> str:
        """Flush the file to disk and rename it to its final path; return that."""
        name = f"{self._path.name}{suffix}"
        with _about_one_path(self._path.with_name(name)):
            os.fsync(self._file)
            os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        with suppress(OSError):  # some file systems cannot do this; the file is whole either way
            os.fsync(self._folder)
        self._close()
        return str(self._path.with_name(name))

    def drop(self) -> None:
        """Remove the file unless it was kept; an older file at the final path stays."""
        if self._is_open:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
            self._close()

    def _close(self) -> None:
        self._is_open = False
        os.close(self._file)
        os.close(self._folder)


def _open_top(root: Path) -> int:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _open_below(folder: int, names: Sequence[str]) -> int:
    """Open a folder below another one, create it if it is missing, and refuse links in its path."""
    for name in names:
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            child = os.open(name, _FOLDER_FLAGS, dir_fd=folder)
        finally:
            os.close(folder)
        folder = child
    return folder
