"""What becomes of a batch's hours and credits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batchrunner.model.categories import FailureCategory
from batchrunner.model.states import TimeBucket


class CostCause(StrEnum):
    """What an attempt's credits were used for, where no failure category says it."""

    SUCCEEDED = "succeeded"  #: good rows
    IN_FLIGHT = "in_flight"  #: the attempt is open; it is billed when it ends
    ORPHANS = "orphans"  #: the run came when nobody needed it any more


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAttempt:
    """An attempt as the account needs it."""

    opened_at: datetime
    closed_at: datetime | None
    cause: CostCause | FailureCategory
    answered_at: datetime | None  #: when its run was known, or known not to be
    unanswered_at: bool  #: its create got no answer and its run was not found at once
    started_at: datetime | None  #: by the API's clock
    ended_at: datetime | None  #: by the API's clock
    retry_at: datetime | None
    counted: bool
    steps: int | None  #: None where its bill is not known
    ran: bool  #: it has a run, or may have


@dataclass(frozen=True, kw_only=True, slots=True)
class PastJob:
    """A job's life: when it came, what was tried, and when it reached its end."""

    loaded_at: datetime
    finished_at: datetime | None
    attempts: tuple[PastAttempt, ...]  #: in order


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time, up to but without its end."""

    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchHistory:
    """What went on around the jobs of a batch: when runners worked, and what kept them back."""

    attended: tuple[Span, ...]
    halts: Mapping[TimeBucket, tuple[Span, ...]]  #: of PAUSED, CREDITS and HELD


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeAndCostShare:
    """What one use took."""

    attempts: int = 0
    unbilled: int = 0  #: attempts with a run, or perhaps one, whose bill is not known
    steps: int = 0
    time: timedelta = timedelta(0)  #: from opened to closed

    def __add__(self, other: TimeAndCostShare) -> TimeAndCostShare:
        return TimeAndCostShare(
            attempts=self.attempts + other.attempts,
            unbilled=self.unbilled + other.unbilled,
            steps=self.steps + other.steps,
            time=self.time + other.time,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeAndCost:
    """A batch's hours and credits, each in exactly one part."""

    jobs: int
    causes: Mapping[CostCause | FailureCategory, TimeAndCostShare]
    buckets: Mapping[TimeBucket, timedelta]

    @property
    def whole(self) -> TimeAndCostShare:
        """All uses together."""
        return sum(self.causes.values(), TimeAndCostShare())

    @property
    def time(self) -> timedelta:
        """The time of all jobs, from their loading to their end."""
        return sum(self.buckets.values(), timedelta(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """That the account has no credits, so that nothing is submitted for now."""

    since: datetime
    check_at: datetime  #: when it is tried again
    why: str  #: in the API's words
