"""What was found of a result's values in the pages, value by value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Longest value, excerpt and explanation that are kept, in characters.
MAX_KEPT_LENGTH = 80
_INDEX = re.compile(r"\[\d+\]")


class Status(StrEnum):
    """Whether a value is in the pages."""

    GROUNDED = "grounded"  #: it stands there, in whatever spelling
    DERIVED = "derived"  #: it follows from what stands there: computed, shortened or reworded
    ABSENT = "absent"  #: it was not found in what was captured; that does not mean it is made up


class Where(StrEnum):
    """The part of a page in which a value was found."""

    TEXT = "text"
    ATTRIBUTE = "attribute"
    META = "meta"  #: the title, or a `meta` element
    JSON_LD = "json-ld"
    SCRIPT = "script"  #: other data inside a script
    URL = "url"  #: an address in the page, or its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounded:
    """One value of a result, and what was found of it."""

    status: Status
    value: str  #: as the result has it, shortened
    where: Where | None = None  #: None where it is absent, or computed from other values
    page: int | None = None  #: which of the pages, from 0
    excerpt: str = ""  #: the place in the page
    how: str = ""  #: why it is derived or absent, if there is more to say

    def as_json(self) -> list[Any]:
        """Return a form for storage that `from_json` reads."""
        parts = [self.status.value, self.value, self.where, self.page, self.excerpt, self.how]
        while parts[-1] in (None, ""):
            parts.pop()
        return parts

    @classmethod
    def from_json(cls, parts: list[Any]) -> Grounded:
        """Return what `as_json` wrote."""
        status, value, where, page, excerpt, how = [*parts, *[None] * 6][:6]
        return cls(
            status=Status(status),
            value=value or "",
            where=Where(where) if where else None,
            page=page,
            excerpt=excerpt or "",
            how=how or "",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounding:
    """What was found of a result in the pages that the agent saw."""

    by_path: Mapping[str, Grounded] = field(default_factory=dict)
    #: Values that a page cannot show or deny: yes and no, and those beyond the first 500.
    unchecked: int = 0
    #: Why nothing was checked; "" if the values were.
    problem: str = ""

    def count(self, status: Status) -> int:
        """Return how many values have a status."""
        return sum(each.status is status for each in self.by_path.values())

    @property
    def grounded(self) -> int:
        """How many values are in the pages."""
        return self.count(Status.GROUNDED)

    @property
    def derived(self) -> int:
        """How many values follow from what is in the pages."""
        return self.count(Status.DERIVED)

    @property
    def absent(self) -> list[str]:
        """The paths of the values that were not found."""
        return [path for path, each in self.by_path.items() if each.status is Status.ABSENT]

    def as_json(self) -> dict[str, Any]:
        """Return a compact form for storage that `from_json` reads."""
        shown: dict[str, Any] = {path: each.as_json() for path, each in self.by_path.items()}
        return {
            "values": shown,
            **({"unchecked": self.unchecked} if self.unchecked else {}),
            **({"problem": self.problem} if self.problem else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Grounding:
        """Return what `as_json` wrote."""
        values = stored.get("values", {})
        return cls(
            by_path={path: Grounded.from_json(parts) for path, parts in values.items()},
            unchecked=stored.get("unchecked", 0),
            problem=stored.get("problem", ""),
        )


def field_path(path: str) -> str:
    """Return the path of a field over all items of its lists: `offers[].price`."""
    return _INDEX.sub("[]", path)
