"""Reads the newest results of a batch for the check of its data, and stops it if they are bad."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, or_, select, update

from batchrunner.model import JobState
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.findings import Verdict
from batchrunner.model.marker_removal import without_marker
from batchrunner.model.quality import QualityReason, QualityStop
from batchrunner.policy.watched_results import WatchedResult, fields_of, place_of
from batchrunner.store.conditions import FINAL_STATES, is_current
from batchrunner.store.leases import check_alive
from batchrunner.store.result_bodies import short_body
from batchrunner.store.schema import attempts, batches, jobs, results
from batchrunner.store.serialization import quality_stop_text
from batchrunner.store.store import Store

#: Results that one transaction reads.
READ_PAGE = 500
#: Attempts that another process closed may appear this much later than their time says.
LATE_COMMIT = timedelta(seconds=30)
#: What ends a run with a result that is judged.
WATCHED_OUTCOMES = ("succeeded", *(each for each, row in CATEGORIES.items() if row.from_result))

_RESULTS = (
    select(
        attempts.c.id,
        attempts.c.job_id,
        attempts.c.outcome,
        attempts.c.verdict,
        attempts.c.marker,
        attempts.c.closed_at,
        attempts.c.run_finished_at,
        jobs.c.key,
        jobs.c.digest,
        jobs.c.host,
        jobs.c.url,
        jobs.c.goal,
        jobs.c.columns,
        short_body,
    )
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .outerjoin(results, results.c.attempt_id == attempts.c.id)
    .where(
        attempts.c.batch_id == bindparam("batch"),
        attempts.c.outcome.in_(WATCHED_OUTCOMES),
        is_current,
        attempts.c.closed_at >= bindparam("closed_since"),
        attempts.c.opened_at >= bindparam("opened_since"),
        attempts.c.id.not_in(bindparam("without", expanding=True)),
    )
    .limit(bindparam("most"))
)
_NEWEST = _RESULTS.order_by(attempts.c.closed_at.desc(), attempts.c.id.desc())
_NEXT = _RESULTS.order_by(attempts.c.closed_at, attempts.c.id)
# Any number of results may have been recorded at the same moment, as by `recover`.
_FOLLOWING = _NEXT.where(
    or_(attempts.c.closed_at > bindparam("closed_since"), attempts.c.id > bindparam("last_id"))
)
_HELD_BEFORE = (
    select(jobs.c.key, jobs.c.digest, attempts.c.marker, short_body)
    .join(attempts, attempts.c.job_id == jobs.c.id)
    .join(results, results.c.attempt_id == attempts.c.id)
    .where(
        jobs.c.batch_id == bindparam("batch"),
        jobs.c.key.in_(bindparam("keys", expanding=True)),
        is_current,
        attempts.c.outcome == "succeeded",
    )
)
_THE_BEGINNING = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def newest_results(
    tx: Connection, batch_id: int, since: datetime | None, most: int, baseline: int | None
) -> list[WatchedResult]:
    """Return the newest results of runs that began after *since*, in any order."""
    found = {"closed_since": _THE_BEGINNING, "opened_since": since or _THE_BEGINNING, "without": []}
    rows: list[Row[Any]] = list(tx.execute(_NEWEST, {"batch": batch_id, "most": most, **found}))
    return _watched(tx, rows, baseline)


def results_since(
    tx: Connection,
    batch_id: int,
    since: datetime | None,
    closed_at: datetime,
    known: Collection[int],
    baseline: int | None,
) -> list[WatchedResult]:
    """
    Return results that were recorded after *closed_at* or shortly before, without *known* ones.

    At most READ_PAGE at once. *since* is as for `newest_results`.
    """
    found = {
        "closed_since": closed_at - LATE_COMMIT,
        "opened_since": since or _THE_BEGINNING,
        "without": [*known],
    }
    rows: list[Row[Any]] = list(tx.execute(_NEXT, {"batch": batch_id, "most": READ_PAGE, **found}))
    return _watched(tx, rows, baseline)


def all_results(store: Store, batch_id: int, since: datetime | None) -> Iterator[WatchedResult]:
    """Yield all results of runs that began after *since*, in the order of their recording."""
    closed_at, last_id = _THE_BEGINNING, 0
    while page := store.read(_page, batch_id, since, closed_at, last_id):
        yield from page
        closed_at, last_id = page[-1].closed_at, page[-1].attempt_id


def _page(
    tx: Connection, batch_id: int, since: datetime | None, closed_at: datetime, last_id: int
) -> list[WatchedResult]:
    found = {
        "batch": batch_id,
        "most": READ_PAGE,
        "closed_since": closed_at,
        "last_id": last_id,
        "opened_since": since or _THE_BEGINNING,
        "without": [],
    }
    rows: list[Row[Any]] = list(tx.execute(_FOLLOWING, found))
    return [_watched_result(row) for row in rows]


def _watched(tx: Connection, rows: Sequence[Row[Any]], baseline: int | None) -> list[WatchedResult]:
    """Return rows as the check needs them, with what the same jobs' results held before."""
    held = _held_before(tx, rows, baseline) if baseline is not None else {}
    return [_watched_result(row, held.get((row.key, row.digest))) for row in rows]


