"""Which control runs a search must find before an absence is believed, and whether it did; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from batchrunner.model import RunStatus, Submission

#: Submissions that were created later, and whose runs searches must find, if there are so many.
CONTROL_SAMPLE = 3
#: Most submissions of control runs that are searched for after one fruitless search.
MAX_CONTROL_SEARCHES = 3
#: How much later than the control runs a missing run may be listed, as a factor.
LATENESS_FACTOR = 1.5
#: Longest time of being listed late that is allowed for.
MAX_LATENESS = timedelta(minutes=10)
#: How long after a create that was refused a list must have had to show what it created.
LISTED_AFTER = timedelta(seconds=5)
#: A list that does not show a run that exists for so long will not show it soon either.
NOT_LISTED_AFTER = timedelta(minutes=2)
#: A run that was created longer ago has ended, unless it is stuck.
MAX_RUNNING_TIME = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkerDepth:
    """How far from the beginning of its goal a marker stands: a search may see only a part."""

    characters: int
    bytes: int  #: in UTF-8

    @classmethod
    def of(cls, goal: str) -> Self:
        """Return the depth of a marker below this goal."""
        return cls(characters=len(goal), bytes=len(goal.encode(errors="surrogatepass")))

    def covers(self, other: MarkerDepth) -> bool:
        """Return whether a search that sees this marker sees the other one too."""
        return self.characters >= other.characters and self.bytes >= other.bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlRun:
    """A run that may serve as a control run."""

    run_id: str
    marker_token: str  #: of its submission
    intended_at: datetime  #: of its submission, by the store's clock: the run is newer
    depth: MarkerDepth
    status: RunStatus
    shown: bool  #: a poll has shown it, and no later poll missed it: it exists


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingRuns:
    """The runs of a submission that searches do not find."""

    since: datetime  #: when its create was over, by the store's clock
    depth: MarkerDepth  #: of its deepest marker

    @classmethod
    def of(cls, submission: Submission) -> Self:
        """Return what a control run must be compared with."""
        depths = [MarkerDepth.of(each.goal) for each in submission.attempts]
        return cls(
            since=submission.unanswered_at or submission.intended_at,
            depth=MarkerDepth(
                characters=max((depth.characters for depth in depths), default=0),
                bytes=max((depth.bytes for depth in depths), default=0),
            ),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedRuns:
    """What the list showed in a search for the runs of one submission."""

    marker_token: str
    statuses: Mapping[str, RunStatus | None]  #: by run id; None: the list does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlEvidence:
    """What searches for control runs have shown since a submission is unanswered."""

    running: bool = False  #: a later run was found while it was RUNNING
    completed: bool = False  #: a later run was found after it was COMPLETED
    depth: MarkerDepth | None = None  #: of the deepest marker that was found
    lateness: timedelta = timedelta(0)  #: the longest that a later run may have been unlisted
    found: frozenset[str] = frozenset()  #: later submissions whose runs were all found
    missed: frozenset[str] = frozenset()  #: later submissions with a run that was not found

    def proves_absence(self, missing: MissingRuns, began: datetime) -> bool:
        """Return whether a fruitless search that *began* then shows that there are no runs."""
        return self._is_proof_but_for_depth(missing, began) and self.sees(missing.depth)

    def lacks_only_depth(self, missing: MissingRuns, began: datetime) -> bool:
        """Return whether nothing but a control run with a marker as deep is missing."""
        return self._is_proof_but_for_depth(missing, began) and not self.sees(missing.depth)

    def sees(self, depth: MarkerDepth) -> bool:
        """Return whether searches are known to see a marker of this depth."""
        return self.depth is not None and self.depth.covers(depth)

    def _is_proof_but_for_depth(self, missing: MissingRuns, began: datetime) -> bool:
        age = began - missing.since
        may_run = age < MAX_RUNNING_TIME
        late = LATENESS_FACTOR * min(self.lateness, MAX_LATENESS)
        return (
            self.completed
            and (self.running or not may_run)
            and bool(self.found)
            and not self.missed
            and age >= late
        )

    def problem(self) -> str:
        """Say why an absence is not believed."""
        if self.missed:
            return "the API's search does not find runs that exist"
        if not self.found:
            return "no run was created later that could show whether searches work"
        if not self.completed:
            return "no search has found a later run that was completed"
        if not self.running:
            return "no search has found a later run while it was running"
        return "no run with a marker as deep in its goal shows that searches work"


NO_EVIDENCE = ControlEvidence()


def is_later(run: ControlRun, missing: MissingRuns) -> bool:
    """Return whether a run was created after the missing ones, by the store's clock."""
    return run.intended_at >= missing.since


