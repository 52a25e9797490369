"""Collects the problems of rows: of each kind the first ones, and how many there are."""

from __future__ import annotations

import re
from collections import Counter

from batchrunner.inputs.problem_log import HasPosition
from batchrunner.inputs.tables import Cell, TableLog
from batchrunner.model.problems import Problem

#: Problems of one kind that are kept; the others are counted.
MAX_OF_A_KIND = 10
#: Problems of all kinds that are kept.
MAX_KEPT = 500
#: What differs between two problems of one kind: what they quote, and their numbers.
_PARTICULARS = re.compile(r"`[^`]*`|\"[^\"]*\"|\d[\d,]*")


class RowLog(TableLog):
    """The problems of a table's rows, in bounded memory."""

    def __init__(self, file: str, *, only_reasons: bool) -> None:
        super().__init__(file)
        self._only_reasons = only_reasons  # the rows are left out, with their reasons
        self._kinds: Counter[tuple[str, int | None]] = Counter()
        self.reasons: list[str] = []  #: why the row that is being read is refused
        self.hidden = 0  #: problems that were not kept

    def take_reasons(self) -> list[str]:
        """Return why the row is refused, and begin with the next one."""
        reasons, self.reasons = self.reasons, []
        return reasons

    def add(self, message: str, at: HasPosition, tip: str | None = None) -> None:
        """Report a problem of the row that is being read."""
        number = at.start.number if isinstance(at.start, Cell) else None
        if not self._is_kept(message, number, tip):
            return
        if isinstance(at.start, Cell):
            cell = at.start
            super().add_problem(cell.table.problem(message, cell.row, cell.number, tip))
        else:
            super().add(message, at, tip)

    def add_problem(self, problem: Problem) -> None:
        """Report a problem that was found before."""
        if self._is_kept(problem.message, None, problem.tip):
            super().add_problem(problem)

    def _is_kept(self, message: str, column: int | None, tip: str | None) -> bool:
        self.reasons.append(message if tip is None else f"{message}: {tip}")
        return not self._only_reasons and self._counts(message, column)

    def _counts(self, message: str, column: int | None) -> bool:
        kind = (_PARTICULARS.sub("…", message), column)
        self._kinds[kind] += 1
        kept = self._kinds[kind] <= MAX_OF_A_KIND and len(self._problems) < MAX_KEPT
        self.hidden += not kept
        return kept
