"""Where problems are collected while a file is read."""

from __future__ import annotations

import re
from typing import NoReturn, Protocol

from batchrunner.inputs.source import Source, SourcePosition
from batchrunner.model.problems import Problem

_COMMENT = re.compile(r"[ \t]+#")


class Position(Protocol):
    """A position in the file; both loaders' marks are such."""

    @property
    def line(self) -> int:
        """The line, from 0."""

    @property
    def column(self) -> int:
        """The column, from 0."""


class HasPosition(Protocol):
    """Anything that stands somewhere in the file: a node or an event."""

    @property
    def start(self) -> Position:
        """Its first character."""

    @property
    def end(self) -> Position:
        """The place behind its last character."""


class TooManyProblems(Exception):
    """Reading cannot go on; why is in the log."""


class ProblemLog:
    """The problems of one file; the same problem at the same place counts once."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._problems: dict[tuple[int, int, str], Problem] = {}
        self._warnings: dict[SourcePosition, str] = {}

    def add(self, message: str, at: HasPosition, tip: str | None = None) -> None:
        """Note a problem at a node."""
        start, end = at.start, at.end
        line_end = len(self._source.line(start.line))
        last = end.column if end.line == start.line else line_end
        self.add_at(message, SourcePosition(start.line, start.column), last - start.column, tip)

    def add_at(
        self, message: str, at: SourcePosition, width: int = 1, tip: str | None = None
    ) -> None:
        """Note a problem at a place that is no node."""
        key = (at.line, at.column, message)
        if key not in self._problems:
            self._problems[key] = self._source.problem(message, at, width=width, tip=tip)

    def stop(self, message: str, at: HasPosition, tip: str | None = None) -> NoReturn:
        """Note a problem that ends the reading."""
        self.add(message, at, tip)
        raise TooManyProblems

    def warn_of_comment(self, at: HasPosition, name: str) -> None:
        """Warn where ` #` ends a text that is not quoted: what follows may belong to it."""
        end = SourcePosition(at.end.line, at.end.column)
        rest = self._source.line(end.line)[end.column :]
        if _COMMENT.match(rest):
            where = f"{self._source.file}:{end.line + 1}:{end.column + 1}"
            self._warnings[end] = (
                f"{where}: {name} ends before ` #`, which begins a comment; quote the text if not"
            )

    def warnings(self) -> tuple[str, ...]:
        """Return what may not be meant as it is written, in the order of the file."""
        return tuple(self._warnings[place] for place in sorted(self._warnings))

    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, in the order of the file."""
        return tuple(sorted(self._problems.values(), key=lambda one: (one.line, one.column)))
