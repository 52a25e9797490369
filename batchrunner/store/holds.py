"""Statements about what kept a batch from being submitted: no credits, and former pauses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from batchrunner.model import FailureCategory
from batchrunner.model.time_and_cost import Hold
from batchrunner.store.schema import halts, owners

PAUSED = "paused"


def _current(owner_id: str, batch_id: int) -> ColumnElement[bool]:
    return and_(
        halts.c.owner_id == owner_id, halts.c.batch_id == batch_id, halts.c.ended_at.is_(None)
    )


def start_hold(
    tx: Connection, owner_id: str, batch_id: int, check_at: datetime, why: str, now: datetime
) -> None:
    """Write down that an owner submits nothing for lack of credits, and when it tries again."""
    known = update(halts).where(_current(owner_id, batch_id))
    if tx.execute(known.values(check_at=check_at, message=why)).rowcount:
        return
    tx.execute(
        insert(halts).values(
            batch_id=batch_id,
            owner_id=owner_id,
            why=FailureCategory.BILLING_FAILURE,
            message=why,
            since=now,
            check_at=check_at,
        )
    )


def end_hold(tx: Connection, owner_id: str, batch_id: int, now: datetime) -> None:
    """Write down that an owner submits again."""
    tx.execute(update(halts).where(_current(owner_id, batch_id)).values(ended_at=now))


def end_pause(tx: Connection, batch_id: int, since: datetime, now: datetime) -> None:
    """Keep the pause of a batch that is resumed."""
    tx.execute(
        insert(halts).values(batch_id=batch_id, why=PAUSED, since=since, ended_at=max(now, since))
    )


def current_hold(tx: Connection, batch_id: int, now: datetime) -> Hold | None:
    """Return since when, why and until when living owners have no credits; None: none is held."""
    row = tx.execute(
        select(
            func.min(halts.c.since).label("since"),
            func.min(halts.c.check_at).label("check_at"),
            func.max(halts.c.message).label("message"),
        )
        .join(owners, owners.c.id == halts.c.owner_id)
        .where(
            halts.c.batch_id == batch_id,
            halts.c.ended_at.is_(None),
            and_(owners.c.ended_at.is_(None), owners.c.lease_until > now),
        )
    ).one()
    if row.since is None:
        return None
    return Hold(since=row.since, check_at=row.check_at, why=row.message or "")
