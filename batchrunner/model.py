"""The vocabulary; imports nothing of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

#: Options of a run request beside url and goal, as the API names them.
RUN_OPTIONS = (
    "browser_profile",
    "proxy_config",
    "agent_config",
    "capture_config",
    "output_schema",
    "use_vault",
    "credential_item_ids",
    "use_profile",
    "profile_id",
    "webhook_url",
    "api_integration",
    "feature_flags",
)

#: Most runs that one request may create, show or cancel (run-batch, runs/batch, runs/batch/cancel).
MOST_RUNS = 100


class JobState(StrEnum):
    """Where a job is; it is in exactly one of these, for ever."""

    AVAILABLE = "available"  #: may be claimed from `available_at` on
    RUNNING = "running"  #: an attempt is open
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether only an explicit retry can change it."""
        return self not in (JobState.AVAILABLE, JobState.RUNNING)


class RunStatus(StrEnum):
    """How the API calls the state of a run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        """Whether the API will not change it any more."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)


class FailureCategory(StrEnum):
    """Why an attempt failed, cut by who can do something about it."""

    SYSTEM_FAILURE = "system_failure"  #: the service broke
    AGENT_FAILURE = "agent_failure"  #: the input needs fixing
    BILLING_FAILURE = "billing_failure"  #: the account has no credits
    UNKNOWN = "unknown"  #: the API gave no category that we know
    GOAL_FAILURE = "goal_failure"  #: the run completed, the goal was not reached
    BLOCKED = "blocked"  #: a goal failure by a captcha, a login or a bot wall
    INVALID_RESULT = "invalid_result"  #: the result is not what the job asked for
    TIMED_OUT = "timed_out"  #: over its time limit, cancelled by us
    RUN_CANCELLED = "run_cancelled"  #: cancelled by somebody
    REJECTED = "rejected"  #: the API refused this job's request
    UNAUTHORIZED = "unauthorized"  #: the key, or a right that it lacks
    THROTTLED = "throttled"  #: too many requests
    UNREACHABLE = "unreachable"  #: no usable answer from the API
    UNANSWERED = "unanswered"  #: a run may exist and nothing can tell
    LOST = "lost"  #: the API no longer knows a run that it gave us


# ---- what a job file says ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
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
class Demand:
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
    demands: tuple[Demand, ...] = ()  #: its `expect`
    allow: frozenset[str] = frozenset()  #: general rules that this job does without


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """One validated entry of a job file; not a row yet."""

    key: str  #: the user's own `id`, else a digest of url, goal and options
    url: str
    goal: str
    options: Mapping[str, Any] = field(default_factory=dict)  #: RUN_OPTIONS that are set
    expect: Mapping[str, Any] = field(default_factory=dict)  #: what its result must be, as written
    policy: Mapping[FailureCategory, Rule] = field(default_factory=dict)  #: goes before the batch's
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
class Settings:
    """How a batch is to be run."""

    concurrency: int = 10  #: runs in flight at most, over all runners
    max_attempts: int = 3  #: counted attempts a job may use
    backoff: timedelta = timedelta(seconds=15)  #: longest first wait; doubles with each failure
    queued_limit: timedelta = timedelta(hours=1)  #: longest time a run may stay PENDING
    running_limit: timedelta = timedelta(minutes=30)  #: longest time a run may be RUNNING
    marker: bool = True  #: append a reference to goals, by which lost runs are found
    policy: Mapping[FailureCategory, Rule] = field(default_factory=dict)  #: before the usual
    budget: Budget | None = None  #: most that its runs may cost; None: whatever they do
    rate: Decimal | None = None  #: what a step costs, in dollars


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFile:
    """A whole job file, free of mistakes."""

    name: str
    settings: Settings
    specs: tuple[JobSpec, ...]
    duplicates: int = 0  #: entries left out because an equal one stands above


# ---- evidence: what was seen ----


