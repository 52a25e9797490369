"""Reads a file that the user names."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.regular_file import FOLDER, open_file, special_kind
from batchrunner.errors import UsageError
from batchrunner.inputs.source import MAX_BYTES
from batchrunner.inputs.tables import Table, TableOptions, open_table

#: The name of standard input, as a file and in messages.
STANDARD_INPUT = "-"


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
        is_piped = str(path) == STANDARD_INPUT
        file = sys.stdin.buffer if is_piped else _opened(path)
        if is_piped or not file.seekable():
            file = _spooled(file)
        try:
            return open_table(
                file, file="standard input" if is_piped else str(path), options=options
            )
        except BaseException:
            file.close()
            raise


def _spooled(pipe: BinaryIO) -> BinaryIO:
    """Return a temporary file with what comes out of a pipe."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the table closes it
    shutil.copyfileobj(pipe, file)
    return file


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
