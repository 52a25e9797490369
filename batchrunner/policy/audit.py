"""Compares what the API shows of a batch's runs with what this database has; pure."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import Run
from batchrunner.model.audit import Difference, DifferenceKind, KnownRun, Records
from batchrunner.model.markers import Marker, markers_in

#: Time between two audits of a batch that runs. The first ones come sooner: whatever creates runs
#: twice does so from the start.
AUDIT_INTERVAL = timedelta(minutes=15)
FIRST_AUDIT_INTERVAL = timedelta(minutes=1)
#: A run that is younger may be missing from lists and polls: that is no difference.
LIST_DELAY = timedelta(minutes=10)
#: How long ago a run must have been closed before it is a difference that the API shows it alive.
CLOSED_FOR = timedelta(minutes=2)
#: How much older than the newest run of the last audit a run is that no later audit reads again.
OVERLAP = timedelta(minutes=30)
#: Pages of the first audit that reads only the newest runs.
NEWEST_PAGES = 3
#: Pages without a new run, after which a list counts as endless.
MAX_REPEATED_PAGES = 3


def audit_interval(audits: int) -> timedelta:
    """Return how long to wait after so many audits."""
    doubled: timedelta = FIRST_AUDIT_INTERVAL * 2 ** min(audits, 10)
    return min(doubled, AUDIT_INTERVAL)


def max_list_pages(runs: int) -> int:
    """Return after how many pages the list of a batch with so many known runs counts as endless."""
    return 20 + 2 * -(-runs // MAX_RUNS_PER_REQUEST)


def shown_marker(run: Run) -> Marker | None:
    """Return the marker at the end of a run's goal; a user's text may contain another before it."""
    found = markers_in(run.goal)
    return found[-1] if found else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What some runs that the API shows have to do with a batch."""

    runs: Sequence[Run]  #: those of the batch
    differences: Sequence[Difference]
    unclear: Sequence[str]  #: ids of runs that show no marker, and may be the batch's


def compare(shown: Iterable[Run], records: Records, token: str | None, now: datetime) -> Comparison:
    """
    Compare runs that the API shows with what this database has about them.

    *token* names the batch in markers. Runs of other programs are left out. A run whose create
    request still waits for its answer, or is being searched for, is no difference.
    """
    shown = list(shown)
    longest = max((len(run.goal or "") for run in shown), default=0)
    ours: list[Run] = []
    differences: list[Difference] = []
    unclear: list[str] = []
    for run in shown:
        known, marker = records.runs.get(run.run_id), shown_marker(run)
        if known is not None:
            ours.append(run)
            differences += _differences_of_known(run, known, now)
        elif marker is None:
            unclear += [run.run_id] if _may_be_cut(run.goal or "", longest) else []
        elif marker.token in records.submissions:
            ours.append(run)
            if records.submissions[marker.token]:
                differences.append(_unknown(DifferenceKind.UNKNOWN, run, marker))
        elif marker.batch is not None and marker.batch == token:
            ours.append(run)
            differences.append(_unknown(DifferenceKind.FOREIGN, run, marker))
    return Comparison(runs=ours, differences=differences, unclear=unclear)


def foreign_runs(shown: Iterable[Run], written: Container[str]) -> set[str]:
    """Return the runs whose markers name a submission that this database has not *written*."""
    markers = ((run.run_id, shown_marker(run)) for run in shown)
    return {run_id for run_id, marker in markers if marker and marker.token not in written}


def _may_be_cut(goal: str, longest: int) -> bool:
    """Whether a list that cuts goals may have cut this one: it is as long as any, or says so."""
    return not goal or len(goal) >= longest or goal.endswith(("...", "\u2026"))


def _unknown(kind: DifferenceKind, run: Run, marker: Marker) -> Difference:
    return Difference(kind=kind, run_id=run.run_id, marker=marker.text, theirs=billed(run))


def _differences_of_known(run: Run, known: KnownRun, now: datetime) -> list[Difference]:
    if known.closed_at is None:
        return []
    found = Difference(
        kind=DifferenceKind.STEPS,
        run_id=run.run_id,
        marker=known.marker,
        job=known.job,
        ours=known.steps,
        theirs=billed(run),
    )
    if found.theirs is not None:
        return [found] if found.theirs != (known.steps or 0) else []
    # A run that was over is over: an answer that says otherwise is an old one.
    if run.status.is_final or known.ended or now - known.closed_at < CLOSED_FOR:
        return []
    return [replace(found, kind=DifferenceKind.ALIVE)]


def billed(run: Run) -> int | None:
    """Return the steps of a run that is over; None while they may change or are not shown."""
    return run.steps if run.status.is_final else None


@dataclass
class VisibleRuns:
    """Which runs of a batch the API shows: an absence counts only beside a run that is shown."""

    #: The newest moment since which a run of at least this depth is known, by depth.
    _newest: dict[int, tuple[datetime, str]] = field(default_factory=dict)

    def add(self, known: KnownRun) -> None:
        """Note that the API shows a run."""
        newest = self._newest.get(known.depth)
        if newest is None or newest[0] < known.since:
            self._newest[known.depth] = known.since, known.run_id

    def control_run(self, missing: KnownRun) -> str | None:
        """
        Return a run that is as hard to find as the missing one, and is shown; None without one.

        It is newer, and its marker is as deep in its goal, or as deep as that of any run shown.
        """
        if not self._newest:
            return None
        depth = min(missing.depth, max(self._newest))
        fit = [each for deep, each in self._newest.items() if deep >= depth]
        since, run_id = max(fit)
        return run_id if since > missing.since else None


def may_be_missing(known: KnownRun, now: datetime) -> bool:
    """Whether a run is old enough for it to count that the API does not show it."""
    return now - known.since >= LIST_DELAY


def missing(known: KnownRun) -> Difference:
    """Return the difference that a run of ours is shown nowhere."""
    return Difference(
        kind=DifferenceKind.MISSING,
        run_id=known.run_id,
        marker=known.marker,
        job=known.job,
        ours=known.steps,
    )


# ---- unknown runs ----


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedAttempt:
    """The attempt that a marker names, and what its job needs."""

    attempt_id: int
    submission_id: int
    run_id: str | None
    is_open: bool
    job_id: int
    needs_run: bool  #: its job waits for a retry, or was given up because no run was found


@dataclass(frozen=True, kw_only=True)
class Taking:
    """What follows for unknown runs."""

    adopt: Mapping[int, str]  #: run ids by attempt id
    orphans: Mapping[str, int]  #: ids of the submissions by run id


def take_unknown(
    unknown: Iterable[Difference],
    attempts: Mapping[str, MarkedAttempt],
    verified: Collection[str],
) -> Taking:
    """
    Say which unknown runs to adopt, and which to cancel.

    *attempts* are by marker. *verified* are runs of theirs that the API shows with the attempt's
    own marker. The run of an open attempt without it may be another job's, which a poll puts right.
    A run whose marker names no attempt is left alone.
    """
    adopt: dict[int, str] = {}
    orphans: dict[str, int] = {}
    served: set[int] = set()
    for each in unknown:
        attempt = attempts.get(each.marker or "")
        if attempt is None:
            continue
        if attempt.is_open and (attempt.run_id is None or attempt.run_id not in verified):
            continue
        if attempt.needs_run and attempt.job_id not in served:
            served.add(attempt.job_id)
            adopt[attempt.attempt_id] = each.run_id
        else:
            orphans[each.run_id] = attempt.submission_id
    return Taking(adopt=adopt, orphans=orphans)
