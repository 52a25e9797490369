"""What there is to see of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batchrunner.model.budget import Rate
from batchrunner.model.categories import FailureCategory
from batchrunner.model.job_file import Settings
from batchrunner.model.states import JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedJob:
    """A job in a final state, as exports show it."""

    position: int  #: its place in the job file, from 1
    key: str
    url: str
    goal: str
    state: JobState
    attempts: int
    category: FailureCategory | None = None
    code: str | None = None
    message: str | None = None
    option_overrides: Mapping[str, Any] = field(
        default_factory=dict
    )  #: options that its last rung changed
    run_id: str | None = None
    steps: int | None = None  #: billed for all its attempts together
    cost: str | None = None  #: the same in dollars, exactly; None where nobody knows the rate
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None  #: JSON text as the API sent it
    artifacts: tuple[str, ...] = ()  #: paths of what was captured of its last run


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """That the user wants nothing more to be submitted for now."""

    since: datetime
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The jobs of one job file under one name."""

    id: int
    name: str
    settings: Settings  #: as they are in force, whoever said so last
    api_origin: str | None  #: the API that its runs are on; None before the first
    pause: Pause | None = None
    step_price: Rate | None = None  #: what a step costs; None where nobody says


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """What loading a job file did."""

    batch: Batch
    added: int
    known: int  #: were there already
    changed: tuple[str, ...] = ()  #: keys loaded before with another url, goal or options
    before: Settings | None = None  #: what was in force until then; None: the batch is new


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchCounts:
    """A batch in numbers."""

    jobs: Mapping[JobState, int]
    retrying: int = 0  #: available jobs that have been tried before
    queued: int = 0  #: runs in flight that the API has not started
    unsettled: int = 0  #: attempts of which nobody knows yet whether their run exists
    failed: Mapping[FailureCategory, int] = field(default_factory=dict)  #: final failures
    retried: Mapping[FailureCategory, int] = field(default_factory=dict)  #: failed attempts before
    attempts: int = 0
    orphans: int = 0  #: runs that turned up when nobody needed them any more, and were cancelled
    steps: int = 0  #: billed for all attempts and orphans together
    due_at: datetime | None = None  #: when the next job may be claimed

    @property
    def total(self) -> int:
        """All jobs that were loaded."""
        return sum(self.jobs.values())

    @property
    def open(self) -> int:
        """Jobs that have not reached a final state."""
        return sum(count for state, count in self.jobs.items() if not state.is_final)

    @property
    def done(self) -> int:
        """Jobs in a final state."""
        return self.total - self.open


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkLeft:
    """As much of a batch as its runner needs to know whether there is more to do."""

    in_flight_here: int  #: open attempts of this owner
    in_flight_elsewhere: int  #: open attempts of other owners
    free_slots: int  #: more attempts that its bound allows; none or less: it is full
    due_at: datetime | None  #: when the next available job may be claimed; None if there is none
    pause: Pause | None = None
    canary_failed: bool = False  #: the canary has brought too little
    has_budget: bool = False  #: it has a budget
    given_up: bool = False  #: all available jobs are on hosts for which nobody waits any more

    def has_claimable_work(self, now: datetime) -> bool:
        """Whether a claim may bring anything: a job is due, and there is room for it."""
        held_back = self.pause is not None or self.canary_failed
        return (
            not held_back and self.free_slots > 0 and self.due_at is not None and self.due_at <= now
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedAttempt:
    """One failed try at a job, with its reason."""

    key: str
    url: str
    number: int
    category: FailureCategory
    counted: bool
    message: str
    job_state: JobState
    code: str | None = None
    closed_at: datetime | None = None
    run_id: str | None = None
    option_overrides: Mapping[str, Any] = field(
        default_factory=dict
    )  #: options that its rung changed


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedHost:
    """A host that is kept back, since everything on it failed."""

    host: str
    since: datetime
    failures: int  #: in a row
    probe_at: datetime  #: from when on one job may look whether it is back
    failed_probes: int  #: that failed
    given_up: bool  #: nobody waits for it any more
    waiting: int  #: jobs on it that may be claimed, but for that
