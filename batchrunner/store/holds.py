"""Records the periods in which a batch's jobs were not submitted: no credits, or paused."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, insert, update

from batchrunner.model import FailureCategory
from batchrunner.store.schema import holds

PAUSED = "paused"


def _current(owner_id: str, batch_id: int) -> ColumnElement[bool]:
    return and_(
        holds.c.owner_id == owner_id, holds.c.batch_id == batch_id, holds.c.ended_at.is_(None)
    )


def start_hold(
    tx: Connection, owner_id: str, batch_id: int, check_at: datetime, reason: str, now: datetime
) -> None:
    """Record that an owner submits nothing for lack of credits, and when it tries again."""
    known = update(holds).where(_current(owner_id, batch_id))
    if tx.execute(known.values(check_at=check_at, message=reason)).rowcount:
        return
    tx.execute(
        insert(holds).values(
            batch_id=batch_id,
            owner_id=owner_id,
            reason=FailureCategory.BILLING_FAILURE,
            message=reason,
            since=now,
            check_at=check_at,
        )
    )


def end_hold(tx: Connection, owner_id: str, batch_id: int, now: datetime) -> None:
    """Record that an owner submits again."""
    tx.execute(update(holds).where(_current(owner_id, batch_id)).values(ended_at=now))


def end_pause(tx: Connection, batch_id: int, since: datetime, now: datetime) -> None:
    """Record the pause of a batch that is being resumed."""
    tx.execute(
        insert(holds).values(
            batch_id=batch_id, reason=PAUSED, since=since, ended_at=max(now, since)
        )
    )
