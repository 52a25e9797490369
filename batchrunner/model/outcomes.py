"""Outcomes of attempts, and the transitions that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchrunner.model.categories import FailureCategory
from batchrunner.model.run_help import RunHelp
from batchrunner.model.states import JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a user should know about a result that was delivered."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """The result is what the job asked for."""

    remark: Remark | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a rule found in a result."""

    rule: str
    path: str  #: where; `.` is the whole result
    seen: str  #: the value there, shortened and safe to show
    wanted: str = ""  #: what should be there, if the rule can say


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The attempt failed."""

    category: FailureCategory
    message: str
    code: str | None = None
    retry_after: timedelta | None = None  #: the least wait; it may be longer
    findings: tuple[Finding, ...] = ()  #: why a result was judged like this
    advice: str = ""  #: what to do about a failure that stops a runner; stored nowhere
    help: RunHelp | None = None  #: the API's advice about a request that failed


Outcome = Succeeded | Failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """The job reaches a final state."""

    state: JobState
    failure: Failed | None = None
    remark: Remark | None = None  #: only of a success


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """The attempt counts; the job may be claimed again from `at` on."""

    at: datetime
    failure: Failed
    escalation_steps: Mapping[FailureCategory, int] = field(default_factory=dict)  #: to continue on


@dataclass(frozen=True, kw_only=True, slots=True)
class Snooze:
    """The attempt does not count; the job may be claimed again from `at` on."""

    at: datetime
    failure: Failed
    #: Most jobs in its next submission, to find out which job the API refuses.
    max_batch_size: int | None = None


Transition = Finish | Retry | Snooze


@dataclass(frozen=True, kw_only=True, slots=True)
class DelayRequests:
    """Send no request before `until`."""

    until: datetime
    failure: Failed
    creates_only: bool = False  #: runs in flight may still be polled


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSubmitting:
    """Submit nothing more, and report the failure to the user."""

    failure: Failed


Backpressure = DelayRequests | StopSubmitting
