"""The live runners of a batch, and the slots that one of them may take."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BindParameter, Connection, bindparam, exists, func, or_, select, update

from batchrunner.policy.fair_shares import WANTS_FOR, LeftSlots, slot_share
from batchrunner.store.conditions import is_released
from batchrunner.store.schema import attempts, owners

_me: BindParameter[str] = bindparam("me")
_batch: BindParameter[int] = bindparam("batch")

_WANT = (
    update(owners)
    .where(
        owners.c.id == _me,
        or_(owners.c.wants_until.is_(None), owners.c.wants_until < bindparam("soon")),
    )
    .values(batch_id=_batch, wants_until=bindparam("until"))
)
_WANT_NOTHING = update(owners).where(owners.c.id == _me).values(wants_until=None)
_holds_slots = exists().where(
    attempts.c.batch_id == _batch,
    attempts.c.owner_id == owners.c.id,
    attempts.c.closed_at.is_(None),
)
_RIVALS = select(owners.c.id).where(
    owners.c.batch_id == _batch,
    owners.c.ended_at.is_(None),
    owners.c.id != _me,
    owners.c.lease_until > bindparam("now"),
    # A slow runner keeps its share while runs of its own are in flight.
    owners.c.wants_until.is_not(None),
    or_(owners.c.wants_until > bindparam("now"), _holds_slots),
)
_OWN = select(func.count()).where(
    attempts.c.batch_id == _batch,
    attempts.c.owner_id == _me,
    attempts.c.closed_at.is_(None),
    ~is_released,
)


def want_slots(tx: Connection, owner_id: str, batch_id: int, now: datetime) -> None:
    """Note that an owner wants slots of a batch, so that others leave it its share."""
    until = now + WANTS_FOR
    times = {"soon": now + WANTS_FOR / 2, "until": until}
    tx.execute(_WANT, {"me": owner_id, "batch": batch_id, **times})


def want_nothing(tx: Connection, owner_id: str) -> None:
    """Note that an owner submits nothing more, so that others need not leave it anything."""
    tx.execute(_WANT_NOTHING, {"me": owner_id})


def rivals(tx: Connection, owner_id: str, batch_id: int, now: datetime) -> list[str]:
    """Return the other live owners that want slots of a batch."""
    return [*tx.execute(_RIVALS, {"me": owner_id, "batch": batch_id, "now": now}).scalars()]


def slots_to_take(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    bound: int,
    free: int,
    now: datetime,
    left: LeftSlots,
) -> int:
    """
    Return how many of a batch's *free* slots an owner may take: all of them if it is alone.

    *bound* is how many slots there are, and *left* this owner's memory of what others leave.
    """
    want_slots(tx, owner_id, batch_id, now)
    others = rivals(tx, owner_id, batch_id, now)
    if not others:
        left.forget()
        return free
    held = tx.execute(_OWN, {"me": owner_id, "batch": batch_id, "now": now}).scalar_one()
    share = slot_share(bound, [owner_id, *others], owner_id, now)
    return left.take(free, share - held, now)
