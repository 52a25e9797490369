"""What an export writes: the jobs, the columns that they carry, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from batchrunner.model import ExportedAttempt, FinishedJob

#: Returns the finished jobs in file order; each call starts at the first one.
Jobs = Callable[[], Iterable[FinishedJob]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedColumn:
    """A column that the user selected, perhaps under another name."""

    source: str  #: a column of the export, or a path into the result: `result.offer.price`
    name: str  #: its name in the file


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How the user wants to see the jobs."""

    columns: tuple[SelectedColumn, ...] = ()  #: only these, in this order; empty: all
    explode: str | None = None  #: path to a list in the results: one row per element
    unwrap: bool = False  #: leave out a sole wrapper around a result, such as `data`
    guard: bool = True  #: put a `'` before what a spreadsheet would execute
    nothing: str = ""  #: the text of a missing value, in formats of text


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportTable:
    """The jobs to export, read anew by each call, and how they are shown."""

    jobs: Jobs
    columns: tuple[str, ...] = ()  #: names of the carried input columns, in their order
    view: View = View()
    attempts: Callable[[], Iterable[ExportedAttempt]] = tuple  #: for formats with several tables
    scratch: str | None = None  #: a folder for temporary files; None: that of the system
