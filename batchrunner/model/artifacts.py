"""What was captured of runs: screenshots, pages and recordings, and what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ArtifactKind(StrEnum):
    """What can be captured of a run."""

    SCREENSHOTS = "screenshots"  #: one picture for each step
    HTML = "html"  #: the page at each step
    VIDEO = "video"  #: one recording of the whole run


class ArtifactState(StrEnum):
    """What became of an artifact."""

    WANTED = "wanted"  #: still to be fetched
    STORED = "stored"  #: on disk, whole, where its path says
    GONE = "gone"  #: the API does not have it
    REFUSED = "refused"  #: it is not what it should be, or comes from where nothing is taken


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedArtifact:
    """One thing to ask the API for: an artifact, or first of all which ones a run has."""

    attempt_id: int
    kind: ArtifactKind | None  #: None: which artifacts the run has
    step: int  #: its number from 1; 0 where it is of the whole run
    name: str  #: the id of the step, as the API has it
    run_id: str
    batch: str
    key: str
    number: int  #: of the attempt
    recorded: bool  #: a recording was asked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact as the ledger has it."""

    key: str  #: of its job
    number: int  #: of its attempt
    kind: ArtifactKind
    step: int
    state: ArtifactState
    run_id: str
    size: int | None = None
    sha256: str | None = None
    media: str | None = None
    path: str | None = None
    why: str | None = None  #: the reason why it is not there


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedArtifact:
    """An artifact that a run has; with a reason, it is refused at once."""

    kind: ArtifactKind
    step: int = 0
    name: str = ""
    why: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactResult:
    """What came of fetching an artifact."""

    state: ArtifactState
    size: int | None = None
    sha256: str | None = None
    media: str | None = None
    path: str | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactCounts:
    """A batch's artifacts in numbers."""

    states: Mapping[ArtifactState, int] = field(default_factory=dict)
    bytes: int = 0  #: of those that are stored
    unlisted: int = 0  #: runs of which nobody knows yet which artifacts they have

    @property
    def left(self) -> int:
        """What is still to be asked for; a run whose artifacts are unknown counts as one."""
        return self.states.get(ArtifactState.WANTED, 0) + self.unlisted
