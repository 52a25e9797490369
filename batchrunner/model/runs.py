"""What the API answers and shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from batchrunner.model.states import RunStatus


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
    output_schema: Mapping[str, Any] | None = None  #: what it was asked to keep to
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


RunObservation = Run | NotFound | Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class RunListing:
    """What a search through the list of runs brought, and what of it could not be taken."""

    runs: tuple[Run, ...]
    unclear: tuple[str, ...] = ()  #: ids of entries that tell nothing else, or tell it as a number
    nameless: int = 0  #: entries that do not even tell an id
    complete: bool = True  #: it was seen to its end


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


CreateAnswer = Created | Refused | Unanswered
