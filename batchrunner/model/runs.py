"""Runs, errors and answers, as the API sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from batchrunner.model.run_help import RunHelp
from batchrunner.model.states import RunStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class RunError:
    """Why a run failed, in the API's words; all fields but the message may be missing."""

    message: str
    category: str | None = None
    code: str | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run as the API showed it at one time."""

    run_id: str
    status: RunStatus
    goal: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: int | None = None  #: the billed unit; None while in progress
    result: str | None = None  #: JSON text as the API sent it, in ASCII; None for null
    error: RunError | None = None  #: a completed run may have one beside its result
    help: RunHelp | None = None
    schema_errors: tuple[str, ...] | None = (
        None  #: where it breaks output_schema; None if the API does not say
    )
    streaming_url: str | None = None
    output_schema: Mapping[str, Any] | None = None  #: as in its request
    shown_at: datetime | None = None  #: by the API's own clock; None if the API does not say
    unknown_status: str | None = None  #: as sent, where that is no status of the API's pages

    def as_ended(self) -> Run:
        """Return a run of an unknown status that has ended: its result is judged, if it has one."""
        said = f": {self.error.message}" if self.error else ""
        status = self.unknown_status or "none"
        message = f"The run ended with the status {status}, which is not known here{said}"
        return replace(
            self,
            status=RunStatus.FAILED if self.result is None else RunStatus.COMPLETED,
            error=RunError(message=message, code=self.unknown_status),
        )


class ApiFaultKind(StrEnum):
    """How a request failed."""

    NOT_SENT = "not_sent"  #: no byte was sent: no connection, a bad url
    BARRED = "barred"  #: the same, and waiting is no use: an untrusted certificate, a proxy's no
    INTERRUPTED = "interrupted"  #: it may have arrived; no complete answer came back
    MALFORMED = "malformed"  #: the answer is not the API's
    TOO_LARGE = "too_large"  #: the answer is larger than we accept
    STATUS = "status"  #: the API answered with an error


class Throttle(StrEnum):
    """What there is too much of, if a 429 says so."""

    RUNS = "runs"  #: at the same time
    REQUESTS = "requests"  #: in a time


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiFault:
    """A failed request."""

    kind: ApiFaultKind
    message: str
    status: int | None = None
    code: str | None = None
    retry_after: timedelta | None = None
    throttle: Throttle | None = None  #: of a 429; None if it does not say
    #: Index of a run in the request → what is wrong with it, if the API named single runs.
    issues: Mapping[int, str] = field(default_factory=dict)
    advice: str = ""  #: what to do, where waiting is no use
    help: RunHelp | None = None

    @property
    def nothing_sent(self) -> bool:
        """Whether no byte of the request has reached the API: this is certain."""
        return self.kind in (ApiFaultKind.NOT_SENT, ApiFaultKind.BARRED)


class RequestFailed(Exception):
    """A failed read or cancel request; `fault` has the details."""

    def __init__(self, fault: ApiFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, kw_only=True, slots=True)
class NotFound:
    """The API does not know this run."""

    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """The API's answer about this run cannot be used."""

    run_id: str
    message: str


RunObservation = Run | NotFound | Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class RunListing:
    """The result of a search in the list of runs, with the entries that could not be used."""

    runs: tuple[Run, ...]
    unclear: tuple[str, ...] = ()  #: ids of entries whose other fields are missing or invalid
    nameless: int = 0  #: entries without an id
    complete: bool = True  #: the list was read to its end


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage:
    """One page of the list of runs."""

    listing: RunListing
    cursor: str | None  #: where the next page begins; None on the last page
    total: float  #: least number of runs on all pages


@dataclass(frozen=True, kw_only=True, slots=True)
class Created:
    """The API created the runs; there is one id per attempt, all different."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Nothing was created; this is certain."""

    fault: ApiFault


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanswered:
    """Runs may exist: search for them before anything else happens to these jobs."""

    fault: ApiFault


CreateAnswer = Created | Refused | Unanswered
