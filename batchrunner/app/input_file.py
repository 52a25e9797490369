"""Reads a file that the user names."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.regular_file import FOLDER, open_file, special_kind
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.inputs.problem_log import CannotInclude
from batchrunner.inputs.source import MAX_BYTES
from batchrunner.inputs.tables import Table, TableOptions, open_table
from batchrunner.inputs.tables.content import MAX_UNPACKED_BYTES, STANDARD_INPUT_NAME

#: The path that means standard input.
STANDARD_INPUT = "-"
_CHUNK_BYTES = 1024**2


def read_input_file(path: Path) -> bytes:
    """
    Return what a file contains; of a file that is too large to be parsed, the start.

    Raises:
        UsageError: There is no such file, or it is a folder, a device, a socket or a named pipe.
        CannotContinue: It cannot be read.
    """
    with errors_for_people(), _opened(path) as file:
        return file.read(MAX_BYTES + 1)


def open_input_table(path: Path, options: TableOptions) -> Table:
    """
    Open a table, or a job file as a table of kind `yaml`; `-` is standard input.

    Raises:
        UsageError: There is no such file, or it is of a kind that cannot be read.
        JobFileErrors: Its encoding or its header cannot be used.
        CannotContinue: It cannot be read.
    """
    with errors_for_people():
        name = STANDARD_INPUT_NAME if str(path) == STANDARD_INPUT else str(path)
        file = _standard_input() if name == STANDARD_INPUT_NAME else _opened(path)
        if not file.seekable():
            file = _spooled(file)
        try:
            return open_table(file, file=name, options=options)
        except BaseException:
            file.close()
            raise


def _spooled(pipe: BinaryIO) -> BinaryIO:
    """Return a temporary file with what comes out of a pipe, up to what a table may have."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the table closes it
    left = MAX_UNPACKED_BYTES + 1
    with pipe:
        while left > 0 and (data := pipe.read(min(left, _CHUNK_BYTES))):
            file.write(data)
            left -= len(data)
    return file


def _standard_input() -> BinaryIO:
    """Return a copy of standard input's descriptor, which can be closed without closing it."""
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    except (AttributeError, OSError, ValueError):
        pass
    if sys.stdin is None or not hasattr(sys.stdin, "buffer"):
        raise UsageError("there is no standard input", next="name a file")
    return io.BytesIO(sys.stdin.buffer.read(MAX_UNPACKED_BYTES + 1))


def _opened(path: Path) -> BinaryIO:
    try:
        kind = special_kind(path, os.stat(path).st_mode)
        if kind is not None:
            step = "name a file in it" if kind == FOLDER else "name a file"
            raise UsageError(f"{path} is {kind}, not a file", next=step)
        return open_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"there is no file {path}",
            next=f"check the path; a relative one starts at {Path.cwd()}",
        ) from error


def read_beside(folder: Path, name: str) -> tuple[str, bytes]:
    """
    Return what to show for a file that a job file in a folder names, and its bytes.

    Raises:
        CannotInclude: It cannot be read.
    """
    path = folder / name
    try:
        return str(path), read_input_file(path)
    except (UsageError, CannotContinue) as error:
        raise CannotInclude(error.what, error.next) from error
