"""The sandbox's journal: every create request and every run it ever saw, in memory and on disk."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fcntl import LOCK_EX, LOCK_NB, flock
from io import FileIO
from pathlib import Path
from typing import Any

from batchrunner.sandbox.faults import RUN_FAULTS, RunFault, Status


@dataclass(frozen=True, kw_only=True, slots=True)
class SandboxRun:
    """One run as it is now.

    `actions` are the steps taken; `charge` is what they cost. A COMPLETED run is `performed` once
    the agent has brought its result. `waited` means that its client waits for the answer of
    `/run`.
    """

    run_id: str
    ordinal: int
    body: Mapping[str, Any]
    fault: str
    duration: float
    created_at: datetime
    waited: bool = False
    replayed: bool = False  #: of a request that a middlebox sent a second time
    holder: str = ""  #: digest of the key that created it, where keys are accounts
    status: Status = Status.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    performed: bool = False
    actions: tuple[str, ...] = ()
    charge: Decimal = Decimal(0)
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    html: str = ""
    schema_errors: tuple[Mapping[str, Any], ...] = ()

    @property
    def url(self) -> str:
        """The page that the run starts from."""
        return str(self.body["url"])

    @property
    def goal(self) -> str:
        """The task in plain words, as the client sent it."""
        return str(self.body["goal"])

    @property
    def steps(self) -> int:
        """How many steps the run took so far; the account pays for each."""
        return len(self.actions)

    @property
    def course(self) -> RunFault:
        """How the run goes: the row of its fault."""
        return RUN_FAULTS[self.fault]


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalOpened:
    """A sandbox started on this journal, with this limit from now on."""

    at: datetime
    limit: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateReceived:
    """A create request and its outcome.

    `status` is the HTTP status of the answer, None if no answer left the server. `urls` is empty
    for a request that did not pass validation. `items` are the indexes of the runs that caused
    its fault.
    """

    at: datetime
    status: int | None
    fault: str | None = None
    urls: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    runs: tuple[SandboxRun, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelReceived:
    """A request to cancel a run that was open."""

    at: datetime
    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPerformed:
    """What the agent brought back from a run that was due `at` this instant."""

    at: datetime
    run_id: str
    result: Mapping[str, Any] | None
    actions: tuple[str, ...]
    html: str
    schema_errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultyRead:
    """A read that met a fault of a url whose faults are counted."""

    at: datetime
    url: str


Event = JournalOpened | CreateReceived | CancelReceived | RunPerformed | FaultyRead

#: The events by their names in the file.
_EVENTS: Mapping[str, type[Event]] = {
    "opened": JournalOpened,
    "create": CreateReceived,
    "cancel": CancelReceived,
    "performed": RunPerformed,
    "look": FaultyRead,
}
_EVENT_NAMES = {event: name for name, event in _EVENTS.items()}
#: Fields that earlier versions wrote under another name: the old name → the field.
_FIELD_ALIASES = {"fate": "fault"}
#: How the file of a journal begins.
_FIRST = b'{"event": "opened", '
#: The fields of a new run that are written; the others follow from later events.
_CREATED_FIELDS = ("run_id", "ordinal", "body", "fault", "duration", "waited", "replayed", "holder")


@dataclass
class Journal:
    """Runs in the order of their creation, and every event in a file if there is a `path`.

    The file has one JSON object per line, which is flushed but not synced: it survives a crash of
    the process, but not of the machine. An incomplete last line is ignored.
    """

    path: Path | None = None
    charged: Decimal = field(default=Decimal(0), init=False)  #: for all runs together
    _runs: dict[str, SandboxRun] = field(default_factory=dict, init=False)
    _requests: list[CreateReceived] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._file = None if self.path is None else _opened(self.path)

    @property
    def runs(self) -> tuple[SandboxRun, ...]:
        """Every run in the order of creation, as of the last `advance`."""
        return tuple(self._runs.values())

    @property
    def requests(self) -> tuple[CreateReceived, ...]:
        """Every create request in the order of arrival, including refused ones."""
        return tuple(self._requests)

    def find(self, run_id: str) -> SandboxRun | None:
        """Return a run by its id, whatever its fault; None if there is none."""
        return self._runs.get(run_id)

    def put(self, run: SandboxRun) -> None:
        """Add a run, or replace a known one by its new state."""
        before = self._runs.get(run.run_id)
        self.charged += run.charge - (before.charge if before else 0)
        self._runs[run.run_id] = run

    def add_request(self, request: CreateReceived) -> None:
        """Add a create request."""
        self._requests.append(request)

    def past_events(self) -> Iterator[Event]:
        """Yield the events that earlier sandboxes wrote to the file."""
        if self.path is None:
            return
        for line in self.path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield _decoded(json.loads(line))

    def write(self, event: Event) -> None:
        """Append an event to the file in one write."""
        if self._file is not None:
            self._file.write(json.dumps(_encoded(event)).encode() + b"\n")

    def close(self) -> None:
        """Close the file; nothing can be written after it."""
        if self._file is not None:
            self._file.close()


def _opened(path: Path) -> FileIO:
    file = FileIO(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab")
    try:
        _lock(file, path)
        whole = path.read_bytes()
        if not whole.startswith(_FIRST[: len(whole)]):
            raise OSError(errno.EINVAL, "This is not a journal of a sandbox", str(path))
        file.truncate(whole.rfind(b"\n") + 1)  # the next line must not continue an incomplete one
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: FileIO, path: Path) -> None:
    # Two sandboxes would give their runs the same numbers. The lock ends with the process.
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno, "Another sandbox uses this journal", str(path)
        ) from error


def _encoded(event: Event) -> dict[str, Any]:
    fields = {entry.name: getattr(event, entry.name) for entry in dataclasses.fields(event)}
    if isinstance(event, CreateReceived):
        # A run is written as it was created: its later states follow from the other events.
        fields["runs"] = [
            {name: getattr(run, name) for name in _CREATED_FIELDS} for run in event.runs
        ]
    return {"event": _EVENT_NAMES[type(event)], **fields, "at": event.at.isoformat()}


def _decoded(line: dict[str, Any]) -> Event:
    kind = _EVENTS[line.pop("event")]
    line = _with_field_names(line)
    line["at"] = datetime.fromisoformat(line["at"])
    if kind is CreateReceived:
        line["urls"], line["items"] = tuple(line["urls"]), tuple(line["items"])
        line["runs"] = tuple(
            SandboxRun(created_at=line["at"], **_with_field_names(run)) for run in line["runs"]
        )
    if kind is RunPerformed:
        line["actions"], line["schema_errors"] = (
            tuple(line["actions"]),
            tuple(line["schema_errors"]),
        )
    return kind(**line)


def _with_field_names(line: dict[str, Any]) -> dict[str, Any]:
    return {_FIELD_ALIASES.get(name, name): value for name, value in line.items()}
