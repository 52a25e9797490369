"""Reads a batch's last jobs, and claims those of them that were chosen to come first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, func, select

from batchrunner.model import HostRule
from batchrunner.model.time_and_cost import CostCause
from batchrunner.policy.longest_first import LAST_JOBS_PER_SLOT, LastJob
from batchrunner.policy.slots import concurrency_limit
from batchrunner.store.account_limit import bound_in
from batchrunner.store.batch_rows import settings_in_force
from batchrunner.store.conditions import is_waiting
from batchrunner.store.due_jobs import COLUMNS
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.schema import attempts, batches, jobs

#: Newest attempts that show how long runs of a host take.
MAX_PAST_RUNS = 2000
#: Jobs that are read more than there is room for: some may not be due.
SPARE_JOBS = 50

_batch: BindParameter[int] = bindparam("batch")
_waiting = (jobs.c.batch_id == _batch, is_waiting)


def _count(*which: Any) -> Select[Any]:
    some = select(jobs.c.id).where(*_waiting, *which).limit(bindparam("most")).subquery()
    return select(func.count()).select_from(some)


def _last(*which: Any) -> Select[Any]:
    found = select(jobs.c.id, jobs.c.host).where(*_waiting, *which)
    return found.order_by(jobs.c.position, jobs.c.id).limit(bindparam("most"))


#: By whether only the chosen part may be submitted.
_COUNTS = {False: _count(), True: _count(jobs.c.part)}
_LAST = {False: _last(), True: _last(jobs.c.part)}
_BATCH = select(batches).where(batches.c.id == _batch)


@dataclass(frozen=True, kw_only=True)
class LastJobs:
    """The available jobs of a batch that are few enough to choose their order."""

    bound: int  #: most runs that may be in flight
    jobs: tuple[LastJob, ...] = ()  #: in file order; none while there are too many
    rules: dict[str, HostRule]  #: for their hosts


def last_jobs(tx: Connection, batch_id: int, *, part: bool = False) -> LastJobs:
    """
    Return the last available jobs of a batch, if no more than ten for each slot are left.

    None with a budget: which jobs it covers, the file decides. With *part*, only jobs of the chosen
    part count.
    """
    batch = tx.execute(_BATCH, {"batch": batch_id}).one()
    settings = settings_in_force(batch)
    accepted = bound_in(batch.account_limit)
    bound = concurrency_limit(settings.concurrency, batch.learned_concurrency, accepted)
    last = LastJobs(bound=bound, rules=dict(settings.hosts))
    most = LAST_JOBS_PER_SLOT * bound
    given = {"batch": batch_id, "most": most + 1}
    if settings.budget is not None or tx.execute(_COUNTS[part], given).scalar_one() > most:
        return last
    rows = tx.execute(_LAST[part], given)
    found = tuple(LastJob(row.id, row.host) for row in rows)
    return LastJobs(bound=bound, jobs=found, rules=last.rules)


def _chosen(*which: Any) -> Select[Any]:
    # The ids find the jobs; every other condition is that of a page of due jobs.
    return select(*COLUMNS).where(
        jobs.c.id.in_(bindparam("ids", expanding=True)),
        *_waiting,
        jobs.c.available_at <= bindparam("now"),
        *which,
    )


_CHOSEN = {False: _chosen(), True: _chosen(jobs.c.part)}


def chosen_jobs(
    tx: Connection,
    batch_id: int,
    first: Sequence[LastJob],
    room: int,
    capacity: HostCapacity,
    now: datetime,
    *,
    part: bool = False,
) -> list[Row[Any]]:
    """Return the *first* jobs that are due, in that order, as far as their hosts have capacity."""
    full = frozenset(capacity.full)
    ids = [job.id for job in first if job.host not in full][: 2 * room + SPARE_JOBS]
    if not ids:
        return []
    given = {"batch": batch_id, "ids": ids, "now": now}
    rows = tx.execute(_CHOSEN[part].with_for_update(skip_locked=True), given)
    found = {row.id: row for row in rows}
    chosen: list[Row[Any]] = []
    for job_id in ids:
        if job_id in found and len(chosen) < room and capacity.take(found[job_id].host):
            chosen.append(found[job_id])
    return chosen


#: Joined, not a condition on ids: SQLite would read all attempts and look up each.
_newest = select(attempts.c.id).order_by(attempts.c.id.desc()).limit(MAX_PAST_RUNS).subquery()
_origin = select(batches.c.api_origin).where(batches.c.id == _batch).scalar_subquery()
_PAST = (
    select(
        jobs.c.host,
        attempts.c.seen_running_at,
        attempts.c.closed_at,
        attempts.c.run_started_at,
        attempts.c.run_finished_at,
    )
    .select_from(_newest)
    .join(attempts, attempts.c.id == _newest.c.id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(batches, batches.c.id == attempts.c.batch_id)
    .where(
        attempts.c.outcome == CostCause.SUCCEEDED,
        batches.c.api_origin == _origin,
    )
    .order_by(_newest.c.id.desc())
)


def past_durations(tx: Connection, batch_id: int) -> list[tuple[str, timedelta]]:
    """Return hosts and durations of the newest runs on a batch's API, of all batches."""
    found = []
    for row in tx.execute(_PAST, {"batch": batch_id}):
        began, ended = row.run_started_at, row.run_finished_at
        if began is None or ended is None or ended < began:
            began, ended = row.seen_running_at, row.closed_at
        if began is not None and ended >= began:
            found.append((row.host, ended - began))
    return found
