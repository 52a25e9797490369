"""Counts what two sets of results differ in, in memory that does not grow with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, log

from batchrunner.differences.changes import Change, JobDiff, JobStatus
from batchrunner.differences.values import number_move

#: Fields that are counted one by one; the others are counted together.
MAX_FIELDS = 1000
#: Numeric moves that are kept, and how many of them may be of one field.
MAX_MOVES, MAX_MOVES_OF_FIELD = 5, 2
#: The name under which the fields beyond MAX_FIELDS are counted.
OTHER_FIELDS = "(other fields)"


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberMove:
    """A number that changed."""

    id: str
    url: str
    path: str
    field: str
    before: float
    after: float
    size: float  #: how far: the same for ten times as much and for a tenth


@dataclass(kw_only=True, slots=True)
class DiffSummary:
    """How two sets of results differ, in numbers."""

    jobs: Counter[JobStatus] = field(default_factory=Counter)
    #: How many jobs have such a change of a field, by field and kind.
    fields: dict[str, dict[str, int]] = field(default_factory=dict)
    moves: list[NumberMove] = field(default_factory=list)  #: the largest ones
    suspect_before: int = 0  #: jobs whose result is suspect in the first set
    suspect_after: int = 0
    tolerated: int = 0  #: values that differ by no more than their tolerance
    whole: int = 0  #: jobs that could only be compared as a whole
    asks_otherwise: int = 0  #: jobs in both sets with another url or goal

    @property
    def differences(self) -> int:
        """Jobs that count as a difference."""
        return sum(count for status, count in self.jobs.items() if status.is_difference)

    @property
    def compared(self) -> int:
        """Jobs in both sets that are done in both."""
        only_one = (JobStatus.ADDED, JobStatus.GONE, JobStatus.OPEN)
        return sum(count for status, count in self.jobs.items() if status not in only_one)

    def add(self, job: JobDiff) -> None:
        """Count a job."""
        self.jobs[job.status] += 1
        self.suspect_before += job.before is not None and job.before.is_suspect
        self.suspect_after += job.after is not None and job.after.is_suspect
        self.tolerated += job.tolerated
        self.asks_otherwise += job.asks_otherwise
        if job.changes:
            self.whole += job.changes[0].whole
            self._add_changes(job)

    def most_changed(self) -> list[tuple[str, Mapping[str, int]]]:
        """Return the fields with their counts, those with the most changes first."""
        return sorted(self.fields.items(), key=lambda each: (-sum(each[1].values()), each[0]))

    def _add_changes(self, job: JobDiff) -> None:
        seen = set()
        for change in job.changes:
            counted = (change.field, change.kind)
            if counted not in seen:
                seen.add(counted)
                self._count_field(*counted)
            numbers = number_move(change)
            if numbers is not None:
                self._add_move(job, change, *numbers)

    def _count_field(self, field: str, kind: str) -> None:
        counts = self.fields.get(field)
        if counts is None:
            known = field if len(self.fields) < MAX_FIELDS else OTHER_FIELDS
            counts = self.fields.setdefault(known, {})
        counts[kind] = counts.get(kind, 0) + 1

    def _add_move(self, job: JobDiff, change: Change, before: float, after: float) -> None:
        size = _size(before, after)
        larger = [each for each in self.moves if each.size >= size]
        same_field = [each for each in larger if each.field == change.field]
        if len(larger) >= MAX_MOVES or len(same_field) >= MAX_MOVES_OF_FIELD:
            return
        move = NumberMove(
            id=job.job.id,
            url=job.job.url,
            path=change.path,
            field=change.field,
            before=before,
            after=after,
            size=size,
        )
        of_field: Counter[str] = Counter()
        kept = []
        for each in sorted([*self.moves, move], key=lambda each: -each.size):
            of_field[each.field] += 1
            if of_field[each.field] <= MAX_MOVES_OF_FIELD:
                kept.append(each)
        self.moves = kept[:MAX_MOVES]


def _size(before: float, after: float) -> float:
    if not (isfinite(before) and isfinite(after)):
        return 0.0
    if before == 0 or after == 0 or (before < 0) != (after < 0):
        return 1000.0  # no factor leads from one to the other
    return abs(log(after / before)) if after / before else 1000.0
