"""What an export format is: a name, a line of help, suffixes of files, and a writer of bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO

from batchrunner.errors import UsageError
from batchrunner.outputs.columns import ADVICE, FIELDS
from batchrunner.outputs.table import ExportTable


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a writer has written."""

    jobs: int
    rows: int  #: more than jobs where a list was exploded
    guarded: int = 0  #: cells with a `'` in front, as a spreadsheet would run them as a formula
    cut: int = 0  #: cells that were too long for the format and lost their end
    sheets: int = 1  #: sheets of results: more than one where one cannot hold all rows
    #: Columns with another name in the file than their own, as (own name, name in the file).
    renamed: tuple[tuple[str, str], ...] = ()
    absent: tuple[str, ...] = ()  #: selected columns that no job has
    exploded: int = 0  #: jobs with a list at the path that was to be exploded


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A way to write finished jobs into a file, as text or as any other bytes."""

    name: str  #: the word for `--format`
    help: str  #: one line for `--help` and for the docs: what the file holds
    #: Writes a table to a file that is open for bytes. The memory it takes must not grow with the
    #: number of jobs. It may call `table.jobs` more than once, as each call gives them anew: a job
    #: that changes in between is shown as in the last pass.
    write: Callable[[ExportTable, IO[bytes]], Written]
    suffixes: tuple[str, ...] = ()  #: ends of file names that select it, in lower case
    is_text: bool = True  #: whether a terminal can show it
    max_columns: int | None = None  #: most columns that a file can have
    requires: tuple[str, ...] = ()  #: modules that only an extra installs

    def check_installed(self) -> None:
        """
        Check that the libraries for this format are there; called before anything is run.

        Raises:
            UsageError: One is missing; `next` is the command that installs it.
        """
        if any(find_spec(module.partition(".")[0]) is None for module in self.requires):
            raise UsageError(
                f"{self.name} files need a library that is not installed",
                next="pip install 'batchrunner[all]'",
            )

    def check_columns(self, carried: Sequence[str]) -> None:
        """
        Check that the format has room for these carried columns; called before anything is run.

        Raises:
            UsageError: They are too many.
        """
        room = (
            None if self.max_columns is None else self.max_columns - len(FIELDS) - len(ADVICE) - 2
        )
        if room is not None and len(carried) > room:
            raise UsageError(
                f"{self.name} files have room for {room} columns of the input, "
                f"and there are {len(carried)}",
                next="export to .csv or .parquet, or select some with --columns",
            )
