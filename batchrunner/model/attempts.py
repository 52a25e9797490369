"""What the ledger holds of work under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batchrunner.model.categories import FailureCategory
from batchrunner.model.job_file import Expectations, TimeLimits
from batchrunner.model.outcomes import Finding, Transition
from batchrunner.model.retry_rule import RetryRule
from batchrunner.model.runs import Run
from batchrunner.model.states import JobState, RunStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """As much of a job as a decision needs."""

    id: int
    key: str
    attempt: int  #: number of its newest attempt; 0 before the first
    failures: int  #: attempts that counted
    failures_by_category: Mapping[FailureCategory, int] = field(
        default_factory=dict
    )  #: the same by category
    policy: Mapping[FailureCategory, RetryRule] = field(default_factory=dict)  #: its own rules
    escalation_steps: Mapping[FailureCategory, int] = field(
        default_factory=dict
    )  #: its newest attempt's
    escalation_ids: Mapping[FailureCategory, str] = field(
        default_factory=dict
    )  #: what these belong to


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedAttempt:
    """An attempt's place in the submission that carries it."""

    attempt_id: int
    batch_index: int  #: from 1, the last part of the marker
    job: Job
    url: str
    goal: str
    options: Mapping[str, Any] = field(default_factory=dict)  #: the job's, as its rungs change them
    option_overrides: Mapping[str, Any] = field(
        default_factory=dict
    )  #: those that its rungs changed


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One create request, written down before it is sent."""

    id: int
    marker_token: str  #: unique text, the middle part of the marker
    intended_at: datetime
    marked: bool  #: whether its goals carry the marker
    attempts: tuple[SubmittedAttempt, ...]
    fruitless_searches: int = 0  #: how often its runs were looked for in vain


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlRun:
    """A run that is known to exist: a search that does not find it finds nothing."""

    run_id: str
    marker_token: str  #: of the submission that made it
    batch_index: int


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
    cancel_reason: FailureCategory | None = None  #: why we asked the API to cancel it
    cancelled_for_deadline: bool = (
        False  #: it is cancelled for a deadline, which is not its job's fault
    )
    cancelled_after_result: bool = (
        False  #: it is cancelled because it showed its result and did not end
    )
    missing_since: datetime | None = None  #: since when the API does not know it
    expectations: Expectations = field(default_factory=Expectations)
    limits: TimeLimits = field(default_factory=TimeLimits)  #: the job's own


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationResult:
    """What one attempt tells of a host: whether a rung of a ladder gets past its walls."""

    host: str
    escalation_id: str
    step: int
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class HostResult:
    """What one attempt tells of its host: whether it works at all."""

    host: str
    passed: bool
    opened_at: datetime
    park_after: int  #: failures in a row after which it is parked; 0: it never is


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptDecision:
    """What the store is to write about one attempt: what was seen and what follows."""

    attempt: OpenAttempt | SubmittedAttempt
    transition: Transition
    run: Run | None = None
    escalation_results: tuple[EscalationResult, ...] = ()
    host_result: HostResult | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResult:
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
class Owner:
    """A process that works on the jobs of a database."""

    id: str
    machine: str  #: where its pid means something
    pid: int
    process_started_at: str  #: tells two processes of one pid apart
