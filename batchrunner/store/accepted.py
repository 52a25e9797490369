"""Lets what a person accepted of a job count in later editions of its series."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, exists, func, select, update

from batchrunner.store.column_types import JsonText
from batchrunner.store.schema import batches, jobs


class AcceptedChange(NamedTuple):
    """What a person accepted of a job, before and now, as it is stored."""

    job_id: int
    before: str | None
    now: str | None


def inherit_accepted(tx: Connection, batch_id: int, loaded_at: datetime) -> None:
    """
    Give jobs that were just loaded what a person accepted of the same question before.

    The newest earlier edition that has the job decides.
    """
    series = select(batches.c.series).where(batches.c.id == batch_id).scalar_subquery()
    earlier = (
        select(batches.c.id)
        .where(batches.c.series == series, batches.c.id < batch_id, batches.c.pruned_at.is_(None))
        .scalar_subquery()
    )
    has_any = and_(jobs.c.batch_id.in_(earlier), jobs.c.accepted.is_not(None))
    if not tx.execute(select(exists().where(has_any))).scalar():
        return
    other, some = jobs.alias("other"), jobs.alias("some")
    keys = select(some.c.key).where(some.c.batch_id.in_(earlier), some.c.accepted.is_not(None))
    turn = func.row_number().over(partition_by=other.c.key, order_by=other.c.batch_id.desc())
    before = (
        select(other.c.key, other.c.digest, other.c.accepted, turn.label("turn"))
        .where(other.c.batch_id.in_(earlier), other.c.key.in_(keys), other.c.superseded.is_(False))
        .subquery()
    )
    tx.execute(
        update(jobs)
        .where(
            jobs.c.batch_id == batch_id,
            jobs.c.loaded_at == loaded_at,
            jobs.c.attempt == 0,
            jobs.c.key == before.c.key,
            jobs.c.digest == before.c.digest,
            before.c.turn == 1,
            before.c.accepted.is_not(None),
        )
        .values(accepted=before.c.accepted)
    )


_CHANGE = update(jobs).where(jobs.c.id == bindparam("job")).values(accepted=bindparam("now"))
_CHANGE_LATER = (
    update(jobs)
    .where(
        jobs.c.batch_id.in_(
            select(batches.c.id).where(
                batches.c.series == bindparam("of_series"), batches.c.id > bindparam("of_batch")
            )
        ),
        jobs.c.key == bindparam("of_key"),
        jobs.c.digest == bindparam("of_digest"),
        jobs.c.accepted.is_not_distinct_from(bindparam("before", type_=JsonText)),
    )
    .values(accepted=bindparam("now"))
)


def change_accepted(tx: Connection, changes: Sequence[AcceptedChange]) -> None:
    """
    Set what a person accepted of jobs, also in later editions with the same job.

    A later edition in which something else was accepted since keeps that.
    """
    by_job = {each.job_id: each for each in changes if each.before != each.now}
    if not by_job:
        return
    rows = tx.execute(
        select(jobs.c.id, jobs.c.batch_id, jobs.c.key, jobs.c.digest, batches.c.series)
        .join(batches, batches.c.id == jobs.c.batch_id)
        .where(jobs.c.id.in_(by_job), batches.c.series.is_not(None))
    )
    later = [
        {
            "of_series": row.series,
            "of_batch": row.batch_id,
            "of_key": row.key,
            "of_digest": row.digest,
            "before": by_job[row.id].before,
            "now": by_job[row.id].now,
        }
        for row in rows
    ]
    if later:
        tx.execute(_CHANGE_LATER, later)
    tx.execute(_CHANGE, [{"job": each.job_id, "now": each.now} for each in by_job.values()])
