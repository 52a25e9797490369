"""Where mistakes are collected while a file is read."""

from __future__ import annotations

from typing import NoReturn, Protocol

from batchrunner.jobfile.mistakes import Mistake
from batchrunner.jobfile.source import Place, Source


class Mark(Protocol):
    """A position in the file; both loaders' marks are such."""

    @property
    def line(self) -> int:
        """The line, from 0."""

    @property
    def column(self) -> int:
        """The column, from 0."""


class Spanned(Protocol):
    """Anything that stands somewhere in the file: a node or an event."""

    @property
    def start(self) -> Mark:
        """Its first character."""

    @property
    def end(self) -> Mark:
        """The place behind its last character."""


class Stopped(Exception):
    """Reading cannot go on; why is in the log."""


class Log:
    """The mistakes of one file; the same mistake at the same place counts once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._mistakes: dict[tuple[int, int, str], Mistake] = {}

    def add(self, message: str, at: Spanned, tip: str | None = None) -> None:
        """Note a mistake at a node."""
        start, end = at.start, at.end
        line_end = len(self._source.line(start.line))
        last = end.column if end.line == start.line else line_end
        self.add_at(message, Place(start.line, start.column), last - start.column, tip)

    def add_at(self, message: str, at: Place, width: int = 1, tip: str | None = None) -> None:
        """Note a mistake at a place that is no node."""
        key = (at.line, at.column, message)
        if key not in self._mistakes:
            self._mistakes[key] = self._source.mistake(message, at, width=width, tip=tip)

    def stop(self, message: str, at: Spanned, tip: str | None = None) -> NoReturn:
        """Note a mistake that ends the reading."""
        self.add(message, at, tip)
        raise Stopped

    def mistakes(self) -> tuple[Mistake, ...]:
        """Return all mistakes, in the order of the file."""
        return tuple(sorted(self._mistakes.values(), key=lambda one: (one.line, one.column)))
