"""Finds runs that may serve as control runs, which test whether a search can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from batchrunner.model import RunStatus
from batchrunner.policy.control_runs import ControlRun, MarkerDepth, MissingRuns
from batchrunner.store.schema import attempts, jobs, submissions

#: Most runs that are read, oldest and newest each.
_MOST = 60

_KNOWN = (
    select(
        attempts.c.run_id,
        attempts.c.run_status,
        attempts.c.missing_since,
        submissions.c.id.label("submission_id"),
        submissions.c.marker_token,
        submissions.c.intended_at,
        jobs.c.goal,
    )
    .join(attempts, attempts.c.submission_id == submissions.c.id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.marked,
        attempts.c.run_id.is_not(None),
    )
    .limit(_MOST)
)
_LATER = _KNOWN.where(submissions.c.intended_at >= bindparam("since"))
_oldest = (submissions.c.intended_at, submissions.c.id, attempts.c.batch_index)
_newest = (submissions.c.intended_at.desc(), submissions.c.id.desc(), attempts.c.batch_index)
_OLDEST_LATER, _NEWEST_LATER = _LATER.order_by(*_oldest), _LATER.order_by(*_newest)
#: Statuses that only a poll sets: a run that no poll has shown may not exist.
_SEEN = [status for status in RunStatus if status is not RunStatus.PENDING]
_DEEP = (
    _KNOWN.where(
        attempts.c.run_status.in_(_SEEN),
        attempts.c.missing_since.is_(None),
        func.length(jobs.c.goal) >= bindparam("characters"),
    )
    .order_by(submissions.c.id.desc(), attempts.c.batch_index)
    .limit(5)
)


def later_runs(tx: Connection, batch_id: int, since: datetime) -> list[ControlRun]:
    """Return marked runs of submissions that were written since a moment, oldest first."""
    asked = {"batch": batch_id, "since": since}
    rows = [*_rows(tx, _OLDEST_LATER, asked), *_rows(tx, _NEWEST_LATER, asked)]
    return _known(sorted(rows, key=lambda row: row.submission_id))


def deep_runs(tx: Connection, batch_id: int, missing: MissingRuns) -> list[ControlRun]:
    """Return marked runs of any age whose markers are as deep in their goals, newest first."""
    asked = {"batch": batch_id, "characters": missing.depth.characters}
    found = _known(_rows(tx, _DEEP, asked))
    return [run for run in found if run.depth.covers(missing.depth)]


def _rows(tx: Connection, query: Select[Any], asked: dict[str, Any]) -> list[Row[Any]]:
    return list(tx.execute(query, asked))


def _known(rows: Iterable[Row[Any]]) -> list[ControlRun]:
    found = {row.run_id: row for row in rows}
    return [
        ControlRun(
            run_id=run_id,
            marker_token=row.marker_token,
            intended_at=row.intended_at,
            depth=MarkerDepth.of(row.goal),
            # An attempt that was closed before any poll has a run without a status.
            status=RunStatus(row.run_status or RunStatus.PENDING),
            shown=row.run_status in _SEEN and row.missing_since is None,
        )
        for run_id, row in found.items()
    ]


_SHOWN = (
    select(attempts.c.run_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        attempts.c.run_id.is_not(None),
        attempts.c.run_status.in_(_SEEN),
        attempts.c.missing_since.is_(None),
    )
    .order_by(submissions.c.id.desc(), attempts.c.batch_index)
    .limit(5)
)
_intended_at = (
    select(submissions.c.intended_at)
    .where(submissions.c.id == bindparam("submission"))
    .scalar_subquery()
)
_SHOWN_SINCE = _SHOWN.where(submissions.c.intended_at >= _intended_at)


def newest_runs(tx: Connection, batch_id: int, submission_id: int | None = None) -> list[str]:
    """Return the newest runs that polls show, of a submission or later ones if it is given."""
    if submission_id is None:
        return list(tx.execute(_SHOWN, {"batch": batch_id}).scalars())
    asked = {"batch": batch_id, "submission": submission_id}
    return list(tx.execute(_SHOWN_SINCE, asked).scalars())
