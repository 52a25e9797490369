"""Reads the results that a person reviews, and writes what the person decides."""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, or_, select, update

from batchrunner.model import (
    Finding,
    JobState,
    Outcome,
    StoredResult,
    Verdict,
)
from batchrunner.model.artifacts import ArtifactKind
from batchrunner.model.reviews import Review, ReviewDecision
from batchrunner.store.accepted import AcceptedChange, change_accepted
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.judgements import rewrite_judgements
from batchrunner.store.schema import artifacts, attempts, jobs, results
from batchrunner.store.serialization import accepted_text, findings_of, json_text
from batchrunner.store.store import PAGE_SIZE

_has_result = results.c.attempt_id == attempts.c.id
#: Results that were delivered, and those that a person has spoken about since.
_is_reviewable = or_(
    and_(jobs.c.state == JobState.SUCCEEDED, attempts.c.outcome == "succeeded"),
    and_(jobs.c.state == JobState.FAILED, attempts.c.review.is_not(None)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewDetails:
    """What a person should know of a job's result beside the job and the result itself."""

    findings: tuple[Finding, ...]  #: of the rules, also those that a person has decided since
    verdict: Verdict | None
    review: Review | None
    screenshot: str | None  #: the file of the last one, if there is any


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewEffect:
    """What follows from a person's decision about a result."""

    result: StoredResult
    outcome: Outcome
    accepted: frozenset[tuple[str, str]]  #: from now on, in this job
    review: Review | None  #: None: the person took it back


def suspect_jobs(tx: Connection, batch_id: int) -> array[int]:
    """Return the jobs of a batch whose delivered result looks wrong, in file order."""
    rows = tx.execute(
        select(jobs.c.id)
        .join(attempts, is_newest)
        .where(attempts.c.batch_id == batch_id, attempts.c.verdict == Verdict.SUSPECT)
        .where(is_current, jobs.c.state == JobState.SUCCEEDED, attempts.c.review.is_(None))
        .order_by(jobs.c.position, jobs.c.id)
    )
    return array("q", rows.scalars())


def reviewable_jobs(tx: Connection, batch_id: int) -> Iterator[tuple[int, str, str]]:
    """Yield row, host and key of the jobs whose results can be reviewed, or were."""
    rows = tx.execute(
        select(jobs.c.id, jobs.c.host, jobs.c.key)
        .join(attempts, is_newest)
        .join(results, _has_result)
        .where(jobs.c.batch_id == batch_id, is_current, _is_reviewable)
        .order_by(jobs.c.id)
        .execution_options(yield_per=5000)
    )
    for row in rows:
        yield row.id, row.host, row.key


def reviewed_jobs(tx: Connection, batch_id: int) -> list[int]:
    """Return the jobs of a batch about whose newest results a person has spoken, in file order."""
    rows = tx.execute(
        select(jobs.c.id)
        .join(attempts, is_newest)
        .where(jobs.c.batch_id == batch_id, is_current, attempts.c.review.is_not(None))
        .order_by(jobs.c.position, jobs.c.id)
    )
    return list(rows.scalars())


def job_ids_of(tx: Connection, batch_id: int, keys: Sequence[str]) -> dict[str, int]:
    """Return the row of each of these jobs that has a result to review."""
    query = (
        select(jobs.c.key, jobs.c.id)
        .join(attempts, is_newest)
        .join(results, _has_result)
        .where(jobs.c.batch_id == batch_id, is_current, _is_reviewable)
    )
    found: dict[str, int] = {}
    for start in range(0, len(keys), PAGE_SIZE):
        rows = tx.execute(query.where(jobs.c.key.in_(keys[start : start + PAGE_SIZE])))
        found |= {row.key: row.id for row in rows}
    return found


def review_details(tx: Connection, job_ids: Collection[int]) -> Mapping[int, ReviewDetails]:
    """Return what a person should know of these jobs' results."""
    shots = tx.execute(
        select(attempts.c.job_id, artifacts.c.path)
        .join(attempts, attempts.c.id == artifacts.c.attempt_id)
        .join(jobs, is_newest)
        .where(jobs.c.id.in_(job_ids), artifacts.c.path.is_not(None))
        .where(artifacts.c.kind == ArtifactKind.SCREENSHOTS)
        .order_by(artifacts.c.step)
    )
    newest = {row.job_id: row.path for row in shots}
    rows = tx.execute(
        select(jobs.c.id, attempts.c.verdict, attempts.c.findings, attempts.c.review)
        .join(attempts, is_newest)
        .where(jobs.c.id.in_(job_ids))
    )
    return {row.id: _details(row, newest.get(row.id)) for row in rows}


def _details(row: Any, screenshot: str | None) -> ReviewDetails:
    review = _review_of(row.review)
    return ReviewDetails(
        findings=review.findings if review else findings_of(row.findings),
        verdict=Verdict(row.verdict) if row.verdict else None,
        review=review,
        screenshot=screenshot,
    )


def _review_of(stored: str | None) -> Review | None:
    if stored is None:
        return None
    plain = json.loads(stored)
    return Review(
        decision=ReviewDecision(plain["decision"]),
        at=datetime.fromisoformat(plain["at"]),
        because=plain["because"],
        findings=tuple(Finding(**finding) for finding in plain["findings"]),
    )


def _review_text(review: Review | None) -> str | None:
    return json_text(asdict(review) | {"at": review.at.isoformat()}) if review else None


def expects_and_goals(tx: Connection, batch_id: int) -> tuple[list[str | None], bool]:
    """Return the first two `expect` of a batch's jobs, as stored, and whether goals differ."""
    expects, goals = (
        tx.execute(
            select(column).where(jobs.c.batch_id == batch_id, is_current).distinct().limit(2)
        )
        for column in (jobs.c.expect, jobs.c.goal)
    )
    return list(expects.scalars()), len(goals.all()) > 1


_WRITE = (
    update(attempts)
    .where(attempts.c.id == bindparam("row_id"))
    .values(review=bindparam("new_review"))
)


def write_reviews(tx: Connection, reviewed: Sequence[ReviewEffect]) -> list[int]:
    """
    Write what a person said of results, and what follows for their jobs; return their rows.

    A word about a job that has changed since it was read changes nothing.
    """
    # One by one: a person says one thing at a time, and a job that changed must not stop others.
    held = [each for each in reviewed if rewrite_judgements(tx, [(each.result, each.outcome)])]
    if held:
        tx.execute(_WRITE, [_written(each) for each in held])
        _accept(tx, held)
    return [each.result.job_id for each in held]


def _accept(tx: Connection, held: Sequence[ReviewEffect]) -> None:
    now = {each.result.job_id: accepted_text(each.accepted) for each in held}
    rows = tx.execute(select(jobs.c.id, jobs.c.accepted).where(jobs.c.id.in_(now)))
    change_accepted(tx, [AcceptedChange(row.id, row.accepted, now[row.id]) for row in rows])


def _written(each: ReviewEffect) -> dict[str, Any]:
    return {"row_id": each.result.attempt_id, "new_review": _review_text(each.review)}
