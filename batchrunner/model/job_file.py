"""What a job file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from batchrunner.model.states import FailureCategory

#: In the place of a bound: as many runs as the account turns out to have slots for.
AUTO = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryRule:
    """How the failures of one category are answered; None: as a wider rule says."""

    attempts: int | None = None  #: the failure of this number ends the job
    wait: timedelta | None = None  #: before the next attempt, the same each time
    backoff: timedelta | None = None  #: longest first wait, in the place of the batch's
    then: tuple[Mapping[str, Any], ...] | None = None  #: a ladder: what each next attempt changes
    line: int = field(default=0, compare=False)  #: where it stands in its file, from 1

    @property
    def ladder(self) -> tuple[Mapping[str, Any], ...]:
        """The rungs above the job's own options, from the lowest; empty where there are none."""
        return self.then or ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRule:
    """What one field of a result must be; bounds that are None are not looked at."""

    path: str  #: such as `price` or `items[].name`; `.` is the whole result
    required: bool = False  #: it is there and holds something
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None  #: a regular expression that the whole text has to match
    at_least: int | None = None  #: entries of a list
    at_most: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """What a job's result must be to count as a success."""

    schema: Mapping[str, Any] | None = None  #: its `output_schema`
    demands: tuple[FieldRule, ...] = ()  #: its `expect`
    allow: frozenset[str] = frozenset()  #: general rules that this job does without


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLimits:
    """How long a job's runs may take; None: as long as the batch's settings say."""

    queued: timedelta | None = None  #: longest time PENDING
    running: timedelta | None = None  #: longest time RUNNING


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """One validated entry of a job file; not a row yet."""

    key: str  #: the user's own `id`, else a digest of url, goal and options
    url: str
    goal: str
    options: Mapping[str, Any] = field(default_factory=dict)  #: RUN_OPTIONS that are set
    expect: Mapping[str, Any] = field(default_factory=dict)  #: what its result must be, as written
    policy: Mapping[FailureCategory, RetryRule] = field(
        default_factory=dict
    )  #: goes before the batch's
    limits: TimeLimits = field(default_factory=TimeLimits)
    line: int = 0  #: where it stands in its file, from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The most that the runs of a batch may cost: in steps or in dollars, never in both."""

    steps: int | None = None
    money: Decimal | None = None

    def __str__(self) -> str:
        """Return it as a job file spells it."""
        return f"{self.steps} steps" if self.money is None else f"${self.money:f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRule:
    """How much one host may get at once; None: as the rule for all hosts says, else no limit."""

    concurrency: int | None = None  #: runs in flight on it at most
    spacing: timedelta | None = None  #: least time between two submissions to it
    park_after: int | None = None  #: failures in a row, after which it is parked; 0: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """The first jobs of a batch, by which it is judged whether the rest is worth its money."""

    jobs: int
    success_rate: Decimal | None = None  #: least share of them that succeeds, from 0 to 1
    row_cost: Budget | None = None  #: most that one success may cost, all failures with it


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a batch is to be run."""

    concurrency: int = 10  #: runs in flight at most, over all runners; AUTO: what is learned
    max_attempts: int = 3  #: counted attempts a job may use
    backoff: timedelta = timedelta(seconds=15)  #: longest first wait; doubles with each failure
    queued_limit: timedelta = timedelta(hours=1)  #: longest time a run may stay PENDING
    running_limit: timedelta = timedelta(minutes=30)  #: longest time a run may be RUNNING
    stuck_after: float | None = None  #: typical runs that one may take, where that is less
    marker: bool = True  #: append a reference to goals, by which lost runs are found
    policy: Mapping[FailureCategory, RetryRule] = field(default_factory=dict)  #: before the usual
    budget: Budget | None = None  #: most that its runs may cost; None: whatever they do
    rate: Decimal | None = None  #: what a step costs, in dollars
    hosts: Mapping[str, HostRule] = field(default_factory=dict)  #: by name; `*` is for all
    canary: Canary | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFile:
    """A whole job file, free of mistakes."""

    name: str
    settings: Settings
    specs: tuple[JobSpec, ...]
    duplicates: int = 0  #: entries left out because an equal one stands above
    warnings: tuple[str, ...] = ()  #: what may not be meant as it is written, with its place
