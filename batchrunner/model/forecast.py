"""What a forecast of a batch's cost and time starts from, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchrunner.model.categories import FailureCategory


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledAttempt:
    """One closed attempt of the past."""

    steps: int
    seconds: float  #: how long it held a slot
    failure: FailureCategory | None = None  #: None: it succeeded
    counted: bool = True
    wait: float = 0.0  #: seconds until the next attempt was allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledJob:
    """A finished job of the past, with all its attempts in their order."""

    host: str
    attempts: tuple[SampledAttempt, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobGroup:
    """Jobs that are to run, and that a forecast need not tell apart."""

    host: str
    count: int
    once: int  #: maximum steps of one run
    attempts: int  #: counted failures after which such a job ends
    spacing: float = 0.0  #: least seconds between two submissions to the host
    host_slots: int | None = None  #: runs in flight on the host at most; None: no such limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What bounds a run of the batch."""

    slots: int  #: runs in flight at most
    #: Counted failures of a category that end a job; those of JobGroup where it is not named.
    allowed: Mapping[FailureCategory, int] = field(default_factory=dict)
    backoff: float = 15.0  #: seconds to wait before a retry that the past does not show
    room: int | None = None  #: steps that the budget still covers; None: no budget
    seconds: float | None = None  #: until nothing more is submitted; None: no deadline


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Ranges that contain the truth for *share* of such batches."""

    share: float
    steps: tuple[int, int]
    seconds: tuple[float, float]  #: from the first submission to the last end
    covered: tuple[int, int]  #: jobs that the budget covers
    in_time: tuple[int, int]  #: jobs that end before the deadline
    past: int  #: finished jobs that it is based on
    own: int  #: jobs to run whose own host's past was used


@dataclass(frozen=True, kw_only=True, slots=True)
class WorstCase:
    """The most that jobs may cost and take, whatever happens."""

    jobs: int
    once: int  #: steps if each job runs once and takes its most
    steps: int  #: steps with all attempts that the policy allows
    seconds: float  #: if each of these attempts takes its time limit
