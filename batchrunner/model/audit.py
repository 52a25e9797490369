"""The audit: what this database and the API say about a batch's runs, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class DifferenceKind(StrEnum):
    """How this database and the API differ about a run."""

    UNKNOWN = "unknown"  #: this database sent its create request, and does not have the run
    FOREIGN = "foreign"  #: it names this batch, and this database did not send its create request
    MISSING = "missing"  #: this database has it, and the API shows it nowhere
    STEPS = "steps"  #: both know what it cost, or should, and differ
    ALIVE = "alive"  #: this database is done with it, and the API shows that it goes on


class Taken(StrEnum):
    """What was done about an unknown run."""

    ADOPTED = "adopted"  #: its job waited for a run
    ORPHAN = "orphan"  #: it is cancelled, and its cost counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One run about which this database and the API differ."""

    kind: DifferenceKind
    run_id: str
    marker: str | None = None  #: the marker that the API shows in its goal
    job: str | None = None  #: the key of its job; None: this database does not know it
    ours: int | None = None  #: steps in this database
    theirs: int | None = None  #: steps that the API shows
    taken: Taken | None = None  #: what was done about it


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownRun:
    """A run that this database has, of an attempt or an orphan."""

    run_id: str
    submission: int = 0  #: id of its submission
    since: datetime  #: when its create request was answered, or sent
    depth: int = 0  #: characters before the marker in its goal
    marker: str | None = None  #: None: its goal has none
    job: str | None = None
    closed_at: datetime | None = None  #: None: it is polled
    steps: int | None = None
    ended: bool = False  #: the API has shown that it is over
    gone: bool = False  #: the API did not know it any more when it was closed


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditScope:
    """Which markers a batch's runs have."""

    token: str | None  #: names the batch in markers; None: no marker does
    old_tokens: tuple[str, ...] = ()  #: submissions whose markers do not name the batch
    runs: int = 0  #: runs that this database has
    unmarked: int = 0  #: runs whose goals have no marker
    former_submission: int = 0  #: up to this id, submissions may be on another account


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """What this database has about some runs that the API shows."""

    runs: Mapping[str, KnownRun] = field(default_factory=dict)  #: by run id
    #: Submissions that this database wrote, by their part of the marker: whether no answer to them
    #: is awaited any more.
    submissions: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditColumn:
    """One side of an audit."""

    runs: int = 0
    steps: int = 0
    unbilled: int = 0  #: runs whose steps are not known, or not yet


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """What an audit found."""

    at: datetime
    full: bool  #: False: only the newest runs were compared
    ours: AuditColumn
    theirs: AuditColumn
    differences: tuple[Difference, ...] = ()
    not_yet_shown: int = 0  #: runs that the API does not show (yet), which proves nothing
    lost: int = 0  #: runs that the API did not know any more when they were closed
    other_account: int = 0  #: runs that this key does not show, as they may be on another account
    unlisted: int = 0  #: runs that the API shows by their id, and not in its list
    unfinished: str | None = None  #: why the API's list was not read to its end
    unmarked: int = 0  #: runs that were compared by their ids only
    old_submissions: int = 0  #: submissions whose markers do not name the batch

    @property
    def agrees(self) -> bool:
        """Whether no difference was found."""
        return not self.differences


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """What a batch has lost to runs that brought it nothing."""

    runs: int  #: all runs of the batch
    orphans: int
    lost: int
    steps: int  #: billed for the orphans and the lost runs
    unbilled: int  #: orphans and lost runs whose cost is not known
    typical: int  #: average steps of a billed run of the batch, rounded up


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignRunsFound:
    """Submitting stops: another database runs this batch."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StopLossReached:
    """Submitting stops: too many runs cost money and brought nothing."""

    losses: str  #: how many runs, or what they cost
    limit: str  #: what `stop_loss` allows


AuditStop = ForeignRunsFound | StopLossReached
