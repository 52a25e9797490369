"""What an export format is: a name, a line of help, suffixes of files, and a writer of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, NamedTuple

from batchrunner.outputs.columns import Jobs


class Written(NamedTuple):
    """What a writer has written."""

    jobs: int
    guarded: int = 0  #: cells with a `'` in front, as a spreadsheet would run them as a formula


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A way to write finished jobs into a file, as text or as any other bytes."""

    name: str  #: the word for `--format`
    help: str  #: one line for `--help` and for the docs: what the file holds
    #: Writes the jobs to a file that is open for bytes. The memory it takes must not grow with the
    #: number of jobs. It may call `jobs` more than once, as each call gives them anew: a job that
    #: changes in between is shown as in the last pass.
    write: Callable[[Jobs, IO[bytes]], Written]
    suffixes: tuple[str, ...] = ()  #: ends of file names that select it, in lower case
