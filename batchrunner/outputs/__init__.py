"""Finished jobs → CSV, JSONL, …"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

from batchrunner.outputs.columns import Jobs
from batchrunner.outputs.csv import csv_lines, excel_lines
from batchrunner.outputs.formula_guard import guard, unguard
from batchrunner.outputs.jsonl import jsonl_lines

__all__ = ["FORMATS", "Export", "Format", "Jobs", "format_of", "guard", "unguard"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A way to write finished jobs down."""

    #: Gives the lines, and at their end the number of cells that were guarded.
    write: Callable[[Jobs], Generator[str, None, int]]
    suffixes: tuple[str, ...] = ()  #: ends of file names that ask for it, in lower case


FORMATS: Mapping[str, Format] = {
    "csv": Format(write=csv_lines, suffixes=(".csv",)),
    "excel": Format(write=excel_lines),
    "jsonl": Format(write=jsonl_lines, suffixes=(".jsonl", ".ndjson")),
}


def format_of(suffix: str) -> str | None:
    """Return the name of the format that the end of a file name asks for, if it asks for one."""
    names = (name for name, format in FORMATS.items() if suffix.lower() in format.suffixes)
    return next(names, None)


class Export:
    """
    Finished jobs on their way into one of the `FORMATS`.

    *jobs* is called once for each pass over them, twice for CSV. A job that changes between the
    passes is shown as it was in the last one, and nothing of its result is lost.
    """

    def __init__(self, format: str, jobs: Jobs) -> None:
        self._write = FORMATS[format].write
        self._jobs = jobs
        #: Cells that would have run as a formula; complete once `lines` is exhausted.
        self.guarded = 0

    def lines(self) -> Iterator[str]:
        """
        Give the text line by line, each with its line end, for a file in UTF-8.

        The memory it takes does not grow with the number of jobs.
        """
        self.guarded = yield from self._write(self._jobs)
