"""Where a batch's time and steps went, and the history that this is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from batchrunner.model.categories import FailureCategory
from batchrunner.model.states import TimeBucket


class CostCause(StrEnum):
    """What an attempt's steps were used for, if it has no failure category."""

    SUCCEEDED = "succeeded"  #: good results
    IN_FLIGHT = "in_flight"  #: the attempt is open; it is billed when it ends
    ORPHANS = "orphans"  #: no attempt needed the run


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAttempt:
    """What the time and cost report needs to know about an attempt."""

    opened_at: datetime
    closed_at: datetime | None
    cause: CostCause | FailureCategory
    answered_at: datetime | None  #: when it was known whether its run exists
    unanswered: bool  #: its create got no answer
    started_at: datetime | None  #: by the API's clock
    ended_at: datetime | None  #: by the API's clock
    retry_at: datetime | None
    counted: bool
    steps: int | None  #: None if its bill is not known
    ran: bool  #: it has a run, or may have one


@dataclass(frozen=True, kw_only=True, slots=True)
class PastJob:
    """A job from its loading to its end, with all attempts."""

    loaded_at: datetime
    finished_at: datetime | None
    attempts: tuple[PastAttempt, ...]  #: in order


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A period of time; `until` is not part of it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchHistory:
    """When runners worked on a batch, and when nothing could be submitted."""

    attended: tuple[Span, ...]
    holds: Mapping[TimeBucket, tuple[Span, ...]]  #: of PAUSED, CREDITS and HELD


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeAndCostShare:
    """The attempts, steps and time of one cause."""

    attempts: int = 0
    unbilled: int = 0  #: attempts that have or may have a run, and whose bill is not known
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
    """A batch's time and steps; each is in exactly one part."""

    jobs: int
    causes: Mapping[CostCause | FailureCategory, TimeAndCostShare]
    buckets: Mapping[TimeBucket, timedelta]

    @property
    def whole(self) -> TimeAndCostShare:
        """All causes together."""
        return sum(self.causes.values(), TimeAndCostShare())

    @property
    def time(self) -> timedelta:
        """The time of all jobs, from their loading to their end."""
        return sum(self.buckets.values(), timedelta(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """The account has no credits, so nothing is submitted for now."""

    since: datetime
    check_at: datetime  #: when the program tries again
    reason: str  #: in the API's words
