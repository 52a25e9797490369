"""Statements about the account that a batch's runs are on, which is known by its keys."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, exists, or_, select, update

from batchrunner.model import MAX_RUNS_PER_REQUEST
from batchrunner.store.schema import SubmissionState, attempts, batches, orphans, submissions

_open = (attempts.c.batch_id == bindparam("batch"), attempts.c.closed_at.is_(None))
_alive = (orphans.c.batch_id == bindparam("batch"), orphans.c.ended_at.is_(None))
_unsettled = (
    submissions.c.batch_id == bindparam("batch"),
    or_(
        submissions.c.state.in_([SubmissionState.INTENDED, SubmissionState.UNANSWERED]),
        submissions.c.next_late_check_at.is_not(None),  # its runs may turn up late
    ),
)
_ANYTHING_OPEN = select(
    or_(
        exists().where(*_open),
        exists().where(*_unsettled),
        exists().where(*_alive),
    )
)
_KEYS = select(batches.c.known_keys).where(batches.c.id == bindparam("batch"))


class KeyReplaced(Exception):
    """The key of another account was taken for the batch's since this runner began."""


def known_keys(tx: Connection, batch_id: int) -> tuple[str, ...]:
    """Return the digests of the keys that open a batch's runs; none before its first run."""
    return listed(tx.execute(_KEYS, {"batch": batch_id}).scalar_one())


def check_key(tx: Connection, batch_id: int, key: str | None) -> None:
    """
    See that a key still opens the batch's runs; None: nobody asks.

    Raises:
        KeyReplaced: It does not.
    """
    if key is not None and key not in known_keys(tx, batch_id):
        raise KeyReplaced(key)


def listed(stored: str | None) -> tuple[str, ...]:
    """Return the digests that a row holds."""
    return tuple((stored or "").split())


class KeysChanged(Exception):
    """Somebody else was admitted since the keys of a batch were read."""


def admit_key(
    tx: Connection,
    batch_id: int,
    digest: str,
    *,
    beside: bool,
    read: tuple[str, ...] | None = None,
) -> bool:
    """
    Take a key for one of the batch's account; return whether it was taken.

    *beside* those that are known: the API has shown that it is the same account's. Else in their
    place, which is refused as long as runs of the batch may be alive: they may be another's.

    Raises:
        KeysChanged: The digests are not those that were *read*: one of them may be this key's.
    """
    stored = tx.execute(_KEYS.with_for_update(), {"batch": batch_id}).scalar_one()
    if read is not None and listed(stored) != read:
        raise KeysChanged
    if not beside and has_open_work(tx, batch_id):
        return False
    new = [*listed(stored), digest] if beside else [digest]
    tx.execute(update(batches).where(batches.c.id == batch_id).values(known_keys=" ".join(new)))
    return True


def has_open_work(tx: Connection, batch_id: int) -> bool:
    """Whether runs of the batch may be alive, or may have ended and not been collected."""
    return bool(tx.execute(_ANYTHING_OPEN, {"batch": batch_id}).scalar_one())


_OPEN_RUNS = select(attempts.c.run_id, attempts.c.id).where(*_open, attempts.c.run_id.is_not(None))
_ORPHANS = select(orphans.c.run_id).where(*_alive).order_by(orphans.c.run_id)
_NEWEST = (
    select(attempts.c.submission_id)
    .where(attempts.c.batch_id == bindparam("batch"), attempts.c.run_id.is_not(None))
    .order_by(attempts.c.id.desc())
    .limit(1)
)


def account_check_runs(tx: Connection, batch_id: int) -> list[str]:
    """
    Return up to a look's worth of runs by which the batch's account can be told.

    They are the newest that may be alive, or else those of the newest submission: before it, the
    batch may have been on another account.
    """
    batch = {"batch": batch_id}
    newest = _OPEN_RUNS.order_by(attempts.c.id.desc()).limit(MAX_RUNS_PER_REQUEST)
    found = [row.run_id for row in tx.execute(newest, batch)]
    found += tx.execute(_ORPHANS, batch).scalars()
    if not found:
        submission: Any = tx.execute(_NEWEST, batch).scalar()
        of_it = (attempts.c.submission_id == submission, attempts.c.run_id.is_not(None))
        found += tx.execute(select(attempts.c.run_id).where(*of_it)).scalars()
    return found[:MAX_RUNS_PER_REQUEST]