def controls_to_find(
    evidence: ControlEvidence, missing: MissingRuns, known: Sequence[ControlRun]
) -> list[str]:
    """
    Return the submissions whose runs to search for next, by their tokens.

    *known* are the runs of the batch that were created later, oldest first, and perhaps older ones
    with deep markers. For each property that is not shown yet there is one submission.
    """
    later = [run for run in known if is_later(run, missing)]
    chosen: list[str] = sorted(evidence.missed)
    if not evidence.running:
        # The newest is the most likely to be still running.
        chosen += _first(run for run in reversed(later) if not run.status.is_final)
    if not evidence.completed:
        chosen += _first(run for run in later if run.status is RunStatus.COMPLETED)
    if not evidence.sees(missing.depth):
        deep = [run for run in known if run.shown and run.depth.covers(missing.depth)]
        chosen += _first(sorted(deep, key=lambda run: not is_later(run, missing)))
    fair = (run for run in later if run.shown and missing.depth.covers(run.depth))
    unfound = (run for run in fair if run.marker_token not in evidence.found)
    if len(evidence.found) < CONTROL_SAMPLE:
        chosen += _first(unfound)
    return list(dict.fromkeys(chosen))[:MAX_CONTROL_SEARCHES]


def _first(runs: Iterable[ControlRun]) -> list[str]:
    return [run.marker_token for run in runs][:1]


def after_control_search(
    evidence: ControlEvidence,
    missing: MissingRuns,
    known: Collection[ControlRun],
    listed: ListedRuns,
    now: datetime,
) -> ControlEvidence:
    """Return the evidence after a search for one submission, some of whose runs are *known*."""
    found = [run for run in known if run.run_id in listed.statuses]
    evidence = replace(evidence, depth=_deepest(evidence.depth, found))
    later = [run for run in known if is_later(run, missing)]
    token = frozenset({listed.marker_token})
    # A run that is harder to find than the missing ones shows nothing if it is not found.
    if any(_must_be_found(run, missing) and run not in found for run in later):
        return replace(evidence, missed=evidence.missed | token, found=evidence.found - token)
    evidence = replace(evidence, missed=evidence.missed - token)
    seen = [run for run in later if run in found]
    if not seen:
        return evidence
    statuses = {listed.statuses[run.run_id] for run in seen}
    lateness = now - min(run.intended_at for run in seen)
    is_new = not token <= evidence.found
    return replace(
        evidence,
        running=evidence.running or RunStatus.RUNNING in statuses,
        completed=evidence.completed or RunStatus.COMPLETED in statuses,
        lateness=max(evidence.lateness, lateness) if is_new else evidence.lateness,
        found=evidence.found | token,
    )


def shows_refused(
    refused: Submission, known: Iterable[ControlRun], listed: Collection[str], began: datetime
) -> bool:
    """
    Return whether a search that *began* then would have shown runs of a refused create.

    *known* are runs of about its age, and later ones. The list must show one that was created
    later, or at least all that were created before.
    """
    age = began - refused.intended_at
    if age < LISTED_AFTER:
        return False
    shown = [run for run in known if run.shown]
    later = [run for run in shown if run.intended_at > refused.intended_at]
    earlier = [run for run in shown if run.intended_at <= refused.intended_at]
    if age >= NOT_LISTED_AFTER or any(run.run_id in listed for run in later):
        return True
    return all(run.run_id in listed for run in earlier)


def sees_refused(refused: Submission, known: Iterable[ControlRun], listed: Collection[str]) -> bool:
    """Return whether a search shows a run whose marker is as deep as those of a refused create."""
    depth = MissingRuns.of(refused).depth
    return any(run.run_id in listed and run.depth.covers(depth) for run in known)


def _must_be_found(run: ControlRun, missing: MissingRuns) -> bool:
    return run.shown and missing.depth.covers(run.depth)


def _deepest(depth: MarkerDepth | None, found: Iterable[ControlRun]) -> MarkerDepth | None:
    for run in found:
        if depth is None or run.depth.covers(depth):
            depth = run.depth
    return depth
