"""Runs that the API has of a job file's jobs → the databases that made them, and what to adopt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batchrunner.model import JobSpec, Run, RunStatus
from batchrunner.model.markers import Marker, job_digest

#: How old runs that are over must be before the same jobs are run anew without a question.
FRESH_FOR = timedelta(days=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRun:
    """A run of a job of the file, as the API's list shows it."""

    run_id: str
    marker: Marker
    status: RunStatus
    created_at: datetime | None
    steps: int | None


@dataclass(frozen=True, kw_only=True)
class FoundDatabase:
    """The runs that one database made of a job file's jobs."""

    id: str  #: its batch in markers
    runs: int
    jobs: int
    alive: int
    steps: int
    oldest_at: datetime | None
    newest_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class KnownJobs:
    """The jobs of a file by the digests that name them in markers."""

    by_digest: Mapping[str, JobSpec]
    collided: Sequence[JobSpec]  #: no marker tells them apart


def known_jobs(specs: Iterable[JobSpec]) -> KnownJobs:
    """Return a file's jobs by digest; those that share one are left out."""
    groups: dict[str, list[JobSpec]] = defaultdict(list)
    for spec in specs:
        groups[job_digest(spec.url, spec.goal, spec.options)].append(spec)
    return KnownJobs(
        by_digest={digest: group[0] for digest, group in groups.items() if len(group) == 1},
        collided=[spec for group in groups.values() if len(group) > 1 for spec in group],
    )


def found_databases(runs: Iterable[FoundRun]) -> list[FoundDatabase]:
    """Return the databases that made these runs, the one with the newest run first."""
    groups: dict[str, list[FoundRun]] = defaultdict(list)
    for run in runs:
        groups[run.marker.batch or ""].append(run)
    found = [_database(batch, group) for batch, group in groups.items()]
    return sorted(found, key=lambda each: each.newest_at or _EARLIEST, reverse=True)


def _database(batch: str, runs: Sequence[FoundRun]) -> FoundDatabase:
    times = [run.created_at for run in runs if run.created_at is not None]
    return FoundDatabase(
        id=batch,
        runs=len(runs),
        jobs=len({run.marker.job for run in runs}),
        alive=sum(not run.status.is_final for run in runs),
        steps=sum(run.steps or 0 for run in runs),
        oldest_at=min(times, default=None),
        newest_at=max(times, default=None),
    )


def replay_order(runs: Iterable[FoundRun]) -> list[FoundRun]:
    """Return a job's runs in the order to adopt them: those that are over first, oldest first."""
    return sorted(runs, key=lambda run: (not run.status.is_final, run.created_at or _EARLIEST))


def is_fresh(run: Run) -> bool:
    """Whether a run is alive, or younger than a day by the API's own clock."""
    if not run.status.is_final or run.created_at is None or run.shown_at is None:
        return True
    return run.shown_at - run.created_at < FRESH_FOR
