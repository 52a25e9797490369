"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO


def replace_when_complete(path: Path, lines: Iterable[str]) -> int:
    """
    Write *lines* beside *path*, put them in its place once they are on disk, and count them.

    Whatever goes wrong before that, *lines* included, leaves the old file as it was and nothing
    beside it. A new file is for its owner only, a replaced one keeps its mode, a symbolic link
    stays one, and a device or a pipe is written to as it is.

    Raises:
        OSError: The file cannot be written; its `filename` is *path*.
    """
    blame = _WriteFailure(path)
    if path.exists() and not path.is_file():
        with blame:
            device = path.open("w", encoding="utf-8", newline="")
        return _write(device, lines, blame)
    target = Path(os.path.realpath(path))
    with blame:
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".batchrunner-")
    try:
        written = _write(os.fdopen(descriptor, "w", encoding="utf-8", newline=""), lines, blame)
        with blame:
            if target.exists():
                os.chmod(part, stat.S_IMODE(target.stat().st_mode))
            os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    _sync_folder(target.parent)
    return written


class _WriteFailure:
    """A context whose OSErrors name the file that the user asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(self._path)) from error


def _write(file: TextIO, lines: Iterable[str], blame: _WriteFailure) -> int:
    written = 0
    try:
        for line in lines:
            # Not around the loop: an OSError of *lines* is not about this file.
            with blame:
                file.write(line)
            written += 1
        with blame:
            file.flush()
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                os.fsync(file.fileno())
            file.close()
    except BaseException:
        # Closing tries once more to write what is left, and would hide the first error.
        with suppress(OSError):
            file.close()
        raise
    return written


def _sync_folder(folder: Path) -> None:
    # The file is whole either way. Some file systems cannot do this, and then a power cut in the
    # next seconds may bring the old one back.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
