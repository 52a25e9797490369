"""Records which API keys belong to the account that has a batch's runs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, or_, select, update

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.store.errors import KeyReplaced
from batchrunner.store.schema import SubmissionState, attempts, batches, orphans, submissions

_open = (attempts.c.batch_id == bindparam("batch"), attempts.c.closed_at.is_(None))
_alive = (orphans.c.batch_id == bindparam("batch"), orphans.c.ended_at.is_(None))
_unsettled = (
    submissions.c.batch_id == bindparam("batch"),
    or_(
        submissions.c.state.in_([SubmissionState.INTENDED, SubmissionState.UNANSWERED]),
        submissions.c.next_late_check_at.is_not(None),  # its runs may appear late
    ),
)
_ANYTHING_OPEN = select(
    or_(
        exists().where(*_open),
        exists().where(*_unsettled),
        exists().where(*_alive),
    )
)
_NEWEST_SUBMISSION = (
    select(func.max(submissions.c.id))
    .where(submissions.c.batch_id == bindparam("batch"))
    .scalar_subquery()
)
_KEYS = select(batches.c.known_keys).where(batches.c.id == bindparam("batch"))


def known_keys(tx: Connection, batch_id: int) -> tuple[str, ...]:
    """Return the digests of the keys of a batch's account; none before its first run."""
    return listed(tx.execute(_KEYS, {"batch": batch_id}).scalar_one())


def check_key(tx: Connection, batch_id: int, key: str | None) -> None:
    """
    Check that a key is one of the batch's account; None passes.

    Raises:
        KeyReplaced: It is not.
    """
    if key is not None:
        check_listed(tx.execute(_KEYS, {"batch": batch_id}).scalar_one(), key)


def check_listed(stored: str | None, key: str | None) -> None:
    """
    Check that a key is one of a row's digests; None passes.

    Raises:
        KeyReplaced: It is not.
    """
    if key is not None and key not in listed(stored):
        raise KeyReplaced(key)


def listed(stored: str | None) -> tuple[str, ...]:
    """Split a row's digests."""
    return tuple((stored or "").split())


class KeysChanged(Exception):
    """Another process admitted a key since the keys of a batch were read."""


def admit_key(
    tx: Connection,
    batch_id: int,
    digest: str,
    *,
    beside: bool,
    read: tuple[str, ...] | None = None,
) -> bool:
    """
    Admit a key to the batch's account; return whether it was admitted.

    With *beside*, the known keys stay, because the API has shown that the account is the same.
    Otherwise the key replaces them. That is refused while runs of the batch may be in flight. The
    submissions that there are then may be on another account.

    Raises:
        KeysChanged: The stored digests are not those that were *read*.
    """
    stored = tx.execute(_KEYS.with_for_update(), {"batch": batch_id}).scalar_one()
    if read is not None and listed(stored) != read:
        raise KeysChanged
    if not beside and has_open_work(tx, batch_id):
        return False
    new = [*listed(stored), digest] if beside else [digest]
    values: dict[str, Any] = {"known_keys": " ".join(new)}
    if not beside:
        values["former_submission"] = _NEWEST_SUBMISSION
    tx.execute(update(batches).where(batches.c.id == batch_id).values(values), {"batch": batch_id})
    return True


def has_open_work(tx: Connection, batch_id: int) -> bool:
    """Return whether runs of the batch may be in flight, or ended without being collected."""
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
    Return up to 100 run ids to check that a key belongs to the batch's account.

    They are the newest runs that may be in flight, or else those of the newest submission. Older
    submissions may belong to another account.
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