@dataclass(frozen=True, kw_only=True, slots=True)
class RunError:
    """Why a run failed, in the API's words; everything but the message may be missing."""

    message: str
    category: str | None = None
    code: str | None = None
    retry_after: timedelta | None = None
    help_url: str | None = None
    help_message: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run as the API showed it at one moment."""

    run_id: str
    status: RunStatus
    goal: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: int | None = None  #: the billed unit; None while in progress
    result: str | None = None  #: JSON text as the API sent it, in ASCII; None where null
    error: RunError | None = None
    schema_errors: tuple[str, ...] | None = None  #: what breaks output_schema; None where unsaid
    streaming_url: str | None = None
    shown_at: datetime | None = None  #: by the API's own clock; None where unsaid


class FaultKind(StrEnum):
    """How a request went wrong."""

    NOT_SENT = "not_sent"  #: no byte of it left: no connection, a bad url
    INTERRUPTED = "interrupted"  #: it may have arrived; no whole answer came back
    MALFORMED = "malformed"  #: an answer came that is not the API's
    TOO_LARGE = "too_large"  #: the answer is larger than we take
    STATUS = "status"  #: the API answered with an error


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFault:
    """A request that did not get what it asked for."""

    kind: FaultKind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: timedelta | None = None
    #: Place in the request → what is wrong with it, where the API named single runs.
    issues: Mapping[int, str] = field(default_factory=dict)


class ApiError(Exception):
    """A read that failed; what failed is its `fault`."""

    def __init__(self, fault: ApiFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, kw_only=True, slots=True)
class NotFound:
    """The API says that it does not know this run."""

    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """The API shows this run in an answer that cannot be taken."""

    run_id: str
    message: str


Sighting = Run | NotFound | Unreadable


# ---- the three answers of a create ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """The API made the runs: as many different ids as were asked for."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Nothing was created, for sure."""

    fault: ApiFault


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanswered:
    """Runs may exist: look for them before anything else happens to these jobs."""

    fault: ApiFault


Answer = Created | Refused | Unanswered


# ---- outcome: what the evidence means ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """The job got what it asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a rule has seen in a result."""

    rule: str
    path: str  #: where it stands; `.` is the whole result
    seen: str  #: what stands there, shortened and safe to show
    wanted: str = ""  #: what was to stand there, where the rule can tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The attempt did not bring what was asked for."""

    category: FailureCategory
    message: str
    code: str | None = None
    retry_after: timedelta | None = None  #: a floor for the wait, never a ceiling
    findings: tuple[Finding, ...] = ()  #: why a result was judged so


Outcome = Succeeded | Failed


# ---- transition: what happens next to a job ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """The job has reached a final state."""

    state: JobState
    failure: Failed | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """The attempt counts, and the job may be claimed again from *at* on."""

    at: datetime
    failure: Failed
    rungs: Mapping[FailureCategory, int] = field(default_factory=dict)  #: to go on from


@dataclass(frozen=True, kw_only=True, slots=True)
class Postpone:
    """The attempt does not count, and the job may be claimed again from *at* on."""

    at: datetime
    failure: Failed
    together: int | None = None  #: most rides in its next submission, to find out who is refused


Transition = Finish | Retry | Postpone


# ---- what a failure means for the whole pool ----


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldOff:
    """Send nothing before *until*."""

    until: datetime
    failure: Failed
    creates_only: bool = False  #: runs in flight may still be looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """Submit nothing more, and tell the user why."""

    failure: Failed


PoolEffect = HoldOff | Stop


# ---- what the ledger holds ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """As much of a job as a decision needs."""

    id: int
    key: str
    attempt: int  #: number of its newest attempt; 0 before the first
    failures: int  #: attempts that counted
    met: Mapping[FailureCategory, int] = field(default_factory=dict)  #: the same by category
    policy: Mapping[FailureCategory, Rule] = field(default_factory=dict)  #: its own rules
    rungs: Mapping[FailureCategory, int] = field(default_factory=dict)  #: its newest attempt's
    ladders: Mapping[FailureCategory, str] = field(default_factory=dict)  #: what these belong to


