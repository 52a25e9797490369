"""Events: what a runner reports while it works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batchrunner.model import AttemptDecision, Failed, ParkedHost, Pause
from batchrunner.model.audit import AuditStop
from batchrunner.model.quality import QualityReason
from batchrunner.model.time_and_cost import Hold
from batchrunner.policy.schedule import Phase, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsRescued:
    """Open attempts of a dead process were taken over."""

    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsSubmitted:
    """Runs were created, and their ids are on disk."""

    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateUnanswered:
    """A create request got no answer: the runner searches for its runs."""

    runs: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsClosed:
    """Attempts were closed, and these are the decisions about their jobs."""

    decisions: tuple[AttemptDecision, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestsDelayed:
    """All requests, or all creates, are delayed."""

    until: datetime
    failure: Failed


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfCredits:
    """Nothing is submitted because the account has no credits; reported at each check."""

    hold: Hold


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditsBack:
    """The account has credits again, and jobs are submitted again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LateRunsFound:
    """Runs appeared after their submission was given up."""

    adopted: int
    orphans: int  #: no attempt needs them any more: they are cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreUnavailable:
    """The database does not answer; until it does, nothing is submitted and nothing is lost."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockJumped:
    """The machine slept, or its clock was set forward: time limits begin again."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPaused:
    """The user paused the batch: nothing is submitted; runs in flight go on."""

    pause: Pause


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResumed:
    """The user resumed the batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChanged:
    """The runner has reached another phase of the window in which it may submit jobs."""

    phase: Phase
    window: Window


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDropped:
    """The API refused our webhook: runs are created without it, and are only polled."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcurrencyChanged:
    """The account's queue showed how many runs to keep in flight."""

    most: int
    slots: int
    found: bool  #: a queue was seen, so the account has no more slots


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLimitMet:
    """The API refused a create because more runs would be in flight than the account may have."""

    most: int  #: runs to keep in flight from now on


@dataclass(frozen=True, kw_only=True, slots=True)
class HostsParked:
    """The set of parked hosts has changed."""

    hosts: tuple[ParkedHost, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelledForDeadline:
    """Runs were cancelled because the deadline is earlier than their end."""

    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelledAtStop:
    """Runs were cancelled because the runner stops and they have not started."""

    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedBeforeCancel:
    """Runs that were to be cancelled before they started have started, and have ended."""

    runs: int
    steps: int  #: that they used


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownRunsFound:
    """An audit found runs of this batch that the database did not know."""

    adopted: int
    orphans: int  #: no attempt needs them: they are cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmittingStopped:
    """Nothing more is submitted because of what an audit found."""

    reason: AuditStop


@dataclass(frozen=True, kw_only=True, slots=True)
class GroundingDropped:
    """The API refused to capture pages for grounding: runs are created without it."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BadDataFound:
    """The newest results are bad; reported once for each kind of finding and field."""

    reasons: tuple[QualityReason, ...]
    stopped: bool  #: nothing more is submitted until the user resumes the batch


Event = (
    AttemptsRescued
    | RunsSubmitted
    | CreateUnanswered
    | AttemptsClosed
    | RequestsDelayed
    | OutOfCredits
    | CreditsBack
    | LateRunsFound
    | StoreUnavailable
    | ClockJumped
    | BatchPaused
    | BatchResumed
    | ScheduleChanged
    | WebhookDropped
    | CancelledAtStop
    | CancelledForDeadline
    | StartedBeforeCancel
    | ConcurrencyChanged
    | AccountLimitMet
    | HostsParked
    | UnknownRunsFound
    | SubmittingStopped
    | BadDataFound
    | GroundingDropped
)
