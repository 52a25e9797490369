"""Statements about money: budgets, rates, what runs have cost and may still cost."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)

from batchrunner.api_facts.limits import MAX_STEPS
from batchrunner.model import Budget, BudgetStatus
from batchrunner.policy.budget import limit_of
from batchrunner.store.batches import rate_of, settings_in_force
from batchrunner.store.schema import SubmissionState, attempts, batches, orphans, submissions

#: How long runs of which no trace was found are reckoned with: an API's list may be late.
UNCLEAR_AFTER = timedelta(minutes=10)
#: Stands in the place of a loaded budget that was taken off.
NO_BUDGET = "none"

_batch: BindParameter[int] = bindparam("batch")


def set_budget(tx: Connection, batch_id: int, budget: Budget | None) -> None:
    """Set another budget in the place of the loaded one, or none at all."""
    this = update(batches).where(batches.c.id == batch_id)
    tx.execute(this.values(budget=str(budget) if budget else NO_BUDGET))


def set_rate(tx: Connection, batch_id: int, rate: Decimal | None) -> None:
    """
    Write down what a step costs by the account's wallet; None: it does not say.

    Once a batch has begun to spend, a dearer price stays: what was bought at it is not known apart.
    """
    batch = tx.execute(_RATE, {"batch": batch_id}).one()
    if batch.rate and tx.execute(_BEGUN, {"batch": batch_id}).scalar_one():
        rate = max(Decimal(batch.rate), rate or Decimal(0))
    this = update(batches).where(batches.c.id == batch_id)
    tx.execute(this.values(rate=f"{rate:f}" if rate else None))


#: Under the lock of claims, so that none falls between the look and what is written.
_RATE = select(batches.c.rate).where(batches.c.id == _batch).with_for_update()
_BEGUN = select(
    or_(
        exists().where(attempts.c.batch_id == _batch),
        exists().where(orphans.c.batch_id == _batch),
    )
)


#: The longest run that took more than it was to: what happened once may happen again.
_longest = (
    select(func.coalesce(func.max(attempts.c.steps), 0))
    .where(attempts.c.batch_id == _batch, attempts.c.steps > attempts.c.reserved)
    .scalar_subquery()
)
_reserved = func.coalesce(attempts.c.reserved, MAX_STEPS)
_worst = case((_reserved < _longest, _longest), else_=_reserved)
_billed = attempts.c.steps.is_not(None)
_open = attempts.c.closed_at.is_(None)
#: Their runs may exist, and no look can tell any more.
_undecided = select(submissions.c.id).where(
    submissions.c.batch_id == _batch, submissions.c.state == SubmissionState.UNDECIDED
)
#: Their runs were looked for in vain; they may turn up late.
_doubtful = select(submissions.c.id).where(
    submissions.c.batch_id == _batch,
    submissions.c.state == SubmissionState.ABSENT,
    submissions.c.intended_at > bindparam("doubted_since"),
)
_runless = attempts.c.run_id.is_(None)
_unclear = or_(~_runless, attempts.c.submission_id.in_(_undecided))


def _sum(steps: Any, *conditions: Any) -> Any:
    return func.coalesce(func.sum(case((and_(*conditions), steps), else_=0)), 0)


#: What an orphan may have cost is what the runs of its submission may cost, the dearest of them.
_dearest = func.coalesce(
    select(func.max(attempts.c.reserved))
    .where(attempts.c.submission_id == orphans.c.submission_id)
    .correlate(orphans)
    .scalar_subquery(),
    MAX_STEPS,
)
_strays_billed = orphans.c.steps.is_not(None)
_stray_alive = orphans.c.ended_at.is_(None)


def _strays(steps: Any, *conditions: Any) -> Any:
    of_batch = select(_sum(steps, *conditions)).where(orphans.c.batch_id == _batch)
    return of_batch.scalar_subquery()


_in_doubt = or_(_open, and_(_runless, attempts.c.submission_id.in_(_doubtful)))
#: One statement, so that a run that becomes an orphan or an attempt meanwhile is in it.
_COMMITTED = select(
    (_sum(attempts.c.steps, _billed) + _strays(orphans.c.steps, _strays_billed)).label("spent"),
    (
        _sum(_worst, ~_billed, ~_open, _unclear) + _strays(_dearest, ~_strays_billed, ~_stray_alive)
    ).label("unclear"),
    (_sum(_worst, ~_billed, _in_doubt) + _strays(_dearest, ~_strays_billed, _stray_alive)).label(
        "reserved"
    ),
    _longest.label("longest"),
).where(attempts.c.batch_id == _batch)


def budget_status(tx: Connection, batch: Any, now: datetime) -> tuple[BudgetStatus, int] | None:
    """
    Return how much of a batch's budget is gone, and the longest run that took more than it was to.

    None where it has no budget. Every run that exists, or may, is in it: with what it was billed
    where that is known, else with the most that it may cost.
    """
    budget = settings_in_force(batch).budget
    if budget is None:
        return None
    row = tx.execute(_COMMITTED, {"batch": batch.id, "doubted_since": now - UNCLEAR_AFTER}).one()
    found = BudgetStatus(
        budget=budget,
        limit=limit_of(budget, rate_of(batch)),
        spent=int(row.spent),
        unclear=int(row.unclear),
        reserved=int(row.reserved),
    )
    return found, row.longest
