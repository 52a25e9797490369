"""Stores budgets and prices, and adds up what runs cost and may still cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from batchrunner.api_facts.limits import MAX_STEPS
from batchrunner.model import Budget, BudgetStatus
from batchrunner.policy.budget import limit_of
from batchrunner.store.batch_rows import rate_of, settings_in_force
from batchrunner.store.counters import billed_steps
from batchrunner.store.schema import SubmissionState, attempts, batches, orphans, submissions
from batchrunner.store.serialization import json_text, plain_budget

#: How long the possible cost of absent runs stays reserved: the API's list may be late.
UNCLEAR_AFTER = timedelta(minutes=10)

_batch: BindParameter[int] = bindparam("batch")


def set_budget(tx: Connection, batch_id: int, budget: Budget | None) -> None:
    """Replace the budget of the job file by another one, or by none."""
    this = update(batches).where(batches.c.id == batch_id)
    tx.execute(this.values(budget=json_text(plain_budget(budget) or {})))


def set_step_price(tx: Connection, batch_id: int, price: Decimal | None) -> None:
    """
    Store what a step costs by the account's wallet; None: unknown.

    Once a batch has attempts, a higher stored price stays, because some may have been billed at it.
    """
    batch = tx.execute(_PRICE, {"batch": batch_id}).one()
    if batch.step_price and tx.execute(_BEGUN, {"batch": batch_id}).scalar_one():
        price = max(Decimal(batch.step_price), price or Decimal(0))
    this = update(batches).where(batches.c.id == batch_id)
    tx.execute(this.values(step_price=f"{price:f}" if price else None))


#: Under the lock of claims, so that no claim comes between the read and the write.
_PRICE = select(batches.c.step_price).where(batches.c.id == _batch).with_for_update()
_BEGUN = select(
    or_(
        exists().where(attempts.c.batch_id == _batch),
        exists().where(orphans.c.batch_id == _batch),
    )
)


#: The longest run that took more steps than were reserved: it may happen again.
_longest = (
    select(func.coalesce(func.max(attempts.c.steps), 0))
    .where(attempts.c.batch_id == _batch, attempts.c.steps > attempts.c.reserved_steps)
    .scalar_subquery()
)
_reserved = func.coalesce(attempts.c.reserved_steps, MAX_STEPS)
_worst = case((_reserved < _longest, _longest), else_=_reserved)
_unbilled = attempts.c.steps.is_(None)
_open = attempts.c.closed_at.is_(None)
#: The same as "closed_at IS NOT NULL", by which SQLite would read all closed attempts through their
#: index; so it takes the index of the few that are unbilled.
_closed = attempts.c.closed_at != datetime(1970, 1, 1, tzinfo=UTC)


def _most(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """Return the most that these attempts may cost together."""
    return (
        select(func.coalesce(func.sum(_worst), 0)).where(_unbilled, *conditions).scalar_subquery()
    )


def _without_runs(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return which closed attempts without a run are of submissions like these."""
    is_one = and_(submissions.c.batch_id == _batch, _in_index, *conditions)
    found = attempts.c.submission_id.in_(select(submissions.c.id).where(is_one))
    # Not by the index of run ids, in which all attempts without one stand together.
    return and_(_closed, func.coalesce(attempts.c.run_id, "") == "", found)


_in_index = text("submissions.state IN ('absent', 'undecided')")
#: Their runs may exist, and no search can decide.
_undecided = _without_runs(submissions.c.state == SubmissionState.UNDECIDED)
#: The search for their runs found none; the runs may appear late.
_absent_recently = _without_runs(
    submissions.c.state == SubmissionState.ABSENT,
    submissions.c.intended_at > bindparam("recent_since"),
)
_of_batch = attempts.c.batch_id == _batch


def _sum(steps: Any, *conditions: Any) -> Any:
    return func.coalesce(func.sum(case((and_(*conditions), steps), else_=0)), 0)


#: An orphan may have cost as much as the most expensive run of its submission.
_most_expensive = func.coalesce(
    select(func.max(attempts.c.reserved_steps))
    .where(attempts.c.submission_id == orphans.c.submission_id)
    .correlate(orphans)
    .scalar_subquery(),
    MAX_STEPS,
)
_orphan_billed = orphans.c.steps.is_not(None)
_orphan_open = orphans.c.ended_at.is_(None)


def _sum_of_orphans(steps: Any, *conditions: Any) -> Any:
    of_batch = select(_sum(steps, *conditions)).where(orphans.c.batch_id == _batch)
    return of_batch.scalar_subquery()


#: One statement, so that a run that becomes an orphan or an attempt meanwhile is counted, and so is
#: one that is billed meanwhile. Of the attempts, it reads those that are open or have no bill.
_COMMITTED = select(
    (billed_steps + _sum_of_orphans(orphans.c.steps, _orphan_billed)).label("spent"),
    (
        _most(_of_batch, _closed, attempts.c.run_id.is_not(None))
        + _most(_undecided)
        + _sum_of_orphans(_most_expensive, ~_orphan_billed, ~_orphan_open)
    ).label("unclear"),
    (
        _most(_of_batch, _open)
        + _most(_absent_recently)
        + _sum_of_orphans(_most_expensive, ~_orphan_billed, _orphan_open)
    ).label("reserved"),
    _longest.label("longest"),
)


def committed_steps(tx: Connection, batch: Any, now: datetime) -> tuple[BudgetStatus, int] | None:
    """
    Return how much of a batch's budget is used, and the longest run that exceeded its reservation.

    None if it has no budget. Every run that exists, or may exist, is included: with its billed
    steps if they are known, otherwise with the most that it may cost.
    """
    budget = settings_in_force(batch).budget
    if budget is None:
        return None
    row = tx.execute(_COMMITTED, {"batch": batch.id, "recent_since": now - UNCLEAR_AFTER}).one()
    found = BudgetStatus(
        budget=budget,
        limit=limit_of(budget, rate_of(batch)),
        spent=int(row.spent),
        unclear=int(row.unclear),
        reserved=int(row.reserved),
    )
    return found, row.longest
