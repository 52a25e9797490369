"""What a comparison finds: the changes of one job's result, and what became of the job."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

from batchrunner.differences.paths import Step, path_text

#: Stands for the value of a field that is not there.
MISSING: Final = object()


_FINAL_STATES: Final = ("succeeded", "failed", "cancelled")


class ChangeKind(StrEnum):
    """What happened to a value."""

    CHANGED = "changed"
    ADDED = "added"  #: the field or element was not there before
    GONE = "gone"  #: the field or element is not there any more
    EMPTIED = "emptied"  #: it had a value, and is null, or an empty text, list or object now
    FILLED = "filled"  #: the reverse
    RESPELLED = "respelled"  #: the same value, written in another way or as another type


class JobStatus(StrEnum):
    """What became of a job between the two sets."""

    LOST = "lost"  #: it had a result, and failed or was cancelled since
    GONE = "gone"  #: it is only in the first set
    ADDED = "added"  #: it is only in the second set
    REGAINED = "regained"  #: it had no result, and has one now
    CHANGED = "changed"
    SAME = "same"
    FAILED = "failed"  #: it has no result in either set
    OPEN = "open"  #: it is not done yet in one of the sets, and was not compared

    @property
    def is_difference(self) -> bool:
        """Whether it counts as a difference."""
        return self not in (JobStatus.SAME, JobStatus.FAILED, JobStatus.OPEN)


class Change(NamedTuple):
    """A change of one value; MISSING stands for no value."""

    #: How to get there through the new result; what is gone has the last index that it had before.
    steps: tuple[Step, ...]
    field: str  #: the field that it is a value of: `offers[].price`
    kind: ChangeKind
    before: Any
    after: Any
    whole: bool = False  #: the results were not compared field by field

    @property
    def path(self) -> str:
        """Where it is: `price`, `offers[sku=A1].price`, `.` for the whole result."""
        return path_text(self.steps)


class ComparedResult(NamedTuple):
    """A job in one of the two sets."""

    key: str  #: what the two sets are joined by
    id: str = ""
    url: str = ""
    goal: str = ""
    state: str = "succeeded"
    category: str | None = None  #: why it failed
    verdict: str | None = None
    text: str | None = None  #: its result as JSON text
    #: Top-level fields that its `output_schema` names.
    named: frozenset[str] = frozenset()

    @property
    def has_result(self) -> bool:
        """Whether the job got what it asked for."""
        return self.state == "succeeded"

    @property
    def is_open(self) -> bool:
        """Whether the job is not done yet."""
        return self.state not in _FINAL_STATES

    @property
    def is_suspect(self) -> bool:
        """Whether its result looks wrong."""
        return self.verdict == "suspect" and self.has_result

    @property
    def outcome(self) -> str:
        """What it came to, in a word: `succeeded`, `suspect`, or why it failed."""
        return "suspect" if self.is_suspect else self.category or self.state


class JobDiff(NamedTuple):
    """A job of two sets, compared."""

    status: JobStatus
    before: ComparedResult | None  #: None: it is not in the first set
    after: ComparedResult | None  #: None: it is not in the second set
    changes: tuple[Change, ...] = ()
    tolerated: int = 0  #: values that differ by no more than their tolerance

    @property
    def job(self) -> ComparedResult:
        """The job as it is in the second set, else as it was in the first."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def asks_otherwise(self) -> bool:
        """Whether its url or goal is another one now, where both sets say it."""
        old, new = self.before, self.after
        if old is None or new is None:
            return False
        if old.url == new.url and old.goal == new.goal:
            return False
        pairs = ((old.url, new.url), (old.goal, new.goal))
        return any(before and after and before != after for before, after in pairs)
