"""Editions of a series: reads them, closes an older one, and removes the oldest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from batchrunner.model import Batch, JobState
from batchrunner.model.editions import EditionSummary
from batchrunner.store.batch_rows import batch_of
from batchrunner.store.conditions import FINAL_STATES, count_where, is_current
from batchrunner.store.counters import recount_if_safe
from batchrunner.store.revisions import restore_delivered
from batchrunner.store.schema import (
    SubmissionState,
    artifacts,
    attempts,
    batch_counters,
    batches,
    holds,
    host_breakers,
    host_escalations,
    jobs,
    orphans,
    results,
    submissions,
)

#: Jobs that one transaction removes, with all that belongs to them.
PRUNE_CHUNK = 1000
#: A batch that shows, not one that is being removed.
_shows = batches.c.pruned_at.is_(None)
_is_open = jobs.c.state.not_in(FINAL_STATES)


def _editions(series: str) -> Select[Any]:
    """Select the editions of a series, the newest first."""
    return select(batches).where(batches.c.series == series, _shows).order_by(batches.c.id.desc())


def newest_edition(tx: Connection, series: str) -> Batch | None:
    """Return the newest edition of a series; None where there is none."""
    row = tx.execute(_editions(series).limit(1)).first()
    return batch_of(row) if row else None


def newest_edition_name(
    tx: Connection, series: str, named: Callable[[datetime], tuple[str, str]] | None
) -> str | None:
    """
    Return the name of a series' newest edition, such as `2026-12-01`; None where there is none.

    With *named*, a batch from before the series counts under the name that it would get.
    """
    newest = newest_edition(tx, series)
    if newest is not None or named is None:
        return newest.edition if newest else None
    made = select(batches.c.created_at).where(batches.c.name == series, batches.c.series.is_(None))
    created_at = tx.execute(made).scalar()
    return named(created_at)[1] if created_at else None


def unfinished_before(tx: Connection, series: str, batch_id: int) -> list[Batch]:
    """Return the editions older than a batch that have open jobs, the oldest first."""
    has_open = exists().where(jobs.c.batch_id == batches.c.id, _is_open)
    found = _editions(series).where(batches.c.id < batch_id, has_open)
    return [batch_of(row) for row in reversed(tx.execute(found).all())]


def newest_result_at(tx: Connection, batch_id: int) -> datetime | None:
    """Return when the newest job of a batch became final; None: none is."""
    newest = select(func.max(jobs.c.finished_at)).where(jobs.c.batch_id == batch_id)
    found: datetime | None = tx.execute(newest).scalar()
    return found


# ---- change ----


def make_edition(
    tx: Connection, series: str, named: Callable[[datetime], tuple[str, str]]
) -> str | None:
    """
    Make the batch that has the series' name its first edition; return its new name, if any.

    *named* gives the names of a batch and of its edition, by the time at which it was loaded.
    """
    same = (batches.c.name == series, batches.c.series.is_(None))
    row = tx.execute(select(batches.c.id, batches.c.created_at).where(*same)).first()
    if row is None:
        return None
    name, edition = named(row.created_at)
    made = update(batches).where(batches.c.id == row.id, *same)
    tx.execute(made.values(name=name, series=series, edition=edition))
    return name


def close_edition(tx: Connection, batch_id: int, now: datetime) -> tuple[int, int]:
    """
    Submit nothing more of an edition: jobs that wait are cancelled, and no run in flight is.

    Jobs in flight keep what their runs bring, and are not tried again. Returns how many jobs were
    cancelled, and how many are in flight.
    """
    # In the order in which claims lock: no claim may open an attempt meanwhile.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    in_flight = tx.execute(
        update(jobs)
        .where(jobs.c.batch_id == batch_id, jobs.c.state == JobState.RUNNING)
        .values(cancel_requested=True)
    )
    waiting = tx.execute(
        update(jobs)
        .where(jobs.c.batch_id == batch_id, jobs.c.state == JobState.AVAILABLE)
        .values(state=JobState.CANCELLED, finished_at=now, cancel_requested=True)
    )
    restore_delivered(tx, jobs.c.batch_id == batch_id)
    recount_if_safe(tx, batch_id)
    return waiting.rowcount, in_flight.rowcount


# ---- report ----


def summaries(tx: Connection, series: str) -> list[EditionSummary]:
    """Return how the editions of a series stand, the newest first."""
    rows = tx.execute(_editions(series)).all()
    of_series = select(batches.c.id).where(batches.c.series == series, _shows)
    counts = {row.batch_id: row for row in tx.execute(_job_counts(of_series))}
    steps = _steps(tx, of_series)
    return [_summary(row, counts.get(row.id), steps.get(row.id, 0)) for row in rows]


def _job_counts(of_series: Select[Any]) -> Select[Any]:
    states = {str(state): count_where(jobs.c.state == state).label(state) for state in FINAL_STATES}
    return (
        select(
            jobs.c.batch_id,
            func.count().label("jobs"),
            func.max(jobs.c.finished_at).label("finished_at"),
            *states.values(),
        )
        .where(jobs.c.batch_id.in_(of_series), is_current)
        .group_by(jobs.c.batch_id)
    )


def _steps(tx: Connection, of_series: Select[Any]) -> dict[int, int]:
    """Return the steps billed for each edition: those of its attempts and of its orphans."""
    found: dict[int, int] = {}
    for table in (attempts, orphans):
        billed = select(table.c.batch_id, func.coalesce(func.sum(table.c.steps), 0).label("steps"))
        for row in tx.execute(
            billed.where(table.c.batch_id.in_(of_series)).group_by(table.c.batch_id)
        ):
            found[row.batch_id] = found.get(row.batch_id, 0) + int(row.steps)
    return found


def _summary(row: Any, counts: Any, steps: int) -> EditionSummary:
    return EditionSummary(
        batch=batch_of(row),
        jobs=int(counts.jobs) if counts else 0,
        succeeded=int(counts.succeeded) if counts else 0,
        failed=int(counts.failed) if counts else 0,
        cancelled=int(counts.cancelled) if counts else 0,
        steps=steps,
        began_at=row.created_at,
        finished_at=counts.finished_at if counts else None,
    )


# ---- remove ----


def prunable(tx: Connection, series: str, keep: int) -> list[int]:
    """
    Return the batches of the editions beyond the newest *keep* that may be removed.

    None with an open job or attempt, with a submission whose runs may still appear, or with an
    orphan that has not ended; and never the newest edition that is complete. Those whose removal
    was interrupted are among them.
    """
    order = _editions(series).with_only_columns(batches.c.id).where(~_is_unsettled())
    kept = _editions(series).with_only_columns(batches.c.id).limit(keep)
    newest_ids = [*tx.execute(kept).scalars(), _newest_complete(tx, series)]
    found = order.where(batches.c.id.not_in([each for each in newest_ids if each is not None]))
    has_rows = or_(
        exists().where(jobs.c.batch_id == batches.c.id),
        exists().where(submissions.c.batch_id == batches.c.id),
    )
    begun = select(batches.c.id).where(batches.c.series == series, ~_shows, has_rows)
    return [*tx.execute(begun).scalars(), *tx.execute(found).scalars()]


def _newest_complete(tx: Connection, series: str) -> int | None:
    """Return the newest edition that has only final jobs, and of which one succeeded."""
    of_batch = jobs.c.batch_id == batches.c.id
    complete = and_(
        ~exists().where(of_batch, _is_open),
        exists().where(of_batch, jobs.c.state == JobState.SUCCEEDED),
    )
    found = _editions(series).with_only_columns(batches.c.id).where(complete).limit(1)
    newest: int | None = tx.execute(found).scalar()
    return newest


def _is_unsettled() -> ColumnElement[bool]:
    """Whether something of a batch may still happen, or its rows have the newest ids."""
    unsettled = or_(
        submissions.c.state.in_((SubmissionState.INTENDED, SubmissionState.UNANSWERED)),
        submissions.c.unconfirmed,
        submissions.c.next_late_check_at.is_not(None),
    )
    return or_(
        exists().where(jobs.c.batch_id == batches.c.id, _is_open),
        exists().where(attempts.c.batch_id == batches.c.id, attempts.c.closed_at.is_(None)),
        exists().where(submissions.c.batch_id == batches.c.id, unsettled),
        exists().where(orphans.c.batch_id == batches.c.id, orphans.c.ended_at.is_(None)),
        # SQLite gives the id of a newest row again when that row is gone, and ids tell the order.
        *(
            batches.c.id
            == select(table.c.batch_id).order_by(table.c.id.desc()).limit(1).scalar_subquery()
            for table in (jobs, attempts, submissions)
        ),
    )


def hide_edition(tx: Connection, batch_id: int, now: datetime) -> bool:
    """Begin to remove an edition, unless something of it may still happen; nobody sees it then."""
    hidden = (
        update(batches)
        .where(batches.c.id == batch_id, or_(~_shows, ~_is_unsettled()))
        .values(pruned_at=now, counted=False)
    )
    return bool(tx.execute(hidden).rowcount)


def prune_chunk(tx: Connection, batch_id: int) -> int:
    """
    Remove some rows of an edition that is hidden; return how many, 0 when all are gone.

    The row of its batch stays: its name is used up, and its marker says that its runs were ours.
    """
    some = select(jobs.c.id).where(jobs.c.batch_id == batch_id).limit(PRUNE_CHUNK)
    if job_ids := tx.execute(some).scalars().all():
        own = select(attempts.c.id).where(attempts.c.job_id.in_(job_ids)).scalar_subquery()
        for table in (results, artifacts):
            tx.execute(delete(table).where(table.c.attempt_id.in_(own)))
        tx.execute(delete(attempts).where(attempts.c.job_id.in_(job_ids)))
        return tx.execute(delete(jobs).where(jobs.c.id.in_(job_ids))).rowcount
    others = (orphans, submissions, holds, host_escalations, host_breakers, batch_counters)
    return sum(
        tx.execute(delete(table).where(table.c.batch_id == batch_id)).rowcount for table in others
    )
