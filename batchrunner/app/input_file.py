"""Reads a file that the user names."""

from __future__ import annotations

import os
from pathlib import Path

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.regular_file import FOLDER, read_start, special_kind
from batchrunner.errors import UsageError
from batchrunner.inputs.source import MAX_BYTES


def read_input_file(path: Path) -> bytes:
    """
    Return what a file contains; of a file that is too large to be parsed, the start.

    Raises:
        UsageError: There is no such file, or it is a folder, a device, a socket or a named pipe.
        CannotContinue: It cannot be read.
    """
    with errors_for_people():
        try:
            kind = special_kind(path, os.stat(path).st_mode)
            if kind is not None:
                step = "name a file in it" if kind == FOLDER else "name a file"
                raise UsageError(f"{path} is {kind}, not a file", next=step)
            return read_start(path, MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(
                f"there is no file {path}",
                next=f"check the path; a relative one starts at {Path.cwd()}",
            ) from error
