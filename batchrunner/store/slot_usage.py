"""Reads how a batch's runs wait for the account's slots, and stores the learned concurrency."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, literal_column, select, update

from batchrunner.model import AUTO, RunStatus
from batchrunner.policy.slots import QUEUE_LAG, SlotUsage, concurrency_limit
from batchrunner.store.account_limit import bound_in
from batchrunner.store.batch_rows import settings_in_force
from batchrunner.store.conditions import count_where
from batchrunner.store.schema import attempts, batches

_in_flight = (
    attempts.c.batch_id == bindparam("batch"),
    attempts.c.closed_at.is_(None),
    attempts.c.run_id.is_not(None),
    attempts.c.cancel_reason.is_(None),
)
_is_running = attempts.c.run_status == RunStatus.RUNNING
_is_pending = attempts.c.run_status == RunStatus.PENDING
_newest_start = (
    select(func.max(attempts.c.opened_at)).where(*_in_flight, _is_running).scalar_subquery()
)
_is_late = attempts.c.opened_at <= bindparam("late")
#: A run that newer runs overtook is stuck, and does not wait for a slot.
_waits = and_(
    _is_pending,
    _is_late,
    attempts.c.opened_at >= func.coalesce(_newest_start, literal_column("''")),
)


_QUEUE = select(
    count_where(_is_running).label("running"),
    count_where(and_(_is_pending, attempts.c.opened_at > bindparam("late"))).label("fresh"),
    count_where(_waits).label("waiting"),
    count_where(and_(_is_pending, _is_late, ~_waits)).label("stuck"),
).where(*_in_flight)


def slot_usage(tx: Connection, batch_id: int, now: datetime) -> tuple[SlotUsage, int] | None:
    """
    Return how a batch's runs wait for slots, and how many may be in flight.

    None if the user has set the concurrency, or if the account refuses more runs than there may be:
    then no run waits for a slot.
    """
    batch = tx.execute(select(batches).where(batches.c.id == batch_id)).one()
    asked, learned = settings_in_force(batch).concurrency, batch.learned_concurrency
    if asked != AUTO:
        return None
    accepted, limit = bound_in(batch.account_limit), concurrency_limit(asked, learned)
    if accepted is not None and accepted < limit:
        return None
    row = tx.execute(_QUEUE, {"batch": batch_id, "late": now - QUEUE_LAG}).one()
    found = SlotUsage(**{name: int(count) for name, count in row._mapping.items()})
    return found, limit


def store_learned_concurrency(tx: Connection, batch_id: int, most: int) -> None:
    """Store how many runs may be in flight, as learned from the account's queue."""
    tx.execute(update(batches).where(batches.c.id == batch_id).values(learned_concurrency=most))
