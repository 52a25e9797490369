"""
The exceptions that a user of the program or of the Python interface meets.

    BatchrunnerError
      x UsageError          an option, a file or a name is wrong; nothing was begun
        x InputError        a job file has problems: all of them are in `problems`
        x BatchElsewhere    the jobs of a file were run before, in another batch or database
        x EditNeedsDecision a file changed so much that the user must say what to do
      x CannotContinue      the work cannot start or go on
        x DatabaseError     the database cannot be used
        x BadQuality        the data of a batch is bad, so nothing more is submitted
        x ApiError          the API refuses the key or cannot be reached
        x LeftEarly         the work was interrupted before it could count the batch
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchrunner.model.comparison import Comparison, Guard
    from batchrunner.model.problems import Problem

__all__ = [
    "ApiError",
    "BadQuality",
    "BatchElsewhere",
    "BatchrunnerError",
    "CannotContinue",
    "DatabaseError",
    "EditNeedsDecision",
    "InputError",
    "LeftEarly",
    "UsageError",
]


class BatchrunnerError(Exception):
    """Something that a person can put right: what happened, where, why, and what to do next."""

    def __init__(self, what: str, *, next: str = "", where: str = "", why: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where  #: a file with line and column, a run id, an address
        self.why = why
        self.next = next  #: what to do now, often a command

    def __str__(self) -> str:
        """Return all parts, each on a line; leave out a place or a cause that `what` names."""
        place = f"{self.where}: " if self.where not in self.what else ""
        reason = f"\n  why: {self.why}" if self.why not in self.what else ""
        step = f"\n  next: {self.next}" if self.next else ""
        return f"{place}{self.what}{reason}{step}"


class UsageError(BatchrunnerError):
    """An option, a file or a name is wrong; nothing was begun."""


class InputError(UsageError):
    """A job file has problems; `what` is a report of all of them with lines and carets."""

    def __init__(self, what: str, problems: Sequence[Problem] = ()) -> None:
        first = next(iter(problems), None)
        super().__init__(
            what,
            where=f"{first.file}:{first.line}:{first.column}" if first else "",
            why=first.message if first else "",
        )
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """Return the report; it names each place and each cause."""
        return self.what


class BatchElsewhere(UsageError):
    """The jobs of a file were run before, in another batch or database; nothing was loaded."""

    def __init__(self, what: str, *, options: tuple[str, ...], next: str = "") -> None:
        super().__init__(what, next=next)
        self.options = options  #: of the command that goes on there


class EditNeedsDecision(UsageError):
    """An edit would buy many jobs again, or withdraw many; nothing was changed."""

    def __init__(
        self,
        what: str,
        *,
        comparison: Comparison,
        guards: tuple[Guard, ...],
        next: str = "",
        why: str = "",
    ) -> None:
        super().__init__(what, next=next, why=why)
        self.comparison = comparison  #: what the load would change
        self.guards = guards  #: what must be decided


class CannotContinue(BatchrunnerError):
    """The work cannot start or go on; what was done so far is on disk."""


class DatabaseError(CannotContinue):
    """The database cannot be used."""


class BadQuality(CannotContinue):
    """The data of a batch is so bad that nothing more is submitted; `resume` goes on."""


class ApiError(CannotContinue):
    """The API refuses the key or a request, or cannot be reached."""


class LeftEarly(CannotContinue):
    """The work was interrupted while the database was away; nothing is lost."""
