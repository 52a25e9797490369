"""Artifacts of runs (screenshots, pages, recordings) and the states of their downloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: How the reason of an artifact begins whose path in the folder cannot be used.
BAD_PATH = "its path cannot be used"


#: The kind of a stored row that asks for the list of a run's artifacts.
LISTING = "listing"


class ArtifactKind(StrEnum):
    """Kinds of artifacts."""

    SCREENSHOTS = "screenshots"  #: one image per step
    HTML = "html"  #: the page at each step
    VIDEO = "video"  #: one recording of the whole run


class ArtifactState(StrEnum):
    """The state of an artifact."""

    WANTED = "wanted"  #: not fetched yet
    STORED = "stored"  #: complete on disk, at its path
    GONE = "gone"  #: the API does not have it any more
    REFUSED = "refused"  #: its content or its address is not allowed, or its path is bad


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedArtifact:
    """One download to do: an artifact, or the list of a run's artifacts."""

    attempt_id: int
    kind: ArtifactKind | None  #: None: the list of the run's artifacts
    step: int  #: from 1; 0 for the whole run
    name: str  #: the API's id of the step
    run_id: str
    batch: str
    key: str
    revision: int = 1  #: of the job
    number: int  #: of the attempt
    recorded: bool  #: the job asks for a recording


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact as stored in the database."""

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
    reason: str | None = None  #: why it is not on disk


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedArtifact:
    """An artifact in a run's list; if `reason` is set, it is refused at once."""

    kind: ArtifactKind
    step: int = 0
    name: str = ""
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactResult:
    """The outcome of a download."""

    state: ArtifactState
    size: int | None = None
    sha256: str | None = None
    media: str | None = None
    path: str | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactCounts:
    """How many artifacts of a batch are in each state."""

    states: Mapping[ArtifactState, int] = field(default_factory=dict)
    bytes: int = 0  #: size of all stored ones
    unlisted: int = 0  #: runs whose list of artifacts is not known yet

    @property
    def left(self) -> int:
        """How many downloads are left; a run without a known list counts as one."""
        return self.states.get(ArtifactState.WANTED, 0) + self.unlisted
