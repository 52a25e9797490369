"""What evidence means, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchrunner.model.categories import FailureCategory
from batchrunner.model.states import JobState


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
    escalation_steps: Mapping[FailureCategory, int] = field(default_factory=dict)  #: to go on from


@dataclass(frozen=True, kw_only=True, slots=True)
class Snooze:
    """The attempt does not count, and the job may be claimed again from *at* on."""

    at: datetime
    failure: Failed
    max_batch_size: int | None = (
        None  #: most rides in its next submission, to find out who is refused
    )


Transition = Finish | Retry | Snooze


@dataclass(frozen=True, kw_only=True, slots=True)
class DelayRequests:
    """Send nothing before *until*."""

    until: datetime
    failure: Failed
    creates_only: bool = False  #: runs in flight may still be looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSubmitting:
    """Submit nothing more, and tell the user why."""

    failure: Failed


Backpressure = DelayRequests | StopSubmitting
