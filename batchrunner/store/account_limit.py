"""Stores what 429 answers have shown of the account's limit, for all runners of a batch."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, select, update

from batchrunner.policy.account_limit import (
    AccountLimit,
    after_acceptance,
    after_poll,
    after_refusal,
)
from batchrunner.store.schema import attempts, batches
from batchrunner.store.serialization import json_text

_batch: BindParameter[int] = bindparam("batch")
_KNOWN = select(batches.c.account_limit).where(batches.c.id == _batch)
_LOCKED = _KNOWN.with_for_update()
#: Runs that the API created for the batch and that nobody saw end.
_IN_FLIGHT = (
    select(func.count())
    .select_from(attempts)
    .where(
        attempts.c.batch_id == _batch,
        attempts.c.closed_at.is_(None),
        attempts.c.run_id.is_not(None),
    )
)


def account_limit(tx: Connection, batch_id: int) -> AccountLimit | None:
    """Return what is known of the account's limit; None: nothing was refused for it."""
    return limit_of(tx.execute(_KNOWN, {"batch": batch_id}).scalar_one())


def record_refusal(
    tx: Connection, batch_id: int, count: int, now: datetime, asked: timedelta | None
) -> tuple[AccountLimit, int]:
    """
    Record that a create of *count* runs was above the limit; return what is known, and the runs.

    *asked* is the wait that the answer asked for.
    """
    known, in_flight = _read(tx, batch_id)
    learned = after_refusal(known, in_flight, count, now, asked)
    _write(tx, batch_id, learned)
    return learned, in_flight


def record_acceptance(tx: Connection, batch_id: int) -> AccountLimit | None:
    """Record that a create was accepted and its runs are stored; return what is known."""
    known, in_flight = _read(tx, batch_id)
    return _changed(tx, batch_id, known, known and after_acceptance(known, in_flight))


def try_one_more(tx: Connection, batch_id: int, now: datetime) -> AccountLimit | None:
    """Raise the bound by one if it is time to try that; every run has just been polled."""
    known, in_flight = _read(tx, batch_id)
    return _changed(tx, batch_id, known, known and after_poll(known, in_flight, now))


def _read(tx: Connection, batch_id: int) -> tuple[AccountLimit | None, int]:
    known = limit_of(tx.execute(_LOCKED, {"batch": batch_id}).scalar_one())
    return known, tx.execute(_IN_FLIGHT, {"batch": batch_id}).scalar_one()


def _changed(
    tx: Connection, batch_id: int, known: AccountLimit | None, learned: AccountLimit | None
) -> AccountLimit | None:
    if learned is not None and learned != known:
        _write(tx, batch_id, learned)
    return learned


def _write(tx: Connection, batch_id: int, learned: AccountLimit) -> None:
    plain = asdict(learned) | {
        "refused_at": learned.refused_at.isoformat(),
        "wait": learned.wait.total_seconds(),
    }
    changed = update(batches).where(batches.c.id == batch_id)
    tx.execute(changed.values(account_limit=json_text(plain)))


@lru_cache(maxsize=256)
def limit_of(stored: str | None) -> AccountLimit | None:
    """Parse what is known of an account's limit."""
    if stored is None:
        return None
    plain: dict[str, Any] = json.loads(stored)
    return AccountLimit(
        **plain
        | {
            "refused_at": datetime.fromisoformat(plain["refused_at"]),
            "wait": timedelta(seconds=plain["wait"]),
        }
    )


def bound_in(stored: str | None) -> int | None:
    """Return the most runs in flight that the account accepts, as stored; None: not known."""
    known = limit_of(stored)
    return None if known is None else known.bound
