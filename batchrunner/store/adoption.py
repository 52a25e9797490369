"""Adopts runs that another program started, as jobs of a batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select

from batchrunner.model import JobState, RetryRule, Run, RunStatus
from batchrunner.model.categories import CONFIGURABLE
from batchrunner.model.marker_removal import unmarked_goal
from batchrunner.model.markers import marker_in, markers_in
from batchrunner.store import counters
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.job_rows import output_schema_digest
from batchrunner.store.schema import SubmissionState, attempts, jobs, orphans, submissions
from batchrunner.store.serialization import json_text, plain_rules
from batchrunner.store.store import random_token

#: A failure ends an adopted job. A retry would be a run that the user did not request.
_ONCE = json_text(
    plain_rules({category: RetryRule(attempts=1, then=()) for category in CONFIGURABLE})
)
#: States of submissions whose runs may have ids that the database does not know.
_RUNS_MAY_EXIST = (SubmissionState.INTENDED, SubmissionState.UNANSWERED, SubmissionState.ABSENT)


def adopt_runs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    runs: Sequence[Run],
    now: datetime,
    *,
    new_token: Callable[[], str] = random_token,
) -> int:
    """
    Add a job with an open attempt for each run; return how many were added.

    *runs* are at most as many as fit into one submission. A run that the database knows is skipped,
    and so is a run that a submission of this database created, answered or not.
    """
    unknown = _unknown(tx, {run.run_id: run for run in runs})
    rows = _add_jobs(tx, batch_id, unknown, now) if unknown else []
    if rows:
        markers = {run.run_id: marker_in(run.goal) for run in unknown}
        _open(tx, owner_id, batch_id, rows, markers, now, new_token())
        counters.add_numbers(
            tx, batch_id, owner_id, counters.count_jobs(tx, [row.id for row in rows])
        )
    return len(rows)


def _unknown(tx: Connection, runs: Mapping[str, Run]) -> list[Run]:
    """Return the runs that are in no attempt, are no orphans, and come from no submission."""
    held = select(attempts.c.run_id).where(attempts.c.run_id.in_(runs))
    orphaned = select(orphans.c.run_id).where(orphans.c.run_id.in_(runs))
    known = set(tx.execute(held.union(orphaned)).scalars())
    tokens = {run_id: {each.token for each in markers_in(run.goal)} for run_id, run in runs.items()}
    every = set().union(*tokens.values())
    ours = set(
        tx.execute(
            select(submissions.c.marker_token).where(submissions.c.marker_token.in_(every))
        ).scalars()
    )
    goals = _marked_elsewhere(tx, {run.goal for run in runs.values() if run.goal})
    return [
        run
        for run_id, run in runs.items()
        if run_id not in known and not tokens[run_id] & ours and run.goal not in goals
    ]


def _marked_elsewhere(tx: Connection, goals: Collection[str]) -> set[str]:
    """Return the goals whose runs may belong to attempts that have no run id."""
    return set(
        tx.execute(
            select(jobs.c.goal)
            .join(attempts, attempts.c.job_id == jobs.c.id)
            .join(submissions, submissions.c.id == attempts.c.submission_id)
            .where(
                jobs.c.goal.in_(goals),
                attempts.c.run_id.is_(None),
                submissions.c.marked.is_(False),
                submissions.c.state.in_(_RUNS_MAY_EXIST),
            )
        ).scalars()
    )


def _add_jobs(tx: Connection, batch_id: int, runs: Sequence[Run], now: datetime) -> list[Row[Any]]:
    """Add a job for each run after all others; skip runs whose key another job has."""
    last = select(func.coalesce(func.max(jobs.c.position), 0)).where(jobs.c.batch_id == batch_id)
    position: int = tx.execute(last).scalar_one()
    adding = insert_or_ignore(tx, jobs).on_conflict_do_nothing().returning(jobs.c.id, jobs.c.key)
    return [
        row
        for index, run in enumerate(runs, 1)
        if (row := tx.execute(adding, _job(batch_id, position + index, run, now)).first())
    ]


def _job(batch_id: int, position: int, run: Run, now: datetime) -> dict[str, Any]:
    options = {"output_schema": run.output_schema} if run.output_schema else {}
    return {
        "batch_id": batch_id,
        "position": position,
        "key": run.run_id,
        "url": "",  # the API does not show it
        "goal": unmarked_goal(run.goal or ""),
        "options": json_text(options),
        "policy": _ONCE,
        "output_schema_digest": output_schema_digest(options),
        "state": JobState.RUNNING,
        "available_at": now,
        "attempt": 1,
        # It gets no other attempt: without a url it cannot be submitted.
        "cancel_requested": True,
    }


def _open(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    rows: Sequence[Row[Any]],
    markers: Mapping[str, str | None],
    now: datetime,
    token: str,
) -> None:
    """Open the attempts with their runs, in a submission that is never sent."""
    submission_id = tx.execute(
        insert(submissions).returning(submissions.c.id),
        {
            "batch_id": batch_id,
            "owner_id": owner_id,
            "marker_token": token,
            "marked": False,  # another program wrote their goals
            "state": SubmissionState.CREATED,
            "intended_at": now,
            "answered_at": now,
            "message": "runs that were adopted",
        },
    ).scalar_one()
    tx.execute(
        insert(attempts),
        [
            {
                "job_id": row.id,
                "number": 1,
                "batch_id": batch_id,
                "owner_id": owner_id,
                "submission_id": submission_id,
                "batch_index": index,
                "opened_at": now,
                "run_id": row.key,
                "run_status": RunStatus.PENDING,
                "marker": markers[row.key],
            }
            for index, row in enumerate(rows, 1)
        ],
    )
