"""The jobs that an export shows, in the order of the file."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, false, or_, select

from batchrunner.model import FinishedJob, JobState
from batchrunner.model.job_entry import JobEntry
from batchrunner.model.row_choice import RowChoice
from batchrunner.store.conditions import FINAL_STATES, is_current, is_newest, is_shown
from batchrunner.store.finished_reads import jobs_among
from batchrunner.store.result_bodies import with_long_results
from batchrunner.store.schema import attempts, jobs
from batchrunner.store.store import PAGE_SIZE, Store

#: Rows that are read from the server at once.
ROWS_AT_ONCE = 5000


def shown_jobs(
    store: Store, batch_id: int, choice: RowChoice, ids: Sequence[int] | None = None
) -> Iterator[FinishedJob]:
    """
    Yield the chosen jobs of a batch as they are at the first one, in the order of the file.

    They change only if the user retries them, or with *join* as they are run: a job is shown once.
    With the *ids* of an earlier choice, these jobs are shown.
    """
    ids = store.read(shown_job_ids, batch_id, choice) if ids is None else ids
    states = [*JobState] if choice.join else FINAL_STATES
    for start in range(0, len(ids), PAGE_SIZE):
        page = store.read(jobs_among, batch_id, ids[start : start + PAGE_SIZE], states)
        yield from with_long_results(store, page)


def shown_job_ids(tx: Connection, batch_id: int, choice: RowChoice) -> array[int]:
    """Return the rows of the chosen jobs, in the order of the file: eight bytes for each."""
    shown = _last_good() if choice.last_good else is_current if choice.join else is_shown
    query = select(jobs.c.id).where(jobs.c.batch_id == batch_id, shown)
    if not choice.join:
        query = query.where(jobs.c.state.in_(FINAL_STATES))
    if choice.is_filtered:
        query = query.where(_chosen(choice))
    # An older revision stands where the job is in the file now.
    place = _place_in_file if choice.last_good else jobs.c.position
    found = tx.execute(query.order_by(place, jobs.c.id).execution_options(yield_per=ROWS_AT_ONCE))
    return array("q", found.scalars())


def _chosen(choice: RowChoice) -> ColumnElement[bool]:
    for_reasons = exists().where(
        is_newest, attempts.c.outcome.in_([*choice.categories]), jobs.c.state == JobState.FAILED
    )
    with_verdicts = exists().where(
        is_newest,
        attempts.c.verdict.in_([*choice.verdicts]),
        jobs.c.state.in_([JobState.SUCCEEDED, JobState.FAILED]),
    )
    return or_(
        jobs.c.state.in_([*choice.states]),
        for_reasons if choice.categories else false(),
        with_verdicts if choice.verdicts else false(),
    )


_later = jobs.alias("later")
_same_job = and_(_later.c.batch_id == jobs.c.batch_id, _later.c.key == jobs.c.key)
_is_last = and_(_same_job, _later.c.superseded.is_(False), _later.c.withdrawn.is_(False))
_place_in_file = select(_later.c.position).where(_is_last).scalar_subquery()


def _last_good() -> ColumnElement[bool]:
    """Return what is true for the newest good revision of a job, and for one without any."""
    good = and_(_same_job, _later.c.state == JobState.SUCCEEDED)
    newest_good = and_(
        jobs.c.state == JobState.SUCCEEDED,
        ~exists().where(good, _later.c.revision > jobs.c.revision),
        exists().where(_is_last),
    )
    return or_(newest_good, and_(is_current, ~exists().where(good)))


def job_entries(store: Store, batch_id: int, ids: Sequence[int]) -> Iterator[JobEntry]:
    """Yield these jobs as a job file would give them, in this order."""
    for start in range(0, len(ids), PAGE_SIZE):
        yield from store.read(_entries, ids[start : start + PAGE_SIZE])


def _entries(tx: Connection, ids: Sequence[int]) -> list[JobEntry]:
    query = (
        select(jobs, attempts.c.outcome, attempts.c.message, attempts.c.run_id)
        .outerjoin(attempts, is_newest)
        .where(jobs.c.id.in_(ids))
    )
    rows = {row.id: row for row in tx.execute(query)}
    return [_entry(rows[id]) for id in ids if id in rows]


def _entry(row: Row[Any]) -> JobEntry:
    return JobEntry(
        key=row.key,
        url=row.url,
        goal=row.goal,
        state=JobState(row.state),
        options=json.loads(row.options),
        expect=json.loads(row.expect or "{}"),
        policy=json.loads(row.policy or "{}"),
        limits=json.loads(row.limits or "{}"),
        columns=json.loads(row.columns or "{}"),
        attempts=row.attempt,
        category=row.outcome if row.state == JobState.FAILED else None,
        message=row.message,
        run_id=row.run_id,
    )
