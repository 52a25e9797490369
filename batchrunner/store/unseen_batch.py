"""A new batch that nobody sees while short transactions add its jobs, until the last one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from batchrunner.model import JobFile
from batchrunner.store.bulk_insert import insert_rows
from batchrunner.store.job_rows import NEW_JOB_COLUMNS
from batchrunner.store.schema import batches, jobs
from batchrunner.store.serialization import settings_text

#: Begins the names of unseen batches: no user's name has a `/`.
PREFIX = "loading/"
#: An unseen batch that nothing was added to for so long is left over from a load that was killed.
LEFT_AFTER = timedelta(hours=1)
#: Jobs that one transaction removes.
REMOVED_AT_ONCE = 2_000
#: When an unseen batch that is being removed was added to: its load sees that it is not its own.
_REMOVED = datetime(2000, 1, 1, tzinfo=UTC)


class UnseenBatch(NamedTuple):
    """An unseen batch, and when its load added to it last: it stays the load's own until then."""

    id: int
    added_at: datetime


def begin_unseen(tx: Connection, file: JobFile, token: str, now: datetime) -> UnseenBatch | None:
    """Make an unseen batch for a file, *token* names it; None if the file's batch is there."""
    if tx.execute(select(batches.c.id).where(batches.c.name == file.name)).first():
        return None
    row = {
        "name": PREFIX + token,
        "settings": settings_text(file.settings),
        "created_at": now,
        "pruned_at": now,
        "counted": True,
    }
    made = tx.execute(insert(batches).returning(batches.c.id), row)
    return UnseenBatch(made.scalar_one(), now)


def add_unseen(
    tx: Connection, unseen: UnseenBatch, rows: Sequence[tuple[Any, ...]], now: datetime
) -> UnseenBatch | None:
    """Add rows of jobs; None, and no row is added, if another load took the batch for left over."""
    if not tx.execute(_own(unseen).values(pruned_at=now)).rowcount:
        return None
    insert_rows(tx, jobs, NEW_JOB_COLUMNS, rows)
    return unseen._replace(added_at=now)


def show_batch(tx: Connection, unseen: UnseenBatch, file: JobFile, now: datetime) -> bool:
    """Give the batch its name; False if there is a batch of that name, or it is not ours."""
    named = select(batches.c.id).where(batches.c.name == file.name).exists()
    shown = _own(unseen).where(~named).values(name=file.name, created_at=now, pruned_at=None)
    try:
        with tx.begin_nested():
            return bool(tx.execute(shown).rowcount)
    except IntegrityError:  # on a server, another load gave this name at the same moment
        return False


def left_over(tx: Connection, now: datetime) -> list[int]:
    """Return unseen batches that are left over from loads that were killed."""
    old = batches.c.pruned_at < now - LEFT_AFTER
    found = select(batches.c.id).where(batches.c.name.startswith(PREFIX, autoescape=True), old)
    return [*tx.execute(found).scalars()]


def remove_unseen(tx: Connection, batch_id: int) -> bool:
    """Remove some jobs of an unseen batch, and then the batch; return whether it is still there."""
    taken = update(batches).where(
        batches.c.id == batch_id, batches.c.name.startswith(PREFIX, autoescape=True)
    )
    if not tx.execute(taken.values(pruned_at=_REMOVED)).rowcount:
        return False
    some = select(jobs.c.id).where(jobs.c.batch_id == batch_id).limit(REMOVED_AT_ONCE)
    if ids := tx.execute(some).scalars().all():
        tx.execute(delete(jobs).where(jobs.c.id.in_(ids)))
        return True
    tx.execute(delete(batches).where(batches.c.id == batch_id))
    return False


def _own(unseen: UnseenBatch) -> Any:
    return update(batches).where(
        batches.c.id == unseen.id,
        batches.c.pruned_at == unseen.added_at,
        batches.c.name.startswith(PREFIX, autoescape=True),
    )
