"""Opens the next attempts of claimed jobs, and writes the submissions that carry them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from batchrunner.model import JobState, Submission, SubmittedAttempt
from batchrunner.model.grounding_rule import GROUNDING_WANTED
from batchrunner.model.markers import marker
from batchrunner.store.bulk_insert import insert_rows
from batchrunner.store.instants import stored_instant
from batchrunner.store.job_starts import STORED, JobStart
from batchrunner.store.job_values import job_of
from batchrunner.store.schema import SubmissionState, attempts, jobs, submissions
from batchrunner.store.value_lists import is_one_of


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What all jobs of a claim share."""

    owner_id: str
    batch_id: int
    now: datetime
    marked: bool  #: goals end with a marker
    starts: Mapping[int, JobStart]  #: by job id
    grounded: Collection[int]  #: jobs whose values are searched for in the pages of their runs


@dataclass(frozen=True, kw_only=True)
class _Group:
    """The jobs of one submission."""

    submission_id: int
    token: str
    rows: Sequence[Row[Any]]
    markers: Sequence[str | None]


def open_attempts(
    tx: Connection, claim: Claim, due: Sequence[Row[Any]], most: int, token: Callable[[], str]
) -> list[Submission]:
    """Open the next attempt of each job, at most *most* in one submission; write both."""
    named = [(token(), rows) for rows in _groups(due, most)]
    ids = _intend(tx, claim, [name for name, _ in named])
    groups = [
        _Group(submission_id=ids[name], token=name, rows=rows, markers=_markers(claim, name, rows))
        for name, rows in named
    ]
    insert_rows(tx, attempts, _COLUMNS, [row for group in groups for row in _rows(claim, group)])
    tx.execute(_START_JOBS, {"jobs": [row.id for row in due]})
    opened = tx.execute(_OPENED, {"submissions": [*ids.values()]})
    attempt_ids = {(row.submission_id, row.batch_index): row.id for row in opened}
    return [_submission(claim, group, attempt_ids) for group in groups]


def _groups(due: Sequence[Row[Any]], most: int) -> Iterator[list[Row[Any]]]:
    """Group jobs into submissions: one output_schema each, and no more than each job allows."""

    def kind(row: Row[Any]) -> tuple[str, int]:
        return row.output_schema_digest, min(row.max_batch_size, most)

    for (_, size), rows in groupby(sorted(due, key=kind), key=kind):
        while group := list(islice(rows, size)):
            yield group


_INTEND = insert(submissions).returning(submissions.c.id, submissions.c.marker_token)


def _intend(tx: Connection, claim: Claim, tokens: Sequence[str]) -> dict[str, int]:
    """Write submissions with these tokens; return their ids by token."""
    shared = {
        "batch_id": claim.batch_id,
        "owner_id": claim.owner_id,
        "marked": claim.marked,
        "state": SubmissionState.INTENDED,
        "intended_at": claim.now,
    }
    added = tx.execute(_INTEND, [{**shared, "marker_token": token} for token in tokens])
    return {row.marker_token: row.id for row in added}


def _markers(claim: Claim, token: str, rows: Sequence[Row[Any]]) -> list[str | None]:
    if not claim.marked:
        return [None] * len(rows)
    return [
        marker(token, index, claim.starts[row.id].job_digest(row.url, row.goal))
        for index, row in enumerate(rows, 1)
    ]


_COLUMNS = (
    "batch_id",
    "owner_id",
    "submission_id",
    "opened_at",
    "job_id",
    "number",
    "batch_index",
    "marker",
    "grounding",
    *STORED,
)
_START_JOBS = (
    update(jobs)
    .where(is_one_of(jobs.c.id, "jobs"))
    .values(state=JobState.RUNNING, attempt=jobs.c.attempt + 1)
)
_OPENED = select(attempts.c.id, attempts.c.submission_id, attempts.c.batch_index).where(
    is_one_of(attempts.c.submission_id, "submissions")
)


def _rows(claim: Claim, group: _Group) -> Iterator[tuple[Any, ...]]:
    """Yield the attempts of a submission, as their values of `_COLUMNS`."""
    shared = (claim.batch_id, claim.owner_id, group.submission_id, stored_instant(claim.now))
    for index, (row, text) in enumerate(zip(group.rows, group.markers, strict=True), 1):
        grounding = GROUNDING_WANTED if row.id in claim.grounded else None
        own = (row.id, row.attempt + 1, index, text, grounding)
        yield (*shared, *own, *claim.starts[row.id].stored)


def _submission(
    claim: Claim, group: _Group, attempt_ids: Mapping[tuple[int, int], int]
) -> Submission:
    return Submission(
        id=group.submission_id,
        marker_token=group.token,
        intended_at=claim.now,
        marked=claim.marked,
        attempts=tuple(
            _submitted_attempt(
                claim, attempt_ids[group.submission_id, index], index, row, marker_text
            )
            for index, (row, marker_text) in enumerate(
                zip(group.rows, group.markers, strict=True), 1
            )
        ),
    )


def _submitted_attempt(
    claim: Claim, attempt_id: int, index: int, row: Row[Any], marker_text: str | None
) -> SubmittedAttempt:
    start = claim.starts[row.id]
    return SubmittedAttempt(
        attempt_id=attempt_id,
        batch_index=index,
        job=job_of(row, row.id, row.attempt + 1, start.begun),
        url=row.url,
        goal=row.goal,
        options=start.options,
        option_overrides=start.begun.option_overrides,
        marker=marker_text,
        grounded=row.id in claim.grounded,
    )
