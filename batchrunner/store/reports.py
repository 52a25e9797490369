"""Reads counts, failures, finished jobs and the work that is left; writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Select,
    bindparam,
    func,
    select,
    true,
)

from batchrunner.model import (
    BatchCounts,
    FinishedJob,
    JobState,
    RunStatus,
    WorkLeft,
)
from batchrunner.model.hosts import MAX_PROBES
from batchrunner.policy.slots import SlotHolders, concurrency_limit
from batchrunner.store import counters
from batchrunner.store.account_limit import bound_in
from batchrunner.store.batch_rows import pause_of, settings_in_force
from batchrunner.store.conditions import (
    FINAL_STATES,
    count_where,
    is_current,
    is_shown,
    is_unanswered,
    is_unconfirmed,
    is_waiting,
)
from batchrunner.store.count_reads import counts_of
from batchrunner.store.finished_reads import jobs_among
from batchrunner.store.schema import (
    CanaryGate,
    attempts,
    batches,
    host_breakers,
    jobs,
    orphans,
)
from batchrunner.store.serialization import (
    quality_stop_of,
)
from batchrunner.store.shown_jobs import with_long_results
from batchrunner.store.store import PAGE_SIZE, Store

_batch: BindParameter[int] = bindparam("batch")
_owner: BindParameter[str] = bindparam("owner")
_still_open = attempts.c.closed_at.is_(None)


_DUE_AT = tuple(
    select(func.min(jobs.c.available_at)).where(jobs.c.batch_id == _batch, which)
    for which in (is_waiting, is_unconfirmed)
)


def batch_counts(tx: Connection, batch_id: int) -> BatchCounts:
    """Return a batch's jobs, attempts and orphans by state and category, whatever its size."""
    batch = {"batch": batch_id}
    open_attempts = tx.execute(_OPEN_ATTEMPTS, batch).one()
    late_runs = tx.execute(_ORPHAN_TOTALS, batch).one()
    due = [at for each in _DUE_AT if (at := tx.execute(each, batch).scalar()) is not None]
    return counts_of(
        counters.read_numbers(tx, batch_id),
        due_at=min(due, default=None),
        orphans=late_runs.orphans,
        orphans_steps=int(late_runs.steps),
        unsettled=int(open_attempts.unsettled),
        queued=int(open_attempts.queued),
    )


_open = (
    select(
        count_where(attempts.c.owner_id == _owner).label("mine"),
        func.count().label("open"),
        count_where(is_unanswered).label("unanswered"),
    )
    .where(attempts.c.batch_id == _batch, _still_open)
    .subquery()
)
_given_up = select(host_breakers.c.host).where(
    host_breakers.c.batch_id == _batch, host_breakers.c.failed_probes >= MAX_PROBES
)
_open_orphans = (
    select(func.count())
    .select_from(orphans)
    .where(orphans.c.batch_id == _batch, orphans.c.ended_at.is_(None))
    .scalar_subquery()
)


def _first_host_left(*waiting: Any) -> Any:
    """Return the first host with a waiting job that was not given up: a step for each given up."""
    first = select(func.min(jobs.c.host).label("host")).where(*waiting)
    hosts = first.cte("hosts", recursive=True)
    following = first.where(jobs.c.host > hosts.c.host).correlate(hosts).scalar_subquery()
    hosts = hosts.union_all(select(following).where(hosts.c.host.in_(_given_up)))
    return select(func.max(hosts.c.host)).where(hosts.c.host.not_in(_given_up)).scalar_subquery()


def _work_left(*which: Any) -> Select[Any]:
    """Return the statement that reads what is left of the available jobs, or of *which* of them."""
    of_batch = (jobs.c.batch_id == _batch, *which)
    due_at = select(func.min(jobs.c.available_at))
    return (
        select(
            _open.c.mine,
            _open.c.open,
            _open.c.unanswered,
            _open_orphans.label("open_orphans"),
            due_at.where(*of_batch, is_waiting).scalar_subquery().label("waiting_until"),
            due_at.where(*of_batch, is_unconfirmed).scalar_subquery().label("unconfirmed_until"),
            _first_host_left(*of_batch, is_waiting).label("host"),
            batches.c.paused_at,
            batches.c.pause_reason,
            batches.c.canary_gate,
            batches.c.quality_stop,
            batches.c.budget,
            batches.c.concurrency,
            batches.c.learned_concurrency,
            batches.c.account_limit,
            batches.c.settings,
        )
        .join_from(batches, _open, true())
        .where(batches.c.id == _batch)
    )


