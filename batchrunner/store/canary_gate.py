"""Decides from a batch's canary whether the other jobs may be submitted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, not_, select, update

from batchrunner.model import Canary, JobState
from batchrunner.policy import canary as policy
from batchrunner.policy.canary import Sample
from batchrunner.store.batch_rows import rate_of
from batchrunner.store.conditions import FINAL_STATES, count_where, has_suspect_result, is_current
from batchrunner.store.schema import CanaryGate, attempts, batches, jobs

_of_canary = (jobs.c.batch_id == bindparam("batch"), jobs.c.canary, is_current)


_JOBS = select(
    func.count().label("jobs"),
    count_where(jobs.c.state.not_in(FINAL_STATES)).label("open"),
    count_where(and_(jobs.c.state == JobState.SUCCEEDED, not_(has_suspect_result))).label("good"),
    count_where(and_(jobs.c.state == JobState.SUCCEEDED, has_suspect_result)).label("suspect"),
).where(*_of_canary)
_STEPS = (
    select(func.coalesce(func.sum(attempts.c.steps), 0))
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(*_of_canary)
)


def check_canary(
    tx: Connection, batch: Any, canary: Canary | None, now: datetime
) -> CanaryGate | None:
    """
    Return whether a batch's other jobs may be submitted; None while its canary is unfinished.

    The result is stored. If the canary fails, the batch is paused with the reason.
    """
    if canary is None or batch.canary_gate is not None:
        return CanaryGate(batch.canary_gate) if batch.canary_gate else CanaryGate.OPEN
    sample = _sample(tx, batch.id)
    if not sample.jobs:
        return CanaryGate.OPEN  # it was loaded without a canary
    found = policy.gate(canary, sample, rate_of(batch))
    if found is None:
        return None
    this = update(batches).where(batches.c.id == batch.id)
    if found.opened:
        tx.execute(this.values(canary_gate=CanaryGate.OPEN))
        return CanaryGate.OPEN
    tx.execute(this.values(canary_gate=CanaryGate.CLOSED, paused_at=now, pause_reason=found.says))
    return CanaryGate.CLOSED


def keep_canary(tx: Connection, batch_id: int, canary: Canary | None) -> None:
    """Choose another canary, the first jobs that wait, where its file has lost all of it."""
    of_batch = jobs.c.batch_id == batch_id
    undecided = select(batches.c.id).where(
        batches.c.id == batch_id, batches.c.canary_gate.is_(None)
    )
    had_one = select(jobs.c.id).where(of_batch, jobs.c.canary).limit(1)
    if canary is None or not tx.execute(undecided).first() or not tx.execute(had_one).first():
        return
    if _sample(tx, batch_id).jobs:
        return
    waiting = (
        select(jobs.c.id)
        .where(of_batch, jobs.c.state == JobState.AVAILABLE)
        .order_by(jobs.c.position, jobs.c.id)
        .limit(canary.jobs)
    )
    ids = list(tx.execute(waiting).scalars())
    tx.execute(update(jobs).where(jobs.c.id.in_(ids)).values(canary=True))


def is_canary_running(tx: Connection, batch: Any, canary: Canary | None) -> bool:
    """Return whether only jobs of the canary may be submitted; write nothing."""
    return canary is not None and batch.canary_gate is None and _sample(tx, batch.id).open > 0


def _sample(tx: Connection, batch_id: int) -> Sample:
    row = tx.execute(_JOBS, {"batch": batch_id}).one()
    steps = tx.execute(_STEPS, {"batch": batch_id}).scalar_one()
    return Sample(
        jobs=row.jobs,
        open=int(row.open),
        good=int(row.good),
        suspect=int(row.suspect),
        steps=int(steps),
    )
