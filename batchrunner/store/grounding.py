"""Reads which results are to be searched for in their pages, and keeps what was found."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update

from batchrunner.model.grounding_rule import GROUNDING_WANTED, GroundingTask
from batchrunner.model.marker_removal import without_marker
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.finished_reads import schema_fields
from batchrunner.store.schema import attempts, jobs, owners, results
from batchrunner.store.serialization import json_text
from batchrunner.store.store import Store

#: Rows that one transaction reads; each may have some hundred values.
READ_PAGE = 200
#: The longest result that is checked, in characters.
MAX_RESULT = 1_000_000

_ended = select(owners.c.id).where(owners.c.ended_at.is_not(None))
_to_ground = (
    attempts.c.batch_id == bindparam("batch"),
    attempts.c.grounding == GROUNDING_WANTED,
    attempts.c.outcome == "succeeded",
)
_TASKS = (
    select(attempts.c.id, attempts.c.run_id, jobs.c.url, jobs.c.options)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(*_to_ground, attempts.c.run_id.is_not(None))
    .where(attempts.c.id.not_in(bindparam("without", expanding=True)))
    .order_by(attempts.c.id)
    .limit(bindparam("most"))
)
_RESULT = (
    select(results.c.body, attempts.c.marker)
    .join(attempts, attempts.c.id == results.c.attempt_id)
    .where(results.c.attempt_id == bindparam("attempt"), func.length(results.c.body) <= MAX_RESULT)
)
_ROWS = (
    select(jobs.c.id, jobs.c.position, jobs.c.key, attempts.c.grounding)
    .join(attempts, is_newest)
    .where(
        jobs.c.batch_id == bindparam("batch"),
        is_current,
        attempts.c.grounding != GROUNDING_WANTED,
        or_(
            jobs.c.position > bindparam("position"),
            (jobs.c.position == bindparam("position")) & (jobs.c.id > bindparam("job")),
        ),
    )
    .order_by(jobs.c.position, jobs.c.id)
    .limit(READ_PAGE)
)


def results_to_ground(
    tx: Connection, batch_id: int, owner_id: str, most: int, without: Collection[int]
) -> list[GroundingTask]:
    """Return results of this owner, and of owners that ended, that are still to be checked."""
    mine = or_(attempts.c.owner_id == owner_id, attempts.c.owner_id.in_(_ended))
    rows = tx.execute(_TASKS.where(mine), {"batch": batch_id, "most": most, "without": [*without]})
    return [
        GroundingTask(
            attempt_id=row.id, run_id=row.run_id, url=row.url, named=schema_fields(row.options)
        )
        for row in rows
    ]


def result_to_ground(tx: Connection, attempt_id: int) -> str | None:
    """Return a result without our markers; None if there is none, or if it is too long."""
    row = tx.execute(_RESULT, {"attempt": attempt_id}).first()
    return without_marker(row.body, row.marker) if row else None


def store_grounding(tx: Connection, attempt_id: int, found: Mapping[str, Any]) -> bool:
    """Keep what was found of a result, unless somebody else has; return whether it was kept."""
    wanted = (attempts.c.id == attempt_id, attempts.c.grounding == GROUNDING_WANTED)
    text = json_text(found)
    return bool(tx.execute(update(attempts).where(*wanted).values(grounding=text)).rowcount)


def unchecked_results(tx: Connection, batch_id: int) -> int:
    """Count the delivered results that are still to be checked."""
    count = select(func.count()).select_from(attempts).where(*_to_ground)
    return tx.execute(count, {"batch": batch_id}).scalar_one()


def checked_results(tx: Connection, batch_id: int) -> int:
    """Count the jobs whose results were searched for in their pages, or could not be."""
    count = select(func.count()).select_from(jobs).join(attempts, is_newest)
    checked = (is_current, attempts.c.grounding != GROUNDING_WANTED)
    return tx.execute(count.where(jobs.c.batch_id == batch_id, *checked)).scalar_one()


def grounded_rows(store: Store, batch_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the keys of checked jobs with what was found, in the order of the file."""
    at: dict[str, Any] = {"position": -1, "job": -1}
    while page := store.read(_page, batch_id, at):
        for row in page:
            yield row.key, json.loads(row.grounding)
        at = {"position": page[-1].position, "job": page[-1].id}


def _page(tx: Connection, batch_id: int, at: dict[str, Any]) -> list[Any]:
    return list(tx.execute(_ROWS, {"batch": batch_id, **at}))
