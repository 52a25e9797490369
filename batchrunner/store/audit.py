"""Reads what an audit compares with the API's list, and takes runs that it found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, and_, bindparam, case, func, select

from batchrunner.model import FailureCategory, RunStatus
from batchrunner.model.audit import AuditColumn, AuditScope, KnownRun, Losses, Records
from batchrunner.policy.audit import MarkedAttempt
from batchrunner.store import orphans as orphan_rows
from batchrunner.store.conditions import count_where
from batchrunner.store.schema import (
    SubmissionState,
    attempts,
    batches,
    jobs,
    orphans,
    submissions,
)
from batchrunner.store.serialization import marker_of
from batchrunner.store.store import random_token

_batch: BindParameter[int] = bindparam("batch")
_FINAL = [status for status in RunStatus if status.is_final]
#: An answer to these is still awaited, or their runs are searched for.
_AWAITED = (SubmissionState.INTENDED, SubmissionState.UNANSWERED)


# ---- what is compared ----


def audit_scope(tx: Connection, batch_id: int) -> AuditScope:
    """Return which markers the runs of a batch have."""
    token = tx.execute(select(batches.c.marker_token).where(batches.c.id == batch_id)).scalar_one()
    old = submissions.c.batch_id == batch_id, submissions.c.marked, submissions.c.marker_token
    names_batch = old[2].like(f"{token}-%") if token else old[2].is_(None)
    tokens = tx.execute(select(old[2]).where(*old[:2], ~names_batch).order_by(submissions.c.id))
    counts = tx.execute(_COUNTS, {"batch": batch_id}).one()
    former = tx.execute(select(batches.c.former_submission).where(batches.c.id == batch_id))
    return AuditScope(
        token=token,
        old_tokens=tuple(tokens.scalars()),
        runs=int(counts.runs),
        unmarked=int(counts.unmarked),
        former_submission=former.scalar_one() or 0,
    )


_has_run = attempts.c.run_id.is_not(None)
_COUNTS = select(
    count_where(_has_run).label("runs"),
    count_where(and_(_has_run, attempts.c.marker.is_(None), ~submissions.c.marked)).label(
        "unmarked"
    ),
    func.coalesce(func.sum(attempts.c.steps), 0).label("steps"),
    count_where(and_(_has_run, attempts.c.steps.is_(None))).label("unbilled"),
).where(attempts.c.batch_id == _batch, submissions.c.id == attempts.c.submission_id)
_ORPHAN_COUNTS = select(
    func.count().label("runs"),
    func.coalesce(func.sum(orphans.c.steps), 0).label("steps"),
    count_where(orphans.c.steps.is_(None)).label("unbilled"),
).where(orphans.c.batch_id == _batch)
#: Those that this database made itself: it is not to blame for what a lost one left.
_OWN_ORPHANS = _ORPHAN_COUNTS.join(submissions, submissions.c.id == orphans.c.submission_id).where(
    submissions.c.recovered.is_(False)
)


def audit_column(tx: Connection, batch_id: int) -> AuditColumn:
    """Return how many runs of a batch this database has, and what they cost."""
    both = [tx.execute(each, {"batch": batch_id}).one() for each in (_COUNTS, _ORPHAN_COUNTS)]
    return AuditColumn(
        runs=sum(int(row.runs) for row in both),
        steps=sum(int(row.steps) for row in both),
        unbilled=sum(int(row.unbilled) for row in both),
    )


_KNOWN = (
    select(
        attempts.c.id,
        attempts.c.run_id,
        attempts.c.submission_id,
        attempts.c.batch_index,
        attempts.c.marker,
        submissions.c.marker_token,
        submissions.c.marked,
        attempts.c.closed_at,
        attempts.c.outcome,
        attempts.c.run_status,
        attempts.c.steps,
        attempts.c.opened_at,
        submissions.c.answered_at,
        jobs.c.key,
        func.length(jobs.c.goal).label("depth"),
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
)
_KNOWN_PAGE = (
    _KNOWN.where(attempts.c.batch_id == _batch, _has_run, attempts.c.id > bindparam("after"))
    .order_by(attempts.c.id)
    .limit(bindparam("most"))
)


def known_runs(
    tx: Connection, batch_id: int, after: int, most: int
) -> tuple[list[KnownRun], int | None]:
    """Return the next runs of a batch's attempts, and what to go on *after*; None at the end."""
    rows = tx.execute(_KNOWN_PAGE, {"batch": batch_id, "after": after, "most": most}).all()
    return [_known_run(row) for row in rows], rows[-1].id if len(rows) == most else None


def _known_run(row: Any) -> KnownRun:
    return KnownRun(
        run_id=row.run_id,
        submission=row.submission_id,
        since=max(row.opened_at, row.answered_at or row.opened_at),
        depth=row.depth,
        marker=marker_of(row),
        job=row.key,
        closed_at=row.closed_at,
        steps=row.steps,
        ended=row.closed_at is not None and row.run_status in _FINAL,
        gone=row.outcome == FailureCategory.LOST,
    )


