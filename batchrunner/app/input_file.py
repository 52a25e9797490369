"""Reads a file that the user names."""

from __future__ import annotations

from pathlib import Path

from batchrunner.app.error_translation import errors_for_people
from batchrunner.errors import UsageError


def read_input_file(path: Path) -> bytes:
    """
    Return what a file contains.

    Raises:
        UsageError: There is no such file, or it is a folder.
        CannotContinue: It cannot be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder, not a file", next="name a file in it")
    with errors_for_people():
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UsageError(
                f"there is no file {path}",
                next=f"check the path; a relative one starts at {Path.cwd()}",
            ) from error
