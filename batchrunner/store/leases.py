"""Owners and their leases: the length of a lease, renewals, and rescuing a dead owner's work."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, or_, select, union_all, update

from batchrunner.model import Owner
from batchrunner.policy.fair_shares import WANTS_FOR
from batchrunner.store import account_keys, counters
from batchrunner.store.conditions import is_unsettled
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.errors import LeaseLost, OwnerForgotten
from batchrunner.store.schema import SubmissionState, attempts, owners, submissions
from batchrunner.store.store_time import LEASE

_me: BindParameter[str] = bindparam("me")
_batch: BindParameter[int] = bindparam("batch")


def register_owner(
    tx: Connection, owner: Owner, now: datetime, batch_id: int | None = None
) -> None:
    """Add an owner with a lease from *now* on; it wants slots of a batch if that is given."""
    tx.execute(
        insert_or_ignore(tx, owners)
        .values(
            id=owner.id,
            machine=owner.machine,
            pid=owner.pid,
            process_started_at=owner.process_started_at,
            started_at=now,
            lease_until=now + LEASE,
            counts=True,
            batch_id=batch_id,
            wants_until=now + WANTS_FOR if batch_id is not None else None,
        )
        .on_conflict_do_nothing()
    )


_RENEW = (
    update(owners)
    .where(owners.c.id == _me, owners.c.ended_at.is_(None))
    .values(lease_until=bindparam("until"))
)


def renew_lease(tx: Connection, owner_id: str, now: datetime) -> None:
    """
    Renew an owner's lease from *now* on.

    Raises:
        LeaseLost: Another process ended this owner.
        OwnerForgotten: The database does not know this owner.
    """
    renewed = tx.execute(_RENEW, {"me": owner_id, "until": now + LEASE})
    if renewed.rowcount != 1:
        check_alive(tx, owner_id)
        raise LeaseLost(owner_id)


def end_owner(tx: Connection, owner_id: str, now: datetime) -> None:
    """End an owner, so that no process waits for its lease to expire."""
    tx.execute(
        update(owners)
        .where(owners.c.id == owner_id, owners.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    counters.merge_ended_owners(tx)


def live_owners(tx: Connection, now: datetime, batch_id: int | None = None) -> list[Owner]:
    """Return the owners with a current lease: all, or those with open attempts of a batch."""
    chosen = [owners.c.ended_at.is_(None), owners.c.lease_until > now]
    if batch_id is not None:
        busy = select(attempts.c.owner_id).where(
            attempts.c.batch_id == batch_id, attempts.c.closed_at.is_(None)
        )
        chosen.append(owners.c.id.in_(busy))
    return [_owner(row) for row in tx.execute(select(owners).where(*chosen))]


_OTHERS = select(owners).where(owners.c.id != _me, owners.c.ended_at.is_(None))


def other_owners(tx: Connection, owner_id: str) -> list[tuple[Owner, datetime]]:
    """Return the other owners that have not ended, and when their leases expire."""
    rows = tx.execute(_OTHERS, {"me": owner_id})
    return [(_owner(row), row.lease_until) for row in rows]


_END_DEAD_OWNERS = (
    update(owners)
    .where(
        owners.c.id != _me,
        owners.c.ended_at.is_(None),
        or_(
            owners.c.lease_until <= bindparam("lease_cutoff"),
            owners.c.id.in_(bindparam("exited", expanding=True)),
        ),
    )
    .values(ended_at=bindparam("now"))
)
_still_open = (attempts.c.batch_id == _batch, attempts.c.closed_at.is_(None))
_dead = select(owners.c.id).where(owners.c.ended_at.is_not(None))
_of_dead_owners = (submissions.c.batch_id == _batch, submissions.c.owner_id.in_(_dead))
_MARK_INTENDED_UNANSWERED = (
    update(submissions)
    .where(*_of_dead_owners, is_unsettled, submissions.c.state == SubmissionState.INTENDED)
    .values(
        state=SubmissionState.UNANSWERED,
        search_at=bindparam("now"),
        unanswered_at=bindparam("now"),
        message="the runner ended",
    )
)
_taken = (
    select(submissions.c.id).where(
        submissions.c.batch_id == _batch,
        is_unsettled,
        submissions.c.state == SubmissionState.UNANSWERED,
    ),
    select(submissions.c.id).where(
        submissions.c.batch_id == _batch, submissions.c.next_late_check_at.is_not(None)
    ),
    # A submission with known runs is taken too: a poll may show that its answer was wrong.
    select(attempts.c.submission_id).where(*_still_open),
)
#: The ids are found through three small indexes: an OR would read all submissions of the batch.
_TAKE_SUBMISSIONS = (
    update(submissions)
    .where(*_of_dead_owners, submissions.c.id.in_(union_all(*_taken)))
    .values(owner_id=_me)
)
_TAKE_ATTEMPTS = (
    update(attempts)
    .where(*_still_open, attempts.c.owner_id.in_(_dead))
    .values(owner_id=_me)
    .returning(attempts.c.id)
)


def rescue_attempts(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    now: datetime,
    exited: Collection[str] = (),
    lease_cutoff: datetime | None = None,
    key: str | None = None,
) -> list[int]:
    """
    Take over a batch's open attempts from dead owners; return their ids.

    An owner is dead if it is in *exited*, or its lease ended by *lease_cutoff* (default: *now*).
    Its runs continue. Its submissions without a recorded answer are searched for. *key* is the
    digest of the API key that will poll the runs.

    Raises:
        LeaseLost: Another process ended this owner.
        KeyReplaced: *key* is not one of the batch's account any more.
    """
    check_alive(tx, owner_id)
    account_keys.check_key(tx, batch_id, key)
    mine = {"me": owner_id, "batch": batch_id}
    tx.execute(
        _END_DEAD_OWNERS,
        {"me": owner_id, "now": now, "lease_cutoff": lease_cutoff or now, "exited": list(exited)},
    )
    tx.execute(_MARK_INTENDED_UNANSWERED, {"batch": batch_id, "now": now})
    tx.execute(_TAKE_SUBMISSIONS, mine)
    taken = list(tx.execute(_TAKE_ATTEMPTS, mine).scalars())
    counters.count_if_needed(tx, batch_id)
    return taken


def _owner(row: Row[Any]) -> Owner:
    return Owner(
        id=row.id, machine=row.machine, pid=row.pid, process_started_at=row.process_started_at
    )


#: Until the transaction ends, no other process can end the owner.
_ENDED_AT = select(owners.c.ended_at).where(owners.c.id == _me).with_for_update(read=True)


def check_alive(tx: Connection, owner_id: str) -> None:
    """
    Keep an owner alive until the commit.

    Raises:
        LeaseLost: It has ended.
        OwnerForgotten: The database does not know it.
    """
    row = tx.execute(_ENDED_AT, {"me": owner_id}).one_or_none()
    if row is None:
        raise OwnerForgotten(owner_id)
    if row.ended_at is not None:
        raise LeaseLost(owner_id)
