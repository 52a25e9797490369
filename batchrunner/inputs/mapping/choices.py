"""What the user says of the columns of tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ColumnChoices:
    """Which column, or which template of columns, is the url, the goal and the id of a job."""

    url: str | None = None  #: a template such as `https://shop.example/p/{sku}`
    goal: str | None = None
    id: str | None = None
    url_column: str | None = None  #: the name of a column
    goal_column: str | None = None
    id_column: str | None = None
    to_options: bool | None = None  #: columns named like keys of a job are these keys

    def any(self) -> bool:
        """Return whether anything is said."""
        return self != ColumnChoices()

    def both(self) -> Iterator[str]:
        """Give the fields that are said in both ways, which contradict each other."""
        for name in ("url", "goal", "id"):
            if getattr(self, name) is not None and getattr(self, f"{name}_column") is not None:
                yield name
