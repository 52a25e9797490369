"""Opens the files that a user names: any file but devices, or standard input."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from batchrunner.app.error_translation import errors_for_people
from batchrunner.app.input_request import STANDARD_INPUT
from batchrunner.app.regular_file import FOLDER, special_kind
from batchrunner.errors import UsageError
from batchrunner.inputs.source import MAX_BYTES
from batchrunner.inputs.tables import Table, TableOptions, open_table

#: Bytes of standard input that are kept in memory.
_IN_MEMORY = 1024 * 1024


def open_input(path: Path, options: TableOptions) -> Table:
    """
    Open a table or a job file; the caller closes it.

    Raises:
        UsageError: There is no such file, or it is a folder, a device, a socket or a named pipe.
        CannotContinue: It cannot be read.
        JobFileErrors: Its encoding or its header cannot be used.
    """
    with errors_for_people():
        stream = _standard_input() if path == STANDARD_INPUT else _opened(path)
        try:
            if path.suffix not in (".csv", ".tsv"):
                return _JobFile(stream, str(path))
            name = "standard input" if path == STANDARD_INPUT else str(path)
            return open_table(stream, file=name, options=options)
        except BaseException:
            stream.close()
            raise


class _JobFile(Table):
    """A job file."""

    def __init__(self, stream: Any, file: str) -> None:
        super().__init__(file=file, kind="yaml", columns=(), digest="")
        self.text = stream.read(MAX_BYTES + 1)
        stream.close()

    def rows(self) -> Any:
        """Give no rows."""
        return iter(())

    def place(self, row: Any, number: int | None) -> Any:
        """Have no cells."""
        raise NotImplementedError


def _opened(path: Path) -> Any:
    try:
        kind = special_kind(path, os.stat(path).st_mode)
        if kind is not None:
            step = "name a file in it" if kind == FOLDER else "name a file"
            raise UsageError(f"{path} is {kind}, not a file", next=step)
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"there is no file {path}",
            next=f"check the path; a relative one starts at {Path.cwd()}",
        ) from error


def _standard_input() -> Any:
    """Return standard input as a file that can be read more than once."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal, and no table comes from there",
            next="send one into the command: batchrunner run - < pairs.csv",
        )
    copy = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, copy)
    return copy
