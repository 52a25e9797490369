"""What a runner tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batchrunner.model import AttemptDecision, Failed, ParkedHost, Pause
from batchrunner.model.time_and_cost import Hold
from batchrunner.policy.schedule import Phase, Window


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsRescued:
    """Open attempts of a process that is gone were taken over."""

    attempts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsSubmitted:
    """Runs exist, and their ids are on disk."""

    runs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateUnanswered:
    """A create got no answer: its runs are being looked for."""

    runs: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptsClosed:
    """Attempts were closed, and this is what follows for their jobs."""

    decisions: tuple[AttemptDecision, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestsDelayed:
    """Requests wait, for a reason that concerns them all."""

    until: datetime
    failure: Failed


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfCredits:
    """Nothing is submitted, since the account has no credits; told anew with each check."""

    hold: Hold


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditsBack:
    """The account has credits again, and jobs are submitted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LateRunsFound:
    """Runs turned up whose submission had been given up."""

    adopted: int
    orphans: int  #: nobody needs them any more: they are cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreUnavailable:
    """The database does not answer; nothing is lost meanwhile, and nothing is submitted."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockJumped:
    """The machine slept, or its clock was set forward: what is timed is timed anew."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPaused:
    """The user wants nothing more to be submitted for now; what is in flight goes on."""

    pause: Pause


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResumed:
    """The user wants jobs to be submitted again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChanged:
    """The runner came into another part of the window in which it may submit jobs."""

    phase: Phase
    window: Window


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDropped:
    """The API refused our webhook: runs are created without it, and are only looked at."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcurrencyChanged:
    """The account's queue has taught how many runs to have in flight."""

    most: int
    slots: int
    found: bool  #: a queue has been seen: there are no more


@dataclass(frozen=True, kw_only=True, slots=True)
class HostsParked:
    """Other hosts than before are kept back."""

    hosts: tuple[ParkedHost, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelledForDeadline:
    """Runs are cancelled, since the deadline comes before their end."""

    runs: int


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
    | CancelledForDeadline
    | ConcurrencyChanged
    | HostsParked
)
