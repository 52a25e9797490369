"""Which goals ask for which fields: the rows of a goal that never has a field do not lack it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

#: Most goals that are told apart; with more, each row is asked for each field.
MAX_GOALS = 50


class GoalFields:
    """The fields that answers to each goal have, in whatever order rows are added or merged."""

    def __init__(self) -> None:
        self._rows: Counter[int] | None = Counter()  # None: there are too many goals
        self._paths: dict[int, set[str]] = {}

    def add(self, goal: int, *paths: Iterable[str]) -> None:
        """Add a delivered row, with the fields that it has."""
        if self._rows is None:
            return
        self._rows[goal] += 1
        self._paths.setdefault(goal, set()).update(*paths)
        self._bound()

    def merge(self, other: GoalFields) -> None:
        """Add the rows of another."""
        if self._rows is None or other._rows is None:
            self._rows = None
            self._paths.clear()
            return
        self._rows.update(other._rows)
        for goal, paths in other._paths.items():
            self._paths.setdefault(goal, set()).update(paths)
        self._bound()

    def _bound(self) -> None:
        if len(self._paths) > MAX_GOALS:
            self._rows = None
            self._paths.clear()

    def keep(self, kept: Callable[[str], bool]) -> None:
        """Forget the fields that are not *kept*."""
        for paths in self._paths.values():
            paths.difference_update([path for path in paths if not kept(path)])

    def without(self, path: str, other: GoalFields | None) -> int:
        """
        Return how many rows have a goal with other fields, here and in *other*, but not this one.

        Where no goal has the field, all rows lack it.
        """
        if self._rows is None or (other is not None and other._rows is None):
            return 0
        known = {goal: self._known(goal, other) for goal in self._rows}
        if not any(path in paths for paths in known.values()):
            return 0
        return sum(self._rows[goal] for goal, paths in known.items() if paths and path not in paths)

    def _known(self, goal: int, other: GoalFields | None) -> set[str]:
        here = self._paths.get(goal, set())
        return here | other._paths.get(goal, set()) if other is not None else here