@dataclass(frozen=True, kw_only=True, slots=True)
class Ride:
    """An attempt's place in the submission that carries it."""

    attempt_id: int
    place: int  #: from 1, the last part of the marker
    job: Job
    url: str
    goal: str
    options: Mapping[str, Any] = field(default_factory=dict)  #: the job's, as its rungs change them
    changes: Mapping[str, Any] = field(default_factory=dict)  #: those that its rungs changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One create request, written down before it is sent."""

    id: int
    token: str  #: unique text, the middle part of the marker
    intended_at: datetime
    marked: bool  #: whether its goals carry the marker
    rides: tuple[Ride, ...]
    searched: int = 0  #: how often its runs were looked for in vain


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAttempt:
    """An attempt whose run exists and is being watched."""

    attempt_id: int
    run_id: str
    submission_id: int
    marker: str | None  #: what the goal of its run ends in; None where goals carry none
    url: str
    job: Job
    status: RunStatus
    opened_at: datetime
    started_at: datetime | None = None  #: when we first saw it RUNNING, by our clock
    cancelling: FailureCategory | None = None  #: why we asked the API to cancel it
    recalled: bool = False  #: it is cancelled for a deadline, which is not its job's fault
    missing_since: datetime | None = None  #: since when the API does not know it
    expectations: Expectations = field(default_factory=Expectations)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What one attempt tells of a host: whether a rung of a ladder gets past its walls."""

    host: str
    ladder: str
    rung: int
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the store is to write about one attempt: what was seen and what follows."""

    attempt: OpenAttempt | Ride
    transition: Transition
    run: Run | None = None
    lessons: tuple[Lesson, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgeable:
    """The newest attempt of a job in a final state that has a result to judge again."""

    job_id: int
    attempt_id: int
    number: int  #: of the attempt; a judgement counts only while it is the newest
    key: str
    url: str
    goal: str
    state: JobState
    result: str
    expectations: Expectations
    category: FailureCategory | None = None  #: what it was judged to be; None: a success
    code: str | None = None
    message: str = ""
    findings: tuple[Finding, ...] = ()


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
    changes: Mapping[str, Any] = field(default_factory=dict)  #: options that its last rung changed
    run_id: str | None = None
    steps: int | None = None  #: billed for all its attempts together
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None  #: JSON text as the API sent it


_MARKER = re.compile(r"\[ref br-[0-9a-z]+-[0-9]+\]")


def marker(token: str, place: int) -> str:
    """Return the text that a submission appends to a goal, by which the run is found again."""
    return f"[ref br-{token}-{place}]"


def marker_of(goal: str | None) -> str | None:
    """
    Return the marker in a goal that the API echoed; None if there is none.

    Of several it is the last: a user's own text may hold one that was copied from somewhere.
    """
    found = [match.group() for match in _MARKER.finditer(goal or "")]
    return found[-1] if found else None


def marker_prefix(token: str) -> str:
    """Return the part of the marker that all runs of a submission share; what to search for."""
    return f"br-{token}-"


# ---- who works, and what there is to see ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A process that works on the jobs of a database."""

    id: str
    machine: str  #: where its pid means something
    pid: int
    born: str  #: tells two processes of one pid apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """That the user wants nothing more to be submitted for now."""

    since: datetime
    reason: str | None = None


class RateOrigin(StrEnum):
    """Who says what a step costs."""

    JOB_FILE = "job file"
    WALLET = "wallet"  #: of the account, as the API showed it last


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What a step costs, in dollars."""

    amount: Decimal
    origin: RateOrigin


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """What an account that pays for each step has, in dollars."""

    balance: Decimal
    rate: Decimal | None  #: what a step costs; None where the API does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class Purse:
    """How much of a batch's budget is gone, in steps."""

    budget: Budget
    limit: int  #: what the budget buys
    spent: int  #: known to be billed
    unclear: int  #: kept back for good, for runs whose cost nobody can tell any more
    reserved: int  #: kept back for runs in flight, or being looked for
    needs: int | None = None  #: most that the next due job may cost; None where none is due

    @property
    def room(self) -> int:
        """What may still be reserved."""
        return self.limit - self.spent - self.unclear - self.reserved

    @property
    def used_up(self) -> bool:
        """Whether a job is due, what is left does not cover it, and nothing will free more."""
        return self.needs is not None and self.reserved == 0 and self.room < self.needs


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The jobs of one job file under one name."""

    id: int
    name: str
    settings: Settings  #: as they are in force, whoever said so last
    origin: str | None  #: the API that its runs are on; None before the first
    pause: Pause | None = None
    rate: Rate | None = None  #: what a step costs; None where nobody says


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What loading a job file did."""

    batch: Batch
    added: int
    known: int  #: were there already
    changed: tuple[str, ...] = ()  #: keys loaded before with another url, goal or options
    before: Settings | None = None  #: what was in force until then; None: the batch is new


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
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
class Standing:
    """As much of a batch as its runner needs to know whether there is more to do."""

    mine: int  #: open attempts of this owner
    others: int  #: open attempts of other owners
    due_at: datetime | None  #: when the next available job may be claimed; None if there is none
    pause: Pause | None = None


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
    changes: Mapping[str, Any] = field(default_factory=dict)  #: options that its rung changed
