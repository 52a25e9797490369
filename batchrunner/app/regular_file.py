"""Reads a file or a pipe up to a size, and tells devices and the like from it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

FOLDER = "a folder"
#: What a file may be → its name. Reading such a file has no end, or waits for ever.
_KINDS = {
    stat.S_IFDIR: FOLDER,
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def special_kind(path: Path, mode: int) -> str | None:
    """Return what a path leads to if that is neither a file nor a pipe of this process."""
    if stat.S_ISFIFO(mode) and not os.path.exists(os.path.realpath(path)):
        return None  # such as <(command) in a shell: it has no name, and a writer that will end
    return _KINDS.get(stat.S_IFMT(mode))


def open_file(path: Path) -> BinaryIO:
    """Open a file for reading; one that turned into a named pipe does not make this wait."""
    descriptor = os.open(path, _FLAGS)
    os.set_blocking(descriptor, True)
    return open(descriptor, "rb")


def read_start(path: Path, max_bytes: int) -> bytes:
    """Return the first bytes of a file: one more than *max_bytes* if it has more."""
    with open_file(path) as file:
        return file.read(max_bytes + 1)
