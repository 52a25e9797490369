"""Every create request and every run that a sandbox ever saw, in memory and on disk."""

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
class Run:
    """Record one run as it is now.

    `actions` are the steps taken; `charge` is what they cost. `performed` tells a COMPLETED run
    whose result the agent has brought from one that is due and waits for it. `waited` tells that
    its client waits for the answer of `/run`.
    """

    run_id: str
    ordinal: int
    body: Mapping[str, Any]
    fate: str
    duration: float
    created_at: datetime
    waited: bool = False
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
        """The page it starts from."""
        return str(self.body["url"])

    @property
    def goal(self) -> str:
        """The task in plain words, as it was sent."""
        return str(self.body["goal"])

    @property
    def steps(self) -> int:
        """How many steps it took so far, the unit that is charged."""
        return len(self.actions)

    @property
    def course(self) -> RunFault:
        """How it goes: the row of its fate."""
        return RUN_FAULTS[self.fate]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Note that a sandbox began on this ledger, with this limit from now on."""

    at: datetime
    limit: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Create:
    """Note a create request and what came of it.

    `status` is the HTTP status it was answered with, None if no answer left the server; `urls` is
    empty for a request that did not pass validation; `items` are the places in it of the runs
    that brought its fate about.
    """

    at: datetime
    status: int | None
    fate: str | None = None
    urls: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """Note that somebody asked to cancel a run that was open."""

    at: datetime
    run_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Performed:
    """Note what the agent brought back from a run that was due `at` this instant."""

    at: datetime
    run_id: str
    result: Mapping[str, Any] | None
    actions: tuple[str, ...]
    html: str
    schema_errors: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Note a look that went wrong at a run whose url bounds how many do."""

    at: datetime
    url: str


Event = Opened | Create | Cancel | Performed | Look

_EVENTS: Mapping[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in (Opened, Create, Cancel, Performed, Look)
}
#: How the file of a ledger begins.
_FIRST = b'{"event": "opened", '
_BORN = ("run_id", "ordinal", "body", "fate", "duration", "waited", "holder")


@dataclass
class Journal:
    """Keep runs in the order of their creation, and every event in a file if there is a `path`.

    The file is one JSON object a line, appended and flushed but not synced: it outlives the
    process, not the machine. What a torn last line said is forgotten.
    """

    path: Path | None = None
    charged: Decimal = field(default=Decimal(0), init=False)  #: for all runs together
    _runs: dict[str, Run] = field(default_factory=dict, init=False)
    _requests: list[Create] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._file = None if self.path is None else _opened(self.path)

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run in the order of creation, as it was at the last advance."""
        return tuple(self._runs.values())

    @property
    def requests(self) -> tuple[Create, ...]:
        """Every create request in the order of arrival, refused ones too."""
        return tuple(self._requests)

    def find(self, run_id: str) -> Run | None:
        """Find a run by its id, whatever its fate."""
        return self._runs.get(run_id)

    def put(self, run: Run) -> None:
        """Keep a new run, or the new form of a known one."""
        before = self._runs.get(run.run_id)
        self.charged += run.charge - (before.charge if before else 0)
        self._runs[run.run_id] = run

    def note(self, request: Create) -> None:
        """Keep a create request."""
        self._requests.append(request)

    def past(self) -> Iterator[Event]:
        """Read the events that earlier sandboxes wrote to the file."""
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
            raise OSError(errno.EINVAL, "This is no ledger of a sandbox", str(path))
        file.truncate(whole.rfind(b"\n") + 1)  # a torn line must not swallow the next one
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: FileIO, path: Path) -> None:
    # Two sandboxes would number their runs alike. The lock ends with the process.
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            error.errno, "Another sandbox keeps this ledger", str(path)
        ) from error


def _encoded(event: Event) -> dict[str, Any]:
    fields = {entry.name: getattr(event, entry.name) for entry in dataclasses.fields(event)}
    if isinstance(event, Create):
        # A run is written as it was born: the rest of its life follows from the other events.
        fields["runs"] = [{name: getattr(run, name) for name in _BORN} for run in event.runs]
    return {"event": type(event).__name__.lower(), **fields, "at": event.at.isoformat()}


def _decoded(line: dict[str, Any]) -> Event:
    kind = _EVENTS[line.pop("event")]
    line["at"] = datetime.fromisoformat(line["at"])
    if kind is Create:
        line["urls"], line["items"] = tuple(line["urls"]), tuple(line["items"])
        line["runs"] = tuple(Run(created_at=line["at"], **run) for run in line["runs"])
    if kind is Performed:
        line["actions"], line["schema_errors"] = (
            tuple(line["actions"]),
            tuple(line["schema_errors"]),
        )
    return kind(**line)
