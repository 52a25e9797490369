"""A problem in a job file, and the exception that carries all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong in a job file."""

    file: str
    line: int  #: from 1
    column: int  #: from 1, in characters
    message: str
    source_line: str  #: the whole line as it was read: make it safe before you show it
    width: int = 1  #: characters that the caret spans
    tip: str | None = None  #: what to write instead
    place: str | None = None  #: what else names the position, such as a table's column
    source_column: int | None = None  #: where the caret is in `source_line`, if not at `column`


class JobFileErrors(Exception):
    """Everything that is wrong in one job file, in the order of the file."""

    def __init__(
        self, problems: tuple[Problem, ...], *, more: int = 0, can_leave_out: bool = False
    ) -> None:
        super().__init__(problems)
        self.problems = problems
        self.more = more  #: problems of the same kinds that were only counted
        self.can_leave_out = can_leave_out  #: without the rows that have them, the file is right

    def __str__(self) -> str:
        count = len(self.problems) + self.more
        return f"{count:,} {'problem' if count == 1 else 'problems'} in {self.problems[0].file}"