_ORPHANS_AMONG = select(orphans).where(orphans.c.run_id.in_(bindparam("runs", expanding=True)))
_ORPHANS = select(orphans).where(orphans.c.batch_id == _batch)


def known_orphans(tx: Connection, batch_id: int) -> list[KnownRun]:
    """Return the orphans of a batch."""
    return [_known_orphan(row) for row in tx.execute(_ORPHANS, {"batch": batch_id})]


def _known_orphan(row: Any) -> KnownRun:
    return KnownRun(
        run_id=row.run_id,
        submission=row.submission_id,
        since=row.found_at,
        closed_at=row.ended_at,
        steps=row.steps,
        ended=row.run_status in _FINAL,
        gone=row.ended_at is not None and row.run_status is None,
    )


_WRITTEN = select(submissions.c.marker_token, submissions.c.state).where(
    submissions.c.marker_token.in_(bindparam("tokens", expanding=True)),
    submissions.c.recovered.is_(False),  # else another database wrote it
)


def audit_records(tx: Connection, run_ids: Sequence[str], tokens: Collection[str]) -> Records:
    """Return what the database has about runs that the API shows, in whichever batch."""
    listed = attempts.c.run_id.in_(run_ids)
    known = {row.run_id: _known_run(row) for row in tx.execute(_KNOWN.where(listed))}
    for row in tx.execute(_ORPHANS_AMONG, {"runs": list(run_ids)}):
        known[row.run_id] = _known_orphan(row)
    written = tx.execute(_WRITTEN, {"tokens": list(tokens)})
    return Records(
        runs=known,
        submissions={row.marker_token: row.state not in _AWAITED for row in written},
    )


# ---- what a batch has lost ----

_lost = attempts.c.outcome == FailureCategory.LOST
_LOSSES = select(
    count_where(_has_run).label("runs"),
    count_where(_lost).label("lost"),
    func.coalesce(func.sum(case((_lost, attempts.c.steps))), 0).label("steps"),
    count_where(and_(_lost, attempts.c.steps.is_(None))).label("unbilled"),
    func.avg(attempts.c.steps).label("typical"),
).where(attempts.c.batch_id == _batch)


def losses(tx: Connection, batch_id: int) -> Losses:
    """Return how many runs of a batch are orphans or lost, and what they cost."""
    of_attempts = tx.execute(_LOSSES, {"batch": batch_id}).one()
    of_orphans = tx.execute(_OWN_ORPHANS, {"batch": batch_id}).one()
    return Losses(
        runs=int(of_attempts.runs + of_orphans.runs),
        orphans=int(of_orphans.runs),
        lost=int(of_attempts.lost),
        steps=int(of_attempts.steps + of_orphans.steps),
        unbilled=int(of_attempts.unbilled + of_orphans.unbilled),
        typical=-int(-(of_attempts.typical or 0) // 1),
    )


# ---- runs that were found ----

_MARKED = (
    select(
        attempts.c.id,
        attempts.c.batch_index,
        attempts.c.marker,
        submissions.c.marker_token,
        submissions.c.marked,
        attempts.c.submission_id,
        attempts.c.run_id,
        attempts.c.closed_at,
        attempts.c.job_id,
        orphan_rows.needs_run.label("needs_run"),
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(
        attempts.c.batch_id == _batch,
        submissions.c.marker_token.in_(bindparam("tokens", expanding=True)),
    )
)


def marked_attempts(
    tx: Connection, batch_id: int, tokens: Collection[str]
) -> dict[str, MarkedAttempt]:
    """Return the attempts of submissions by their markers."""
    rows = tx.execute(_MARKED, {"batch": batch_id, "tokens": list(tokens)})
    return {
        marker: MarkedAttempt(
            attempt_id=row.id,
            submission_id=row.submission_id,
            run_id=row.run_id,
            is_open=row.closed_at is None,
            job_id=row.job_id,
            needs_run=bool(row.needs_run),
        )
        for row in rows
        if (marker := marker_of(row)) is not None
    }


def take_runs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    adopt: Mapping[int, str],
    spare: Mapping[str, int],
    now: datetime,
    *,
    new_token: Callable[[], str] = random_token,
) -> frozenset[str]:
    """
    Adopt runs by attempt id, if their jobs still need one; list the others as orphans.

    *spare* are runs that no job needs, with the ids of their submissions. Returns the runs that
    were adopted.
    """
    adopted = orphan_rows.adopt(tx, owner_id, batch_id, adopt, now, new_token())
    of_attempts = select(attempts.c.id, attempts.c.submission_id).where(attempts.c.id.in_(adopt))
    rest = {
        adopt[row.id]: row.submission_id
        for row in tx.execute(of_attempts)
        if adopt[row.id] not in adopted
    }
    for submission_id in {*spare.values(), *rest.values()}:
        of_it = {run for run, sent in {**spare, **rest}.items() if sent == submission_id}
        orphan_rows.add_orphans_of(tx, batch_id, submission_id, of_it, now)
    return adopted
