"""Counts the open attempts that hold slots, and those whose runs may not exist."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, select

from batchrunner.policy.slots import SlotHolders
from batchrunner.store.conditions import (
    count_where,
    in_unanswered_submission,
    is_released,
    is_unanswered,
)
from batchrunner.store.schema import attempts, orphans, submissions

#: A create with fewer fruitless searches may be found at any moment: it needs no control run yet.
MIN_FRUITLESS_SEARCHES = 2

_untested = in_unanswered_submission.where(
    submissions.c.fruitless_searches < MIN_FRUITLESS_SEARCHES
)
_HOLDERS = select(
    func.count().label("open"),
    count_where(is_unanswered).label("unanswered"),
    count_where(is_released).label("released"),
    count_where(and_(is_unanswered, _untested)).label("untested"),
    select(func.count())
    .select_from(orphans)
    .where(orphans.c.batch_id == bindparam("batch"), orphans.c.ended_at.is_(None))
    .scalar_subquery()
    .label("orphans"),
).where(attempts.c.batch_id == bindparam("batch"), attempts.c.closed_at.is_(None))


def slot_holders(tx: Connection, batch_id: int, now: datetime) -> SlotHolders:
    """Count a batch's open attempts, and those that are unanswered."""
    row = tx.execute(_HOLDERS, {"batch": batch_id, "now": now}).one()
    return SlotHolders(**{name: int(count) for name, count in row._mapping.items()})
