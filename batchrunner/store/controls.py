"""Writes what a user requests: retry, cancel, pause, resume, another concurrency."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    literal,
    not_,
    or_,
    select,
    update,
)

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import FailureCategory, JobState
from batchrunner.model.categories import CATEGORIES
from batchrunner.store import holds
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.counters import changed_jobs, recount_if_safe
from batchrunner.store.revisions import restore_delivered
from batchrunner.store.schema import CanaryGate, attempts, batches, jobs

#: Job ids in one statement.
STEER_CHUNK = 1000


def retry_jobs(
    tx: Connection,
    batch_id: int,
    categories: Collection[FailureCategory],
    keys: Collection[str],
    now: datetime,
) -> int:
    """
    Make failed and cancelled jobs available again; return how many.

    *keys* and *categories* choose jobs. Without them, all failed jobs are chosen, except those of
    categories that must be named. Their failures count from 0, and their attempts keep counting.
    """
    failed, cancelled = jobs.c.state == JobState.FAILED, jobs.c.state == JobState.CANCELLED
    # Jobs of adopted runs have no url, so they cannot be submitted.
    chosen = [jobs.c.batch_id == batch_id, jobs.c.url != "", is_current]
    if keys:
        chosen += [jobs.c.key.in_(keys), or_(failed, cancelled)]
    if categories:
        # Whatever failures a cancelled job had, it ended by being cancelled.
        named = and_(cancelled, literal(FailureCategory.RUN_CANCELLED in categories))
        chosen.append(or_(and_(failed, _ended_with(categories)), named))
    if not keys and not categories:
        left = [each for each, row in CATEGORIES.items() if row.retried_only_if_named]
        chosen += [failed, not_(_ended_with(left))]
    # No claim or recount comes between the two.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    job_ids = tx.execute(select(jobs.c.id).where(*chosen)).scalars().all()
    with changed_jobs(tx, job_ids):
        return _put_back(tx, chosen, now)


def _put_back(tx: Connection, chosen: Sequence[ColumnElement[bool]], now: datetime) -> int:
    tx.execute(update(attempts).where(exists().where(is_newest, *chosen)).values(retry_at=now))
    put_back = tx.execute(
        update(jobs)
        .where(*chosen)
        .values(
            state=JobState.AVAILABLE,
            available_at=now,
            finished_at=None,
            failures=0,
            failures_by_category="{}",
            escalation_steps="{}",
            max_batch_size=MAX_RUNS_PER_REQUEST,
            cancel_requested=False,
        )
    )
    return put_back.rowcount


def _ended_with(categories: Collection[FailureCategory]) -> ColumnElement[bool]:
    newest = attempts.alias()
    return exists().where(
        newest.c.job_id == jobs.c.id,
        newest.c.number == jobs.c.attempt,
        newest.c.outcome.in_(categories),
    )


def cancel_jobs(
    tx: Connection,
    batch_id: int,
    keys: Collection[str],
    now: datetime,
    hosts: Collection[str] = (),
    categories: Collection[FailureCategory] = (),
) -> tuple[int, int]:
    """
    Cancel jobs that are not final: all, or those of *keys*, *hosts* and *categories*.

    A category chooses jobs that wait for a retry after such a failure. Returns how many were
    cancelled at once, and how many have an open attempt. The latter are cancelled when the API
    confirms that their runs are.
    """
    # No claim may open an attempt meanwhile. Attempts are locked before jobs, as where decisions
    # are applied; otherwise the two could deadlock.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    still_open = and_(attempts.c.batch_id == batch_id, attempts.c.closed_at.is_(None))
    tx.execute(select(attempts.c.id).where(still_open).order_by(attempts.c.id).with_for_update())
    chosen = jobs.c.batch_id == batch_id
    if keys:
        chosen &= jobs.c.key.in_(keys)
    if categories:
        chosen &= and_(jobs.c.state == JobState.AVAILABLE, _ended_with(categories))
    parts = list(_on(tx, hosts, chosen)) if hosts else [chosen]
    counts = [_cancel(tx, part, still_open, now) for part in parts]
    restore_delivered(tx, jobs.c.batch_id == batch_id, jobs.c.state == JobState.CANCELLED)
    recount_if_safe(tx, batch_id)
    return sum(at_once for at_once, _ in counts), sum(asked for _, asked in counts)


def _cancel(
    tx: Connection, chosen: ColumnElement[bool], still_open: ColumnElement[bool], now: datetime
) -> tuple[int, int]:
    running = and_(chosen, jobs.c.state == JobState.RUNNING)
    tx.execute(
        update(attempts)
        .where(still_open, attempts.c.job_id.in_(select(jobs.c.id).where(running)))
        .values(cancel_reason=FailureCategory.RUN_CANCELLED)
    )
    asked = tx.execute(update(jobs).where(running).values(cancel_requested=True))
    at_once = tx.execute(
        update(jobs)
        .where(chosen, jobs.c.state == JobState.AVAILABLE)
        .values(state=JobState.CANCELLED, finished_at=now, cancel_requested=True)
    )
    return at_once.rowcount, asked.rowcount


def _on(
    tx: Connection, hosts: Collection[str], chosen: ColumnElement[bool]
) -> Iterator[ColumnElement[bool]]:
    """Yield conditions for the chosen jobs on these hosts; a host covers all its ports."""
    wanted = {host.lower() for host in hosts}
    left = jobs.c.state.in_([state for state in JobState if not state.is_final])
    found = [
        row.id
        for row in tx.execute(select(jobs.c.id, jobs.c.host).where(chosen, left))
        if not wanted.isdisjoint((row.host, row.host.partition(":")[0]))
    ]
    for start in range(0, len(found), STEER_CHUNK):
        yield and_(chosen, jobs.c.id.in_(found[start : start + STEER_CHUNK]))


def pause_batch(tx: Connection, batch_id: int, reason: str | None, now: datetime) -> None:
    """Stop submitting jobs of a batch; replace the reason of a paused one if one is given."""
    this = batches.c.id == batch_id
    tx.execute(update(batches).where(this, batches.c.paused_at.is_(None)).values(paused_at=now))
    if reason is not None:
        tx.execute(update(batches).where(this).values(pause_reason=reason))


def resume_batch(tx: Connection, batch_id: int, now: datetime) -> bool:
    """
    Submit jobs again, even if a canary failed or the data was bad; return whether it was paused.

    After a stop for bad data, the check of the data starts anew: what began earlier counts no more.
    """
    this = batches.c.id == batch_id
    found = select(batches.c.paused_at, batches.c.quality_stop).where(this).with_for_update()
    since, quality_stop = tx.execute(found).one()
    if since is None:
        return False
    if quality_stop is not None:
        tx.execute(update(batches).where(this).values(quality_stop=None, quality_since=now))
    tx.execute(
        update(batches)
        .where(this, batches.c.canary_gate == CanaryGate.CLOSED)
        .values(canary_gate=CanaryGate.OPEN)
    )
    tx.execute(update(batches).where(this).values(paused_at=None, pause_reason=None))
    holds.end_pause(tx, batch_id, since, now)
    return True


def set_concurrency(tx: Connection, batch_id: int, concurrency: int) -> None:
    """Replace the concurrency of the job file; runs in flight above it continue."""
    tx.execute(update(batches).where(batches.c.id == batch_id).values(concurrency=concurrency))
