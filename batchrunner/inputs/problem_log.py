"""Collects the problems of a file while it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

from batchrunner.inputs.source import Source, SourcePosition
from batchrunner.model.problems import Problem

_COMMENT = re.compile(r"[ \t]+#")


class Position(Protocol):
    """A position in the file, as the marks of both YAML loaders give it."""

    @property
    def line(self) -> int:
        """The line, from 0."""

    @property
    def column(self) -> int:
        """The column, from 0."""


class HasPosition(Protocol):
    """Anything with a position in the file: a node or an event."""

    @property
    def start(self) -> Position:
        """Its first character."""

    @property
    def end(self) -> Position:
        """The position after its last character."""


class TooManyProblems(Exception):
    """Reading cannot go on; the log has the reason."""


class CannotInclude(Exception):
    """A file that a job file names cannot be read."""

    def __init__(self, message: str, tip: str | None = None) -> None:
        super().__init__(message)
        self.tip = tip


@dataclass(kw_only=True)
class Included:
    """A file that a job file names: the node at its root, and the log for what is in it."""

    root: Any  #: None: it has problems
    log: ProblemLog
    value: Any = None  #: what was read from it, as it may be named in every job


#: Reads a file by the name that the job file gives it; raises CannotInclude.
Include: TypeAlias = Callable[[str], Included]


@dataclass
class Odd:
    """A kind of odd value: the first one, and how many there are."""

    where: str
    name: str
    detail: str
    count: int = 0

    def text(self, kind: str) -> str:
        """Return the warning."""
        detail = f" ({self.detail})" if self.detail else ""
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        return f"{self.where}: {self.name} {kind}{detail}{more}"


class ProblemLog:
    """The problems of one file; the same problem at the same position counts once."""

    def __init__(self, source: Source, include: Include | None = None) -> None:
        self._source = source
        self._include = include
        self._included: dict[str, Included] = {}
        self._problems: dict[tuple[int, int, str], Problem] = {}
        self._warnings: dict[SourcePosition, str] = {}
        self._odd: dict[str, Odd] = {}

    def add(self, message: str, at: HasPosition, tip: str | None = None) -> None:
        """Report a problem at a node."""
        start, end = at.start, at.end
        line_end = len(self._source.line(start.line))
        last = end.column if end.line == start.line else line_end
        self.add_at(message, SourcePosition(start.line, start.column), last - start.column, tip)

    def add_at(
        self, message: str, at: SourcePosition, width: int = 1, tip: str | None = None
    ) -> None:
        """Report a problem at a position without a node."""
        key = (at.line, at.column, message)
        if key not in self._problems:
            self._problems[key] = self._source.problem_at(message, at, width=width, tip=tip)

    def stop(self, message: str, at: HasPosition, tip: str | None = None) -> NoReturn:
        """Report a problem that ends the reading."""
        self.add(message, at, tip)
        raise TooManyProblems

    def warn_of_comment(self, at: HasPosition, name: str) -> None:
        """Warn of ` #` after an unquoted text: the comment may be meant as a part of it."""
        end = SourcePosition(at.end.line, at.end.column)
        rest = self._source.line(end.line)[end.column :]
        if _COMMENT.match(rest):
            where = f"{self._source.file}:{end.line + 1}:{end.column + 1}"
            self._warnings[end] = (
                f"{where}: {name} ends before ` #`, which begins a comment; quote the text if not"
            )

    def warn_odd(self, name: str, kind: str, detail: str, at: HasPosition) -> None:
        """Warn of what is odd about a value: of each *kind* the first, and how many there are."""
        if kind not in self._odd:
            where = f"{self._source.file}:{at.start.line + 1}"
            self._odd[kind] = Odd(where, name, detail)
        self._odd[kind].count += 1

    def trial(self) -> ProblemLog:
        """Return a log of the same file whose problems do not count."""
        return ProblemLog(self._source, self._include)

    def included(self, name: str, at: HasPosition) -> Included | None:
        """Return a file that is named at a node; None, with a problem, if it cannot be read."""
        if name in self._included:
            return self._included[name]
        try:
            if self._include is None:
                raise CannotInclude("a file cannot be named here", "write its content here")
            self._included[name] = self._include(name)
        except CannotInclude as error:
            self.add(str(error), at, error.tip)
            return None
        return self._included[name]

    def warnings(self) -> tuple[str, ...]:
        """Return the warnings in the order of the file, then what is odd, each kind once."""
        texts = (self._warnings[position] for position in sorted(self._warnings))
        odd = (odd.text(kind) for kind, odd in self._odd.items())
        others = (line for each in self._included.values() for line in each.log.warnings())
        return (*texts, *odd, *others)

    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, in the order of the file."""
        own = sorted(self._problems.values(), key=lambda problem: (problem.line, problem.column))
        others = (problem for each in self._included.values() for problem in each.log.problems())
        return (*own, *others)
