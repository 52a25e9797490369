"""How much of many results is in their pages, field by field: pure, and mergeable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrunner.grounding.found import Grounding, Status, field_path

#: Rows with absent values that a field names.
MAX_ROWS_NAMED = 20
#: Fields that are counted apart; an agent may give each row its own names.
MAX_FIELDS = 1000
OTHER_FIELDS = "(other fields)"


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldGrounding:
    """How much of one field is in the pages, over many rows."""

    grounded: int = 0
    derived: int = 0
    absent: int = 0
    #: Rows with absent values, and how many there are beside those that are named.
    absent_rows: tuple[str, ...] = ()
    more_absent_rows: int = 0

    @property
    def checked(self) -> int:
        """How many values were checked."""
        return self.grounded + self.derived + self.absent

    def merged(self, other: FieldGrounding) -> FieldGrounding:
        """Return the sum of both."""
        rows = (*self.absent_rows, *other.absent_rows)
        return FieldGrounding(
            grounded=self.grounded + other.grounded,
            derived=self.derived + other.derived,
            absent=self.absent + other.absent,
            absent_rows=rows[:MAX_ROWS_NAMED],
            more_absent_rows=self.more_absent_rows
            + other.more_absent_rows
            + len(rows[MAX_ROWS_NAMED:]),
        )

    def as_json(self) -> dict[str, Any]:
        """Return a form that is JSON."""
        return {
            "grounded": self.grounded,
            "derived": self.derived,
            "absent": self.absent,
            "absent_rows": list(self.absent_rows),
            "more_absent_rows": self.more_absent_rows,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundingSummary:
    """How much of many results is in their pages."""

    rows: int = 0  #: rows whose values were checked
    rows_with_absent: int = 0
    unread_rows: int = 0  #: rows without a page that could be read
    unchecked: int = 0
    fields: Mapping[str, FieldGrounding] = field(default_factory=dict)

    def merged(self, other: GroundingSummary) -> GroundingSummary:
        """Return the summary of the rows of both."""
        fields = dict(self.fields)
        for name, each in other.fields.items():
            known = name if name in fields or len(fields) < MAX_FIELDS else OTHER_FIELDS
            fields[known] = fields.get(known, FieldGrounding()).merged(each)
        return GroundingSummary(
            rows=self.rows + other.rows,
            rows_with_absent=self.rows_with_absent + other.rows_with_absent,
            unread_rows=self.unread_rows + other.unread_rows,
            unchecked=self.unchecked + other.unchecked,
            fields=fields,
        )

    def as_json(self) -> dict[str, Any]:
        """Return a form that is JSON."""
        return {
            "rows": self.rows,
            "rows_with_absent": self.rows_with_absent,
            "unread_rows": self.unread_rows,
            "unchecked": self.unchecked,
            "fields": {name: each.as_json() for name, each in self.fields.items()},
        }

    def lines(self) -> list[str]:
        """Return a sentence for each field, the one with most absent values first."""
        if not self.fields:
            return ["no values were checked"]
        worst_first = sorted(self.fields.items(), key=lambda each: -each[1].absent)
        return [_sentence(name, each) for name, each in worst_first]


def summarise(rows: Iterable[tuple[str, Grounding]]) -> GroundingSummary:
    """Return the summary of rows, each with its name; holds one row at a time."""
    fields: dict[str, FieldGrounding] = {}
    checked = with_absent = unread = unchecked = 0
    for row, grounding in rows:
        if grounding.problem:
            unread += 1
            continue
        checked += 1
        unchecked += grounding.unchecked
        with_absent += bool(grounding.absent)
        for name, each in _of_row(row, grounding).items():
            known = name if name in fields or len(fields) < MAX_FIELDS else OTHER_FIELDS
            fields[known] = fields.get(known, FieldGrounding()).merged(each)
    return GroundingSummary(
        rows=checked,
        rows_with_absent=with_absent,
        unread_rows=unread,
        unchecked=unchecked,
        fields=fields,
    )


def _of_row(row: str, grounding: Grounding) -> dict[str, FieldGrounding]:
    counts: dict[str, dict[Status, int]] = {}
    for path, each in grounding.by_path.items():
        counted = counts.setdefault(field_path(path), dict.fromkeys(Status, 0))
        counted[each.status] += 1
    return {
        name: FieldGrounding(
            grounded=each[Status.GROUNDED],
            derived=each[Status.DERIVED],
            absent=each[Status.ABSENT],
            absent_rows=(row,) if each[Status.ABSENT] else (),
        )
        for name, each in counts.items()
    }


def _sentence(name: str, each: FieldGrounding) -> str:
    inside = each.grounded + each.derived
    share = 100 * inside // each.checked  # rounded down: 100 % means all
    derived = f" ({each.derived} derived)" if each.derived else ""
    text = f"{name}: {share} % of {each.checked:,} are in the page{derived}"
    if not each.absent:
        return text
    rows = ", ".join(each.absent_rows)
    more = f" and {each.more_absent_rows:,} more" if each.more_absent_rows else ""
    verb = "is" if each.absent == 1 else "are"
    noun = "row" if len(each.absent_rows) == 1 and not each.more_absent_rows else "rows"
    return f"{text}; {each.absent:,} {verb} not: {noun} {rows}{more}"
