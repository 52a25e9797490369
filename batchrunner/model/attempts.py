"""Jobs, attempts and submissions in progress, and the decisions about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batchrunner.model.categories import FailureCategory, RuleKey
from batchrunner.model.findings import Finding, Verdict
from batchrunner.model.job_file import Expectations, TimeLimits
from batchrunner.model.outcomes import Transition
from batchrunner.model.retry_rule import RetryRule
from batchrunner.model.runs import Run
from batchrunner.model.states import JobState, RunStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What a decision needs to know about a job."""

    id: int
    key: str
    attempt: int  #: number of its newest attempt; 0 before the first
    failures: int  #: attempts that counted
    #: The same by category.
    failures_by_category: Mapping[FailureCategory, int] = field(default_factory=dict)
    policy: Mapping[RuleKey, RetryRule] = field(default_factory=dict)  #: its own rules
    earlier_suspects: int = 0  #: its suspect results that a policy has bought again
    #: Of its newest attempt.
    escalation_steps: Mapping[FailureCategory, int] = field(default_factory=dict)
    #: The escalations that these steps belong to.
    escalation_ids: Mapping[FailureCategory, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittedAttempt:
    """An attempt in the submission that carries it."""

    attempt_id: int
    batch_index: int  #: from 1; the marker names it
    job: Job
    url: str
    goal: str
    #: The job's options, with the changes of its escalation steps.
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Only the changed options.
    option_overrides: Mapping[str, Any] = field(default_factory=dict)
    marker: str | None = None  #: at the end of its run's goal; None if goals have no markers
    grounded: bool = False  #: its pages are captured, to search for the values of its result


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One create request, stored before it is sent."""

    id: int
    marker_token: str  #: unique text; the part of its markers that all share
    intended_at: datetime
    marked: bool  #: whether its goals carry the marker
    attempts: tuple[SubmittedAttempt, ...]
    fruitless_searches: int = 0  #: searches that did not find its runs
    unanswered_at: datetime | None = None  #: when it was known that no answer names its runs


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAttempt:
    """An attempt whose run exists and is polled."""

    attempt_id: int
    run_id: str
    submission_id: int
    marker: str | None  #: at the end of its run's goal; None if goals have no markers
    url: str
    job: Job
    status: RunStatus
    opened_at: datetime
    started_at: datetime | None = None  #: when we first saw it RUNNING, by our clock
    cancel_reason: FailureCategory | None = None  #: why we asked the API to cancel it
    cancelled_for_deadline: bool = False  #: which is not its job's fault
    cancelled_after_result: bool = False  #: because it showed its result and did not end
    cancelled_at_stop: bool = False  #: because it had not started when we stopped
    missing_since: datetime | None = None  #: since when the API does not know the run
    expectations: Expectations = field(default_factory=Expectations)
    limits: TimeLimits = field(default_factory=TimeLimits)  #: the job's own


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationResult:
    """What one attempt shows of a host: whether an escalation step gets past its walls."""

    host: str
    escalation_id: str
    step: int
    passed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class HostResult:
    """What one attempt shows of its host: whether it works."""

    host: str
    passed: bool
    opened_at: datetime
    park_after: int  #: failures in a row that park the host; 0: never


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptDecision:
    """What the store must write about one attempt: its run and the transition."""

    attempt: OpenAttempt | SubmittedAttempt
    transition: Transition
    run: Run | None = None
    escalation_results: tuple[EscalationResult, ...] = ()
    host_result: HostResult | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredResult:
    """The newest attempt of a job in a final state, with a result that can be judged again."""

    job_id: int
    attempt_id: int
    number: int  #: of the attempt; a new judgement counts only while it is the newest
    key: str
    url: str
    goal: str
    state: JobState
    result: str
    expectations: Expectations
    category: FailureCategory | None = None  #: as judged so far; None: a success
    code: str | None = None
    message: str = ""
    findings: tuple[Finding, ...] = ()
    verdict: Verdict | None = None  #: as judged so far; None: by an older version
    reviewed: bool = False  #: a person has accepted or rejected it
