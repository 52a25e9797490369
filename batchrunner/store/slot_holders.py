"""Counts the open attempts that hold slots, and those whose runs may not exist."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, text

from batchrunner.policy.slots import SlotHolders
from batchrunner.store.conditions import count_where
from batchrunner.store.schema import SubmissionState, attempts, orphans, submissions

#: A create with fewer fruitless searches may be found at any moment: it needs no control run yet.
MIN_FRUITLESS_SEARCHES = 2

_of_batch = attempts.c.batch_id == bindparam("batch")
_open = (_of_batch, attempts.c.closed_at.is_(None))
_late = submissions.c.holds_slots_until <= bindparam("now")
_untested = submissions.c.fruitless_searches < MIN_FRUITLESS_SEARCHES
#: The attempts whose runs may exist, found by their submissions: few are unanswered.
_UNANSWERED = (
    select(
        func.count().label("unanswered"),
        count_where(_late).label("released"),
        count_where(_untested).label("untested"),
    )
    .select_from(submissions)
    .join(attempts, attempts.c.submission_id == submissions.c.id)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.state == SubmissionState.UNANSWERED,
        text("submissions.state IN ('intended', 'unanswered')"),  # as in the partial index
        *_open,
        attempts.c.run_id.is_(None),
    )
    .subquery()
)
_HOLDERS = select(
    select(func.count()).select_from(attempts).where(*_open).scalar_subquery().label("open"),
    _UNANSWERED,
    select(func.count())
    .select_from(orphans)
    .where(orphans.c.batch_id == bindparam("batch"), orphans.c.ended_at.is_(None))
    .scalar_subquery()
    .label("orphans"),
)


def slot_holders(tx: Connection, batch_id: int, now: datetime) -> SlotHolders:
    """Count a batch's open attempts, and those that are unanswered."""
    row = tx.execute(_HOLDERS, {"batch": batch_id, "now": now}).one()
    return SlotHolders(**{name: int(count) for name, count in row._mapping.items()})
