"""Batches as users see them: counts, finished jobs, failed attempts, parked hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from batchrunner.model.budget import Rate
from batchrunner.model.categories import FailureCategory
from batchrunner.model.comparison import Comparison
from batchrunner.model.findings import Finding, Verdict
from batchrunner.model.job_file import Settings
from batchrunner.model.quality import QualityStop
from batchrunner.model.run_help import RunHelp
from batchrunner.model.states import JobState

_NOTHING: Mapping[str, Any] = {}


class FinishedJob(NamedTuple):
    """
    A job in a final state, as exports show it.

    A tuple is made several times as quickly as an object, and an export has a million.
    """

    position: int  #: its position in the job file, from 1
    key: str
    url: str
    goal: str
    state: JobState
    attempts: int
    category: FailureCategory | None = None
    code: str | None = None
    message: str | None = None
    #: Options that its last escalation steps changed.
    option_overrides: Mapping[str, Any] = _NOTHING
    run_id: str | None = None
    steps: int | None = None  #: billed for all its attempts together
    cost: str | None = None  #: the same in dollars, exactly; None if the rate is unknown
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None  #: JSON text as the API sent it
    long_result_of: int | None = None  #: attempt whose long result is still to be read
    artifacts: tuple[str, ...] = ()  #: paths of its last run's artifacts
    help: RunHelp | None = None  #: the API's advice about its last run
    run_error: str | None = None  #: JSON: the error that its last run reported beside its result
    #: Carried input cells by the name of their column.
    columns: Mapping[str, Any] = _NOTHING
    revision: int = 1  #: of the job: the form that a file gave it, or a run anew on request
    #: Top-level fields that its `output_schema` names.
    schema_fields: frozenset[str] = frozenset()
    verdict: Verdict | None = None  #: on its result; None: it has none, or an older version ran it
    finding: Finding | None = None  #: what decided the verdict
    grounding: str | None = None  #: how much of its result is in its pages; None: not checked


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """The user has paused the batch: nothing is submitted."""

    since: datetime
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The jobs of one job file under one name."""

    id: int
    name: str
    settings: Settings  #: in force now, by file or command
    api_origin: str | None  #: the API that its runs are on; None before the first
    pause: Pause | None = None
    step_price: Rate | None = None  #: price of a step; None if unknown
    series: str | None = None  #: the series of which it is an edition; None: it is none
    edition: str | None = None  #: its slot, such as `2026-12-01`
    quality_stop: QualityStop | None = None  #: why its data stopped it; None: it did not


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadResult:
    """The effect of loading a job file."""

    batch: Batch
    added: int  #: new jobs
    known: int  #: jobs that were loaded before
    changed: tuple[str, ...] = ()  #: first keys that had another url, goal or options before
    before: Settings | None = None  #: settings in force until then; None: the batch is new
    comparison: Comparison | None = None  #: what the load changed


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchCounts:
    """The numbers of a batch."""

    jobs: Mapping[JobState, int]
    retrying: int = 0  #: available jobs with earlier attempts
    queued: int = 0  #: runs in flight that the API has not started
    unsettled: int = 0  #: attempts that may or may not have a run yet
    failed: Mapping[FailureCategory, int] = field(default_factory=dict)  #: final failures
    suspect: Mapping[str, int] = field(default_factory=dict)  #: succeeded jobs by rule
    retried: Mapping[FailureCategory, int] = field(
        default_factory=dict
    )  #: failed attempts of jobs that continued
    attempts: int = 0
    leaving: int = 0  #: runs in flight of jobs that were changed or withdrawn since
    orphans: int = 0  #: late runs that no attempt needed; they were cancelled
    steps: int = 0  #: billed for all attempts and orphans together
    due_at: datetime | None = None  #: when the next job may be claimed

    @property
    def total(self) -> int:
        """All loaded jobs."""
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
class SuspectResults:
    """The suspect results of a batch that one rule found, and the first one as an example."""

    rule: str
    jobs: int
    key: str
    url: str
    run_id: str | None
    finding: Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkLeft:
    """What a runner needs to know about a batch to see whether work is left."""

    in_flight_here: int  #: open attempts of this owner
    in_flight_elsewhere: int  #: open attempts of other owners
    free_slots: int  #: attempts that the concurrency may allow; 0 or less: none
    unanswered: int = 0  #: open attempts of all owners whose runs may not exist
    due_at: datetime | None  #: when the next available job may be claimed; None: no job
    pause: Pause | None = None
    canary_failed: bool = False  #: the canary did not reach its minimum
    quality_stop: QualityStop | None = None  #: why its data stopped it
    has_budget: bool = False  #: it has a budget
    given_up: bool = False  #: all available jobs are on hosts that were given up

    @property
    def is_blocked(self) -> bool:
        """Whether nothing is submitted until the user decides."""
        return self.canary_failed or self.given_up or self.quality_stop is not None

    def has_claimable_work(self, now: datetime) -> bool:
        """Whether a claim may succeed: a job is due, and there is a free slot."""
        return self._has_due_job(now) and self.free_slots > 0

    def is_left_out(self, now: datetime) -> bool:
        """Whether a job is due, and other runners have all the slots."""
        full = self.free_slots <= 0 and self.in_flight_elsewhere > 0
        return full and self.in_flight_here == 0 and self._has_due_job(now)

    def _has_due_job(self, now: datetime) -> bool:
        stopped = self.pause is not None or self.canary_failed
        return self.due_at is not None and self.due_at <= now and not stopped


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosedAttempt:
    """A failed attempt, with its reason."""

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
    help: RunHelp | None = None
    #: Options that its escalation steps changed.
    option_overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdviceCount:
    """What the API advised about runs, and how many jobs ended with it."""

    help: RunHelp
    jobs: int
    first_key: str  #: of one of these jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class RunErrorBeside:
    """An error that a run reported beside its result."""

    key: str
    url: str
    run_id: str
    error: str  #: JSON with `message`, and perhaps `category` and `code`


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedAttempt:
    """An attempt, as exports with several tables show it."""

    key: str  #: the key of its job
    revision: int  #: of its job
    number: int
    outcome: str | None  #: `succeeded`, or the category of its failure; None while it is open
    counted: bool | None = None  #: whether it counts towards the most attempts
    code: str | None = None
    message: str | None = None
    steps: int | None = None
    run_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: Options that its escalation steps changed.
    option_overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedHost:
    """A parked host: its jobs wait because every attempt on it failed."""

    host: str
    since: datetime
    failures: int  #: in a row
    probe_at: datetime  #: when one job may test whether it works again
    failed_probes: int
    given_up: bool  #: the batch does not wait for it any more
    waiting: int  #: available jobs on it