def _held_before(
    tx: Connection, rows: Sequence[Row[Any]], baseline: int
) -> dict[tuple[str, str | None], frozenset[str]]:
    found = {}
    keys = [row.key for row in rows]
    for start in range(0, len(keys), READ_PAGE):
        page = {"batch": baseline, "keys": keys[start : start + READ_PAGE]}
        for row in tx.execute(_HELD_BEFORE, page):
            fields = fields_of(without_marker(row.body, row.marker))
            if fields is not None and row.digest is not None:
                found[row.key, row.digest] = fields.filled
    return found


def _watched_result(row: Row[Any], held_before: frozenset[str] | None = None) -> WatchedResult:
    columns = json.loads(row.columns or "{}")
    return WatchedResult(
        job_id=row.job_id,
        attempt_id=row.id,
        finished_at=row.run_finished_at or row.closed_at,
        closed_at=row.closed_at,
        host=row.host,
        url=row.url,
        goal=row.goal,
        kinds={"folder": f"{row.host}{place_of(row.url)}"}
        | {f"column {name}": str(cell) for name, cell in columns.items()},
        good=row.outcome == "succeeded" and row.verdict != Verdict.SUSPECT,
        delivered=row.outcome == "succeeded",
        fields=fields_of(without_marker(row.body, row.marker)),
        held_before=held_before,
    )


def open_jobs_by_host(tx: Connection, batch_id: int) -> dict[str, int]:
    """Count the jobs that are left, by host."""
    left = select(jobs.c.host, func.count()).where(
        jobs.c.batch_id == batch_id, jobs.c.state.not_in(FINAL_STATES)
    )
    return {host: count for host, count in tx.execute(left.group_by(jobs.c.host))}


def quality_since(tx: Connection, batch_id: int) -> datetime | None:
    """Return since when a batch's results count in the check; None: all count."""
    return tx.execute(select(batches.c.quality_since).where(batches.c.id == batch_id)).scalar()


def stop_for_quality(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    reasons: Sequence[QualityReason],
    results_of: Collection[int],
    since: datetime | None,
    now: datetime,
) -> bool:
    """
    Stop submitting jobs of a batch because its data is bad; return whether it was stopped.

    It was not if it is stopped already, if it was resumed after what was read, if a result of the
    attempts *results_of* does not count any more, or if no job waits.

    Raises:
        LeaseLost: Another process ended this owner.
    """
    check_alive(tx, owner_id)
    this = batches.c.id == batch_id
    found = select(batches.c.quality_stop, batches.c.quality_since, batches.c.paused_at)
    row = tx.execute(found.where(this).with_for_update()).one()
    if row.quality_stop is not None or row.quality_since != since:
        return False
    if not _still_count(tx, results_of) or not _some_wait(tx, batch_id):
        return False
    stop = QualityStop(at=now, reasons=tuple(reasons))
    tx.execute(update(batches).where(this).values(quality_stop=quality_stop_text(stop)))
    if row.paused_at is None:
        tx.execute(update(batches).where(this).values(paused_at=now, pause_reason=stop.text))
    return True


def _still_count(tx: Connection, attempt_ids: Collection[int]) -> bool:
    current = (
        select(func.count())
        .select_from(attempts)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.id.in_(attempt_ids), is_current)
    )
    return tx.execute(current).scalar_one() == len(set(attempt_ids))


def _some_wait(tx: Connection, batch_id: int) -> bool:
    waiting = select(jobs.c.id).where(
        jobs.c.batch_id == batch_id, jobs.c.state == JobState.AVAILABLE
    )
    return tx.execute(waiting.limit(1)).first() is not None
