"""A folder that artifacts are put into: whole, for their owner only, never outside of it."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TargetExists(Exception):
    """Another process is writing this file."""


class PartialFile:
    """A file that is being written beside its place; blocking, for one thread at a time."""

    def __init__(self, root: Path, place: Sequence[str]) -> None:
        self._path = root.joinpath(*place)
        self._name = f".{place[-1]}.part"
        self._folder = _opened(root, place[:-1])
        try:
            self._file = self._begun()
        except BaseException:
            os.close(self._folder)
            raise
        self._is_open = True

    def _begun(self) -> int:
        """Open the file that is the part, or was left by a process that died."""
        file = os.open(self._name, _PART, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(file)
            there = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            # Whoever held the lock before may have put this very file in its place.
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
        """Add to the file."""
        view = memoryview(content)
        while view:
            view = view[os.write(self._file, view) :]

    def keep(self, suffix: str) -> str:
        """Put the file in its place, once it is on disk; return its path."""
        os.fsync(self._file)
        name = f"{self._path.name}{suffix}"
        os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        with suppress(OSError):  # some file systems cannot; the file is whole either way
            os.fsync(self._folder)
        self._close()
        return str(self._path.with_name(name))

    def drop(self) -> None:
        """Remove the file unless it was kept; what was in its place before stays."""
        if self._is_open:
            with suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
            self._close()

    def _close(self) -> None:
        self._is_open = False
        os.close(self._file)
        os.close(self._folder)


def _opened(root: Path, names: Sequence[str]) -> int:
    """Open a folder below *root*, made where it is missing; a link on the way is an error."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names:
        try:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=folder)
            below = os.open(name, _FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder
