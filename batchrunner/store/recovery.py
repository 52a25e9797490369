"""Rebuilds a database from the API's list: runs that another database made become attempts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, insert, select, update

from batchrunner.model import JobState, RunStatus
from batchrunner.model.markers import job_digest
from batchrunner.policy.recovery import FoundRun
from batchrunner.store.conditions import is_current
from batchrunner.store.counters import changed_jobs
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.schema import (
    SubmissionState,
    attempts,
    batches,
    jobs,
    orphans,
    submissions,
)
from batchrunner.store.serialization import options_of

#: States of jobs that take another run: a failed job was put back before its next run was made.
_TAKES_A_RUN = (JobState.AVAILABLE, JobState.FAILED)


def has_submitted(tx: Connection, batch_id: int) -> bool:
    """Return whether a batch has a submission, sent or not."""
    found = select(submissions.c.id).where(submissions.c.batch_id == batch_id).limit(1)
    return tx.execute(found).first() is not None


def batch_tokens(tx: Connection) -> set[str]:
    """Return what names the batches of this database in markers."""
    named = select(batches.c.marker_token).where(batches.c.marker_token.is_not(None))
    return set(tx.execute(named).scalars())


def take_batch_token(tx: Connection, batch_id: int, token: str) -> None:
    """Name a batch in markers as the lost database named it, unless it has a name."""
    tx.execute(
        update(batches)
        .where(batches.c.id == batch_id, batches.c.marker_token.is_(None))
        .values(marker_token=token)
    )


def unknown_runs(tx: Connection, runs: Sequence[FoundRun]) -> list[FoundRun]:
    """
    Return the runs that are in no attempt and are no orphans.

    A run of a submission that this database wrote is not among them: reconciling finds it.
    """
    ids = [run.run_id for run in runs]
    held = select(attempts.c.run_id).where(attempts.c.run_id.in_(ids))
    orphaned = select(orphans.c.run_id).where(orphans.c.run_id.in_(ids))
    known = set(tx.execute(held.union(orphaned)).scalars())
    own = set(
        tx.execute(
            select(submissions.c.marker_token).where(
                submissions.c.marker_token.in_({run.marker.token for run in runs}),
                submissions.c.recovered.is_(False),
            )
        ).scalars()
    )
    return [run for run in runs if run.run_id not in known and run.marker.token not in own]


def open_recovered(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    runs: Mapping[str, FoundRun],
    now: datetime,
) -> set[str]:
    """
    Open an attempt with its run for each job, by key; return the ids of the runs that got one.

    At most one run per job, and as many as fit into one submission. A job that has succeeded or is
    running takes no run, and neither does one whose url, goal or options are others in the
    database.
    """
    rows = _jobs(tx, batch_id, runs)
    taken = {row.key: runs[row.key] for row in rows if _takes(row, runs[row.key])}
    submission_ids = _submissions(tx, owner_id, batch_id, taken.values(), now)
    places = _places(tx, submission_ids.values())
    opened: list[tuple[Row[Any], FoundRun]] = []
    for row in rows:
        run = taken.get(row.key)
        if run is None:
            continue
        place = (submission_ids[run.marker.token], run.marker.position)
        if place not in places:  # otherwise something sent the create twice
            places.add(place)
            opened.append((row, run))
    if opened:
        with changed_jobs(tx, [row.id for row, _ in opened], owner_id):
            _open(tx, owner_id, batch_id, opened, submission_ids, now)
    return {run.run_id for _, run in opened}


def add_ended_orphans(
    tx: Connection, owner_id: str, batch_id: int, runs: Sequence[FoundRun], now: datetime
) -> None:
    """Record runs that are over and that no job needs, with their cost."""
    submission_ids = _submissions(tx, owner_id, batch_id, runs, now)
    if runs:
        tx.execute(
            insert_or_ignore(tx, orphans).on_conflict_do_nothing(),
            [
                {
                    "run_id": run.run_id,
                    "batch_id": batch_id,
                    "submission_id": submission_ids[run.marker.token],
                    "found_at": now,
                    "ended_at": now,
                    "run_status": run.status,
                    "steps": run.steps,
                }
                for run in runs
            ],
        )


def _jobs(tx: Connection, batch_id: int, keys: Collection[str]) -> list[Row[Any]]:
    return list(
        tx.execute(
            select(jobs)
            .where(jobs.c.batch_id == batch_id, jobs.c.key.in_(keys), is_current)
            .order_by(jobs.c.id)
            .with_for_update()
        )
    )


def _takes(row: Row[Any], run: FoundRun) -> bool:
    same = job_digest(row.url, row.goal, options_of(row.options, None)) == run.marker.job
    return same and row.state in _TAKES_A_RUN


def _submissions(
    tx: Connection, owner_id: str, batch_id: int, runs: Iterable[FoundRun], now: datetime
) -> dict[str, int]:
    """Return the submissions of these runs by token; those that are new are never sent."""
    tokens = {run.marker.token for run in runs}
    stored = select(submissions.c.marker_token, submissions.c.id).where(
        submissions.c.marker_token.in_(tokens)
    )
    known = {row.marker_token: row.id for row in tx.execute(stored)}
    if new := sorted(tokens - known.keys()):
        tx.execute(
            insert(submissions),
            [
                {
                    "batch_id": batch_id,
                    "owner_id": owner_id,
                    "marker_token": token,
                    "marked": True,
                    "state": SubmissionState.CREATED,
                    "intended_at": now,
                    "answered_at": now,
                    "message": "recovered from the API's list",
                    "recovered": True,
                }
                for token in new
            ],
        )
        known |= {row.marker_token: row.id for row in tx.execute(stored)}
    return known


def _places(tx: Connection, submission_ids: Iterable[int]) -> set[tuple[int, int]]:
    rows = tx.execute(
        select(attempts.c.submission_id, attempts.c.batch_index).where(
            attempts.c.submission_id.in_(list(submission_ids))
        )
    )
    return {(row.submission_id, row.batch_index) for row in rows}


def _open(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    opened: Sequence[tuple[Row[Any], FoundRun]],
    submission_ids: Mapping[str, int],
    now: datetime,
) -> None:
    tx.execute(
        insert(attempts),
        [
            {
                "job_id": row.id,
                "number": row.attempt + 1,
                "batch_id": batch_id,
                "owner_id": owner_id,
                "submission_id": submission_ids[run.marker.token],
                "batch_index": run.marker.position,
                "escalation_steps": row.escalation_steps,
                "opened_at": now,
                "run_id": run.run_id,
                "run_status": RunStatus.PENDING,
                "marker": run.marker.text,
            }
            for row, run in opened
        ],
    )
    tx.execute(
        update(jobs)
        .where(jobs.c.id.in_(bindparam("jobs", expanding=True)))
        .values(state=JobState.RUNNING, finished_at=None, attempt=jobs.c.attempt + 1),
        {"jobs": [row.id for row, _ in opened]},
    )


def sample_jobs(tx: Connection, batch_id: int) -> list[str]:
    """Return the digests of a batch's first, middle and last job."""
    mine = and_(jobs.c.batch_id == batch_id, is_current)
    count: int = tx.execute(select(func.count()).select_from(jobs).where(mine)).scalar_one()
    digests = []
    for place in sorted({0, count // 2, max(count - 1, 0)}):
        row = tx.execute(
            select(jobs.c.url, jobs.c.goal, jobs.c.options)
            .where(mine)
            .order_by(jobs.c.position, jobs.c.id)
            .limit(1)
            .offset(place)
        ).first()
        if row is not None:
            digests.append(job_digest(row.url, row.goal, options_of(row.options, None)))
    return digests
