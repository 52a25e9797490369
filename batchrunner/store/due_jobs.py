"""Chooses due jobs in file order, as far as their hosts have capacity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, or_, select

from batchrunner.model import JobState
from batchrunner.model.hosts import MAX_PROBES
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.schema import attempts, host_breakers, jobs, submissions

#: Jobs that are read together, at least: some may be on hosts without capacity.
JOBS_PER_PAGE = 50

#: What a claim reads of a job.
COLUMNS = (
    jobs.c.id,
    jobs.c.position,
    jobs.c.key,
    jobs.c.url,
    jobs.c.host,
    jobs.c.goal,
    jobs.c.options,
    jobs.c.output_schema_digest,
    jobs.c.max_batch_size,
    jobs.c.attempt,
    jobs.c.failures,
    jobs.c.failures_by_category,
    jobs.c.policy,
    jobs.c.escalation_steps,
)
_AVAILABLE = (
    select(*COLUMNS)
    .where(jobs.c.batch_id == bindparam("batch"), jobs.c.state == JobState.AVAILABLE)
    .order_by(jobs.c.position, jobs.c.id)
)
_behind = or_(
    jobs.c.position > bindparam("position"),
    and_(jobs.c.position == bindparam("position"), jobs.c.id > bindparam("id")),
)
#: Jobs whose refusal is not confirmed: a run may exist.
unconfirmed = (
    select(attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(submissions.c.batch_id == bindparam("batch"), submissions.c.unconfirmed)
)
_PAGE = (
    _AVAILABLE.where(_behind, jobs.c.available_at <= bindparam("now"))
    .where(jobs.c.id.not_in(unconfirmed))
    .where(jobs.c.host.not_in(bindparam("full", expanding=True)))
    .limit(bindparam("most"))
)
#: By whether only the canary, and whether only the chosen part may be submitted.
_PAGES = {
    (canary, part): _PAGE.where(*[jobs.c.canary] * canary, *[jobs.c.part] * part)
    for canary in (False, True)
    for part in (False, True)
}
_given_up = select(host_breakers.c.host).where(
    host_breakers.c.batch_id == bindparam("batch"), host_breakers.c.failed_probes >= MAX_PROBES
)
_AWAITED = _AVAILABLE.where(_behind, jobs.c.host.not_in(_given_up)).limit(bindparam("most"))
_AWAITED_OF_PART = _AWAITED.where(jobs.c.part)
#: Before the first job.
_START = {"position": 0, "id": 0}


def due_jobs(
    tx: Connection,
    batch_id: int,
    room: int,
    capacity: HostCapacity,
    now: datetime,
    *,
    canary: bool,
    part: bool = False,
    claim: bool = True,
) -> list[Row[Any]]:
    """
    Return due jobs, for each host no more than its capacity.

    At most *room*, plus the probes of parked hosts, which the budget may still exclude. With
    *canary*, only jobs of the canary; with *part*, only jobs of the chosen part. With *claim*, they
    are locked.
    """
    chosen: list[Row[Any]] = []
    page: Select[Any] = _PAGES[canary, part]
    page = page.with_for_update(skip_locked=True) if claim else page
    last = _START
    while room > 0:
        most = max(room, JOBS_PER_PAGE)
        asked = {"batch": batch_id, "now": now, "full": capacity.full, "most": most, **last}
        rows = tx.execute(page, asked).all()
        for row in rows:
            if room > 0 and capacity.take(row.host):
                chosen.append(row)
                room -= row.host not in capacity.parked
        if len(rows) < most:
            break
        last = {"position": rows[-1].position, "id": rows[-1].id}
    return chosen


def awaited_jobs(tx: Connection, batch_id: int, *, part: bool = False) -> Iterator[list[Row[Any]]]:
    """Yield all available jobs a page at a time, except those on hosts that were given up."""
    statement = _AWAITED_OF_PART if part else _AWAITED
    last, rows = _START, list[Row[Any]]()
    while rows := [*tx.execute(statement, {"batch": batch_id, "most": JOBS_PER_PAGE, **last})]:
        yield rows
        last = {"position": rows[-1].position, "id": rows[-1].id}
