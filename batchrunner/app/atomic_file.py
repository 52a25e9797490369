"""Writes a file so that it appears whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

T = TypeVar("T")


def replace_when_complete(path: Path, write: Callable[[IO[bytes]], T]) -> T:
    """
    Call *write* with a file beside *path*, and replace *path* by it once it is on disk.

    Returns what *write* returns. If anything fails before that, *write* included, the old file
    stays as it was and nothing is left beside it. Only its owner can read a new file. A replaced
    file keeps its mode, and a symbolic link stays a link. A device or a pipe is written directly.

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
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".batchrunner-")
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
