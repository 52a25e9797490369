"""Reports how much of a batch's results is in the pages that their runs saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchrunner.grounding import Grounding, GroundingSummary, Status, summarise
from batchrunner.model import Batch
from batchrunner.store.grounding import grounded_rows, unchecked_results
from batchrunner.store.store import Store

#: Rows with absent values that a report names, and values of each.
MAX_ROWS, MAX_VALUES = 100, 10
#: Different reasons that are told apart.
_MAX_REASONS = 20


@dataclass(frozen=True, kw_only=True)
class AbsentValue:
    """A value that is not in what was captured; that does not yet mean that it is made up."""

    path: str
    value: str  #: shortened
    how: str = ""  #: more about it, if there is more to say


@dataclass(frozen=True, kw_only=True)
class RowWithAbsent:
    """A row with values that are not in its pages."""

    key: str
    values: tuple[AbsentValue, ...]
    more: int = 0  #: other absent values


@dataclass(frozen=True, kw_only=True)
class GroundingReport:
    """How much of a batch's results is in the pages that their runs saw."""

    batch: str
    summary: GroundingSummary  #: field by field
    rows: tuple[RowWithAbsent, ...] = ()  #: the first rows with absent values
    not_checked: Mapping[str, int] = field(default_factory=dict)  #: rows, by why not
    waiting: int = 0  #: rows that are chosen and still to be checked

    def as_json(self) -> dict[str, Any]:
        """Return a form that is JSON."""
        rows = [
            {
                "id": row.key,
                "absent": [
                    {"path": each.path, "value": each.value, "how": each.how} for each in row.values
                ],
                "more": row.more,
            }
            for row in self.rows
        ]
        return {
            "batch": self.batch,
            **self.summary.as_json(),
            "rows_with_absent_values": rows,
            "not_checked": dict(self.not_checked),
            "waiting": self.waiting,
        }


def grounding_report(store: Store, batch: Batch) -> GroundingReport:
    """Sum up what was found of the results of a batch; one row is in memory at a time."""
    rows: list[RowWithAbsent] = []
    reasons: Counter[str] = Counter()

    def found() -> Iterator[tuple[str, Grounding]]:
        for key, stored in grounded_rows(store, batch.id):
            grounding = Grounding.from_json(stored)
            if grounding.problem:
                is_known = grounding.problem in reasons or len(reasons) < _MAX_REASONS
                reasons[grounding.problem if is_known else "other reasons"] += 1
            elif grounding.absent and len(rows) < MAX_ROWS:
                rows.append(_row(key, grounding))
            yield key, grounding

    summary = summarise(found())
    waiting = store.read(unchecked_results, batch.id)
    return GroundingReport(
        batch=batch.name,
        summary=summary,
        rows=tuple(rows),
        not_checked=dict(reasons.most_common()),
        waiting=waiting,
    )


def _row(key: str, grounding: Grounding) -> RowWithAbsent:
    absent = [
        AbsentValue(path=path, value=each.value, how=each.how)
        for path, each in grounding.by_path.items()
        if each.status is Status.ABSENT
    ]
    return RowWithAbsent(
        key=key, values=tuple(absent[:MAX_VALUES]), more=max(len(absent) - MAX_VALUES, 0)
    )
