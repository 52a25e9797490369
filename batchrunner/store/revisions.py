"""Gives jobs new revisions that run again, and keeps a delivered suspect result until then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    func,
    insert,
    literal,
    not_,
    null,
    select,
    update,
)

from batchrunner.model import JobState
from batchrunner.store.conditions import is_current
from batchrunner.store.counter_changes import loaded
from batchrunner.store.counters import NOBODY, changed_jobs
from batchrunner.store.job_rows import LOAD_CHUNK, chunks
from batchrunner.store.schema import jobs

#: What a job is asked, and what follows from that.
QUESTION = ("url", "host", "goal", "options", "output_schema_digest", "digest")
#: What a job of a file says beside its question.
RULES = ("policy", "expect", "limits")
#: What a file says of a job's place in it.
_PLACE = ("position", "from_file", "kept_digest", "columns", "part")
#: States of a revision that has nothing to deliver.
_WITHOUT_RESULT = (JobState.FAILED, JobState.CANCELLED)


def next_revision(old: Any) -> Any:
    """Return the number of the revision that follows all revisions of a job."""
    every = jobs.alias()
    newest = select(func.max(every.c.revision)).where(
        every.c.batch_id == old.c.batch_id, every.c.key == old.c.key
    )
    return newest.scalar_subquery() + 1


def available(now: datetime) -> dict[str, Any]:
    """Return the columns of a job that may be claimed from *now* on."""
    moment = literal(now, jobs.c.available_at.type)
    return {
        "state": literal(JobState.AVAILABLE, jobs.c.state.type),
        "available_at": moment,
        "loaded_at": moment,
    }


def add_revisions(
    tx: Connection, job_ids: Collection[int], now: datetime, *, keep_suspect: bool = False
) -> None:
    """
    Give jobs a new revision that asks the same and runs again.

    With *keep_suspect*, the old result stays delivered unless the new revision delivers one.
    """
    old = jobs.alias()
    more: dict[str, Any] = {"replaces": old.c.id if keep_suspect else null()}
    for ids in chunks([*job_ids], LOAD_CHUNK):
        _add(tx, ids, now, old, more)


def buy_suspects_again(
    tx: Connection, owner_id: str, at: Mapping[int, datetime], now: datetime
) -> None:
    """Give jobs with a suspect result a revision that may be claimed from its moment on."""
    wanted = jobs.c.id.in_([*at]), jobs.c.url != "", not_(jobs.c.cancel_requested)
    these = select(jobs.c.id).where(*wanted, is_current).order_by(jobs.c.id)
    old = jobs.alias()
    more = {
        "replaces": old.c.id,
        "canary": old.c.canary,
        "suspects": func.coalesce(old.c.suspects, 0) + 1,
    }
    ids = list(tx.execute(these).scalars())
    if ids:
        with changed_jobs(tx, ids, owner_id) as numbers:
            numbers.update(loaded(_add(tx, ids, now, old, more)))
            tx.execute(_WAIT, [{"old": id, "new_available_at": at[id]} for id in ids])


_WAIT = (
    update(jobs)
    .where(jobs.c.replaces == bindparam("old"), is_current)
    .values(available_at=bindparam("new_available_at"))
)


def _add(
    tx: Connection, ids: Collection[int], now: datetime, old: Any, more: Mapping[str, Any]
) -> int:
    """Add the new revisions; return how many."""
    tx.execute(update(jobs).where(jobs.c.id.in_(ids)).values(superseded=True))
    kept = ("batch_id", "key", "accepted", *_PLACE, *QUESTION, *RULES)
    source = {
        **{name: old.c[name] for name in kept},
        "revision": next_revision(old),
        **available(now),
        **more,
    }
    query = select(*source.values()).select_from(old).where(old.c.id.in_(ids))
    # A server's driver otherwise forgets how many rows an INSERT added.
    added = insert(jobs).from_select(list(source), query)
    return tx.execute(added.execution_options(preserve_rowcount=True)).rowcount


def restore_delivered(tx: Connection, *which: ColumnElement[bool], owner_id: str = NOBODY) -> None:
    """
    Make suspect results current again whose new revisions ended without a result.

    *which* chooses new revisions.
    """
    ended = (jobs.c.replaces.is_not(None), is_current, jobs.c.state.in_(_WITHOUT_RESULT))
    replacing = select(jobs.c.id, jobs.c.replaces).where(*ended, *which)
    found: list[Row[Any]] = list(tx.execute(replacing))
    if not found:
        return
    with changed_jobs(tx, [*(row.id for row in found), *(row.replaces for row in found)], owner_id):
        _restore(tx, found)


def _restore(tx: Connection, found: Sequence[Row[Any]]) -> None:
    """Make the results current again that these revisions were to replace."""
    new = jobs.alias()
    tried = new.c.id.in_([row.id for row in found])
    tx.execute(update(jobs).where(jobs.c.id.in_([row.id for row in found])).values(superseded=True))
    taken_over = {
        name: select(new.c[name]).where(new.c.replaces == jobs.c.id, tried).scalar_subquery()
        for name in (*_PLACE, *RULES)
    }
    delivered = jobs.c.id.in_([row.replaces for row in found])
    tx.execute(update(jobs).where(delivered).values(superseded=False, **taken_over))


def delivered_instead(tx: Connection, job_ids: Collection[int]) -> dict[int, int]:
    """Return the jobs that are delivered in place of those of these that brought no result."""
    ended = (jobs.c.superseded, jobs.c.replaces.is_not(None), jobs.c.state.in_(_WITHOUT_RESULT))
    query = select(jobs.c.id, jobs.c.replaces).where(jobs.c.id.in_(job_ids), *ended)
    return {row.id: row.replaces for row in tx.execute(query)}