_WORK_LEFT, _WORK_LEFT_OF_PART = _work_left(), _work_left(jobs.c.part)


def work_left(tx: Connection, owner_id: str, batch_id: int, part: bool = False) -> WorkLeft:
    """
    Return what is left to do, in a time that does not grow with the batch.

    With *part*, only the jobs that `choose_part` has chosen count as available.
    """
    statement = _WORK_LEFT_OF_PART if part else _WORK_LEFT
    row = tx.execute(statement, {"owner": owner_id, "batch": batch_id}).one()
    settings, accepted = settings_in_force(row), bound_in(row.account_limit)
    limit = concurrency_limit(settings.concurrency, row.learned_concurrency, accepted)
    unanswered = int(row.unanswered)
    due = [at for at in (row.waiting_until, row.unconfirmed_until) if at is not None]
    # Only a claim knows which unanswered attempts hold their slots.
    holders = SlotHolders(
        open=row.open, unanswered=unanswered, released=unanswered, orphans=row.open_orphans
    )
    return WorkLeft(
        in_flight_here=int(row.mine),
        in_flight_elsewhere=row.open - int(row.mine),
        free_slots=holders.free_slots(limit),
        unanswered=unanswered,
        due_at=min(due, default=None),
        pause=pause_of(row),
        canary_failed=row.canary_gate == CanaryGate.CLOSED,
        quality_stop=quality_stop_of(row.quality_stop),
        has_budget=settings.budget is not None,
        # A refusal is confirmed before its jobs' hosts matter.
        given_up=row.host is None and row.unconfirmed_until is None and bool(due),
    )


_OPEN_ATTEMPTS = select(
    count_where(is_unanswered).label("unsettled"),
    count_where(attempts.c.run_status == RunStatus.PENDING).label("queued"),
).where(attempts.c.batch_id == _batch, _still_open)
_ORPHAN_TOTALS = select(
    func.count().label("orphans"), func.coalesce(func.sum(orphans.c.steps), 0).label("steps")
).where(orphans.c.batch_id == _batch)


def finished_jobs(store: Store, batch_id: int) -> Iterator[FinishedJob]:
    """
    Yield the jobs that are in a final state at the first one, in file order.

    They change only if the user retries them. So reading them page by page gives one snapshot.
    """
    ids = store.read(_finished_job_ids, batch_id)
    for start in range(0, len(ids), PAGE_SIZE):
        page = store.read(finished_jobs_among, batch_id, ids[start : start + PAGE_SIZE])
        yield from with_long_results(store, page)


def _finished_job_ids(tx: Connection, batch_id: int) -> list[int]:
    return list(
        tx.execute(
            select(jobs.c.id)
            .where(jobs.c.batch_id == batch_id, jobs.c.state.in_(FINAL_STATES), is_shown)
            .order_by(jobs.c.position, jobs.c.id)
        ).scalars()
    )


def cancelled_job_ids(tx: Connection, batch_id: int) -> set[int]:
    """Return the jobs of a batch that are cancelled now."""
    these = (jobs.c.batch_id == batch_id, jobs.c.state == JobState.CANCELLED, is_current)
    return set(tx.execute(select(jobs.c.id).where(*these)).scalars())


def finished_jobs_among(tx: Connection, batch_id: int, job_ids: Sequence[int]) -> list[FinishedJob]:
    """
    Return those of these jobs that are in a final state, in file order.

    A long result is not read with the others: `with_result` reads it.
    """
    found = jobs_among(tx, batch_id, job_ids, FINAL_STATES)
    return sorted(found, key=lambda job: job.position)


def newest_run(tx: Connection, batch_id: int, key: str) -> str | None:
    """Return the run id of a job's newest attempt that has one."""
    run_id: str | None = tx.execute(
        select(attempts.c.run_id)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(jobs.c.batch_id == batch_id, jobs.c.key == key, attempts.c.run_id.is_not(None))
        .order_by(jobs.c.superseded, jobs.c.revision.desc(), attempts.c.number.desc())
        .limit(1)
    ).scalar()
    return run_id
