"""Outcomes of attempts, and the transitions that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchrunner.model.categories import FailureCategory
from batchrunner.model.findings import Finding, Verdict
from batchrunner.model.run_help import RunHelp
from batchrunner.model.states import JobState


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a user should know about a result that was delivered."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Succeeded:
    """The result is delivered, because it is not certain that it is wrong."""

    remark: Remark | None = None
    verdict: Verdict = Verdict.GOOD  #: good or suspect
    findings: tuple[Finding, ...] = ()  #: why it is suspect; the first one decides


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
    verdict: Verdict | None = None  #: good or suspect, only of a success
    findings: tuple[Finding, ...] = ()  #: why a success is suspect
    again_at: datetime | None = None  #: when a suspect result is bought again, as a policy says


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


def findings_of_transition(transition: Transition) -> tuple[Finding, ...]:
    """Return what the judge found in the result of the attempt that a transition closes."""
    if transition.failure is not None:
        return transition.failure.findings
    return transition.findings if isinstance(transition, Finish) else ()


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
