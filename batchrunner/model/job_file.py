"""The contents of a job file: job specs, settings, limits and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from batchrunner.model.categories import RuleKey
from batchrunner.model.diff_settings import DiffSettings
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.model.quality import QualityBounds
from batchrunner.model.retry_rule import RetryRule

#: Concurrency setting: as many runs as the account has slots, which the program learns.
AUTO = 0
#: Most runs in flight that can be set, and most that AUTO leads to.
MAX_CONCURRENCY = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRule:
    """What one field of a result must be; None: no such limit."""

    path: str  #: such as `price` or `items[].name`; `.` is the whole result
    required: bool = False  #: it exists and is not empty
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None  #: a regular expression for the whole text
    at_least: int | None = None  #: least entries of a list
    at_most: int | None = None  #: most entries of a list
    forbidden: tuple[str, ...] = ()  #: values that it must not be, as text


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """What a job's result must be to count as a success."""

    schema: Mapping[str, Any] | None = None  #: its `output_schema`
    field_rules: tuple[FieldRule, ...] = ()  #: its `expect`
    allow: frozenset[str] = frozenset()  #: general rules that are off for this job
    goal: str = ""  #: what was asked, without our marker
    #: Pairs of a rule and a path: a person accepted what this rule finds there.
    accepted: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeLimits:
    """How long a job's runs may take; None: as the batch's settings say."""

    queued: timedelta | None = None  #: longest time PENDING
    running: timedelta | None = None  #: longest time RUNNING


_NOTHING: Mapping[Any, Any] = {}
_NO_LIMITS = TimeLimits()


class JobSpec(NamedTuple):
    """
    One validated entry of a job file; not a row yet.

    A tuple is made several times as quickly as an object, and a file may have a million entries.
    """

    key: str  #: the user's own `id`, else a digest of url, goal and options
    url: str
    goal: str
    options: Mapping[str, Any] = _NOTHING  #: RUN_OPTIONS that are set
    expect: Mapping[str, Any] = _NOTHING  #: what its result must be, as written in the file
    #: Takes precedence over the batch's.
    policy: Mapping[RuleKey, RetryRule] = _NOTHING
    limits: TimeLimits = _NO_LIMITS
    line: int = 0  #: its line in the file, from 1
    #: Carried cells by the name of their column: text from tables, else JSON values.
    columns: Mapping[str, Any] = _NOTHING
    source: str = ""  #: the file of its line; empty: that of the whole job file


class JobSpecs(Protocol):
    """Job specs that are read from start to end, as often as needed; perhaps not all in memory."""

    def __iter__(self) -> Iterator[JobSpec]:
        """Yield the specs in their order."""

    def __len__(self) -> int:
        """Return how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """The most that a batch may cost: in steps or in dollars, never both."""

    steps: int | None = None
    money: Decimal | None = None

    def __str__(self) -> str:
        """Return it as written in a job file."""
        return f"{self.steps} steps" if self.money is None else f"${self.money:f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRule:
    """Limits for one host; None: as in the rule for all hosts, else no limit."""

    concurrency: int | None = None  #: most runs in flight on it
    spacing: timedelta | None = None  #: least time between two submissions to it
    park_after: int | None = None  #: failures in a row that park it; 0: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """The first jobs of a batch, which decide whether the rest is run."""

    jobs: int
    success_rate: Decimal | None = None  #: least share that must succeed, from 0 to 1
    row_cost: Budget | None = None  #: most that a success may cost, including all failures


@dataclass(frozen=True, kw_only=True, slots=True)
class StopLoss:
    """The most that a batch may lose to orphans and lost runs; None: no such limit."""

    share: Decimal | None = Decimal("0.01")  #: of all its runs, from 0 to 1
    cost: Budget | None = None

    def __str__(self) -> str:
        """Return it in words."""
        share = None if self.share is None else f"{(self.share * 100).normalize():f}%"
        return " or ".join(str(part) for part in (share, self.cost) if part is not None) or "never"


class Looks(StrEnum):
    """How often a batch's runs are polled."""

    SPARING = "sparing"  #: fewer requests, and results arrive later
    USUAL = "usual"  #: as rarely as no slot stays empty for long
    EAGER = "eager"  #: more requests, and results arrive earlier


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a batch is run."""

    concurrency: int = 10  #: most runs in flight, over all runners; AUTO: as learned
    max_attempts: int = 3  #: most counted attempts of a job
    backoff: timedelta = timedelta(seconds=15)  #: longest first wait; doubled with each failure
    queued_limit: timedelta = timedelta(hours=1)  #: longest time a run may stay PENDING
    running_limit: timedelta = timedelta(minutes=30)  #: longest time a run may be RUNNING
    stuck_after: float | None = None  #: limit in multiples of a typical run, if that is less
    looks: Looks = Looks.USUAL  #: how often runs are polled
    marker: bool = True  #: append a reference to goals, to find lost runs again
    policy: Mapping[RuleKey, RetryRule] = field(
        default_factory=dict
    )  #: takes precedence over the defaults
    budget: Budget | None = None  #: most that its runs may cost; None: no limit
    rate: Decimal | None = None  #: price of a step, in dollars
    hosts: Mapping[str, HostRule] = field(default_factory=dict)  #: by name; `*` is for all hosts
    canary: Canary | None = None
    stop_loss: StopLoss = StopLoss()  #: after which submitting stops
    every: str | None = None  #: how long the slots of its series are; None: it is no series
    time_zone: str | None = None  #: of these slots; None: this machine's
    keep_editions: int | None = None  #: editions that stay; None: all
    quality: QualityBounds = field(default_factory=QualityBounds)  #: what its rows must be
    #: Whose values are searched for in the pages of their runs.
    grounding: GroundingRule = field(default_factory=GroundingRule)
    diff: DiffSettings = field(default_factory=DiffSettings)  #: what comparisons overlook


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """A file that jobs were read from."""

    path: str  #: absolute
    digest: str  #: SHA-256 of its content, in hex


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFile:
    """A whole job file without mistakes."""

    name: str
    settings: Settings
    specs: JobSpecs
    columns: tuple[str, ...] = ()  #: names of the carried columns, in their order
    sources: tuple[SourceFile, ...] = ()  #: the files that it was read from
    series: str | None = None  #: the series of which it becomes an edition; None: of none
    edition: str | None = None  #: the name of that edition; the batch's name ends with it
    from_file: bool = True  #: False: rows from Python, which withdraw nothing unless asked to
    is_complete: bool = True  #: False: rows of it were left out, so it withdraws nothing either
    duplicates: int = 0  #: entries left out because they repeat an earlier one
    warnings: tuple[str, ...] = ()  #: what may be a mistake, with its location
    notes: tuple[str, ...] = ()  #: what was taken as what
