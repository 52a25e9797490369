"""Records the answers to submissions: created, refused, unanswered, absent or undecided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, exists, func, select, union_all, update

from batchrunner.model import AttemptDecision, RunStatus, Submission, SubmittedAttempt
from batchrunner.store.attempts import apply_decisions
from batchrunner.store.bulk_update import BulkUpdate
from batchrunner.store.column_types import UtcDateTime
from batchrunner.store.conditions import is_unsettled
from batchrunner.store.job_values import attempt_start_of, job_of
from batchrunner.store.orphans import add_untaken_orphans, release_runs
from batchrunner.store.refusals import hold_refused
from batchrunner.store.schema import SubmissionState, attempts, batches, jobs, orphans, submissions
from batchrunner.store.serialization import marker_of, options_of
from batchrunner.store.value_lists import is_one_of

_UNSETTLED = (SubmissionState.INTENDED, SubmissionState.UNANSWERED)
_owner: BindParameter[str] = bindparam("owner")
_unsettled = (
    submissions.c.id == bindparam("submission"),
    submissions.c.owner_id == _owner,
    submissions.c.state.in_(_UNSETTLED),
)
_runless = (attempts.c.closed_at.is_(None), attempts.c.run_id.is_(None))

_RECORD = BulkUpdate(
    attempts,
    ("run_id",),
    attempts.c.owner_id == _owner,
    *_runless,
    values=lambda new: {**new, "run_status": RunStatus.PENDING.value},
)


def record_runs(
    tx: Connection, owner_id: str, submission: Submission, runs: Mapping[int, str], now: datetime
) -> frozenset[int]:
    """
    Write the run ids of a submission by attempt id; return its open attempts without one.

    An attempt that was closed or taken over meanwhile stays unchanged. A run that another attempt
    has stays with that attempt, because its marker decides.
    """
    free = _free(tx, runs)
    recorded = _RECORD.execute(tx, [*free.items()], owner=owner_id)
    if recorded < len(free):
        add_untaken_orphans(tx, submission, free, now)
    closing = {"submission": submission.id, "owner": owner_id, "now": now}
    if tx.execute(_CREATED, closing).rowcount:
        return frozenset()
    return frozenset(tx.execute(_RUNLESS, {"submission": submission.id}).scalars())


def _free(tx: Connection, runs: Mapping[int, str]) -> dict[int, str]:
    """Return those of *runs* that can be written: each id once, if no attempt or orphan has it."""
    if not runs:
        return {}
    taken = set(tx.execute(_TAKEN, {"runs": [*runs.values()]}).scalars())
    free: dict[int, str] = {}
    for attempt_id, run_id in runs.items():
        if run_id not in taken:
            free[attempt_id] = run_id
            taken.add(run_id)
    return free


_TAKEN = union_all(
    select(attempts.c.run_id).where(is_one_of(attempts.c.run_id, "runs")),
    select(orphans.c.run_id).where(is_one_of(orphans.c.run_id, "runs")),
)


def reassign_runs(
    tx: Connection, owner_id: str, runs: Mapping[int, Mapping[int, str]], now: datetime
) -> None:
    """
    Assign runs to the open attempts of submissions by the markers that the API echoes.

    *runs* is by submission id and attempt id. An attempt that is not in it, or whose run belongs to
    another submission, loses its run id, and its own run is searched for.
    """
    held = (attempts.c.owner_id == owner_id, attempts.c.closed_at.is_(None))
    # No two attempts may have the same run, not even briefly: clear all first.
    of_them = attempts.c.submission_id.in_(runs)
    tx.execute(update(attempts).where(*held, of_them).values(run_id=None))
    free = _free(
        tx, {attempt_id: run_id for each in runs.values() for attempt_id, run_id in each.items()}
    )
    if free:
        tx.execute(
            update(attempts)
            .where(*held, attempts.c.id == bindparam("attempt_id"))
            .values(run_id=bindparam("new_run_id")),
            [
                {"attempt_id": attempt_id, "new_run_id": run_id}
                for attempt_id, run_id in free.items()
            ],
        )
    lacking = [each for each in runs if tx.execute(_RUNLESS, {"submission": each}).first()]
    if lacking:
        tx.execute(
            update(submissions)
            .where(submissions.c.id.in_(lacking), submissions.c.owner_id == owner_id)
            .values(
                state=SubmissionState.UNANSWERED,
                search_at=now,
                unanswered_at=now,
                fruitless_searches=0,
                message="the answer named runs of other jobs",
            )
        )


_RUNLESS = select(attempts.c.id).where(
    attempts.c.submission_id == bindparam("submission"), *_runless
)


#: Closes a submission whose open attempts all have their runs.
_CREATED = (
    update(submissions)
    .where(*_unsettled)
    .where(~exists().where(attempts.c.submission_id == submissions.c.id, *_runless))
    .values(
        state=SubmissionState.CREATED,
        answered_at=bindparam("now"),
        search_at=None,
        message=None,
        next_late_check_at=None,
        unconfirmed=False,
    )
)
_CLOSE = (
    update(submissions)
    .where(*_unsettled)
    .values(
        state=bindparam("new_state"),
        answered_at=bindparam("now"),
        search_at=None,
        message=bindparam("new_message"),
        next_late_check_at=bindparam("new_late_check_at"),
        unconfirmed=bindparam("new_unconfirmed"),
    )
)


def close_submission(
    tx: Connection,
    owner_id: str,
    submission: Submission,
    state: SubmissionState,
    now: datetime,
    message: str | None = None,
    next_late_check_at: datetime | None = None,
    *,
    unconfirmed: bool = False,
) -> bool:
    """
    Set the final state of a submission, unless it has one; return whether it had none.

    *next_late_check_at* is when to check whether runs of an absent submission appeared late.
    *unconfirmed* is a refusal after which its jobs are not sent again without a search.
    """
    closed = tx.execute(
        _CLOSE,
        {
            "submission": submission.id,
            "owner": owner_id,
            "new_state": state,
            "now": now,
            "new_message": message,
            "new_late_check_at": next_late_check_at,
            "new_unconfirmed": unconfirmed,
        },
    )
    return closed.rowcount > 0


def settle_submission(
    tx: Connection,
    owner_id: str,
    submission: Submission,
    state: SubmissionState,
    decisions: Sequence[AttemptDecision],
    now: datetime,
    message: str,
    next_late_check_at: datetime | None = None,
    *,
    unconfirmed: bool = False,
) -> list[AttemptDecision]:
    """
    Close a submission that has no (more) runs, and its attempts; return the applied decisions.

    *next_late_check_at* is when to check whether runs of an absent submission appeared late.
    *unconfirmed* is a refusal after which its jobs are not sent again without a search.
    """
    closed = close_submission(
        tx,
        owner_id,
        submission,
        state,
        now,
        message,
        next_late_check_at,
        unconfirmed=unconfirmed,
    )
    applied = apply_decisions(tx, owner_id, decisions, now)
    if closed and unconfirmed:
        hold_refused(tx, submission.id)
    return applied


def close_without_runs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    decisions: Sequence[AttemptDecision],
    now: datetime,
) -> list[AttemptDecision]:
    """
    Close attempts whose runs cannot be matched to them; return the applied decisions.

    The runs become orphans.
    """
    attempt_ids = [decision.attempt.attempt_id for decision in decisions]
    release_runs(tx, owner_id, batch_id, attempt_ids, now)
    return apply_decisions(tx, owner_id, decisions, now)


_MARK_UNANSWERED = (
    update(submissions)
    .where(*_unsettled)
    .values(
        state=SubmissionState.UNANSWERED,
        search_at=bindparam("new_search_at"),
        unanswered_at=func.coalesce(
            submissions.c.unanswered_at, bindparam("new_unanswered_at", type_=UtcDateTime)
        ),
        holds_slots_until=func.coalesce(
            submissions.c.holds_slots_until, bindparam("new_holds_slots_until", type_=UtcDateTime)
        ),
        fruitless_searches=bindparam("searches"),
        message=bindparam("new_message"),
    )
)


def mark_unanswered(
    tx: Connection,
    owner_id: str,
    submission: Submission,
    search_at: datetime,
    message: str,
    now: datetime | None = None,
    holds_slots_until: datetime | None = None,
) -> None:
    """
    Record that a submission's runs may exist, and when to search for them.

    The first record also says since when (*now*, or when to search), and until when its attempts
    hold their slots.
    """
    tx.execute(
        _MARK_UNANSWERED,
        {
            "submission": submission.id,
            "owner": owner_id,
            "new_search_at": search_at,
            "new_unanswered_at": now or search_at,
            "new_holds_slots_until": holds_slots_until,
            "searches": submission.fruitless_searches,
            "new_message": message,
        },
    )


def mark_intended_unanswered(
    tx: Connection, owner_id: str, batch_id: int, now: datetime, reason: str
) -> None:
    """Record that the runs of all of an owner's intended submissions may exist."""
    # A claim whose commit seemed lost may still be running: it holds the batch until it ends.
    tx.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
    tx.execute(
        update(submissions)
        .where(
            submissions.c.batch_id == batch_id,
            submissions.c.owner_id == owner_id,
            is_unsettled,
            submissions.c.state == SubmissionState.INTENDED,
        )
        .values(state=SubmissionState.UNANSWERED, search_at=now, unanswered_at=now, message=reason)
    )


_UNANSWERED = (
    select(
        submissions.c.id.label("submission_id"),
        submissions.c.marker_token,
        submissions.c.intended_at,
        submissions.c.marked,
        submissions.c.fruitless_searches,
        submissions.c.unanswered_at,
        submissions.c.search_at,
        submissions.c.message,
        attempts.c.id.label("attempt_id"),
        attempts.c.batch_index,
        attempts.c.escalation_steps,
        attempts.c.escalation_ids,
        attempts.c.option_overrides,
        attempts.c.marker,
        jobs.c.id.label("job_id"),
        jobs.c.key,
        jobs.c.url,
        jobs.c.goal,
        jobs.c.options,
        jobs.c.attempt,
        jobs.c.failures,
        jobs.c.failures_by_category,
        jobs.c.policy,
    )
    .join(attempts, attempts.c.submission_id == submissions.c.id)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.owner_id == _owner,
        is_unsettled,
        submissions.c.state == SubmissionState.UNANSWERED,
        *_runless,
    )
    .order_by(submissions.c.id, attempts.c.batch_index)
)


def unanswered_submissions(
    tx: Connection, owner_id: str, batch_id: int
) -> list[tuple[Submission, datetime, str]]:
    """Return the owner's unanswered submissions, when to search for each, and why."""
    rows = tx.execute(_UNANSWERED, {"batch": batch_id, "owner": owner_id})
    found = []
    for _, group in groupby(rows, key=lambda row: row.submission_id):
        rows_of_submission = list(group)
        found.append(
            (
                _submission(rows_of_submission),
                rows_of_submission[0].search_at,
                rows_of_submission[0].message or "",
            )
        )
    return found


def _submission(rows: list[Any]) -> Submission:
    first = rows[0]
    return Submission(
        id=first.submission_id,
        marker_token=first.marker_token,
        intended_at=first.intended_at,
        marked=first.marked,
        fruitless_searches=first.fruitless_searches,
        unanswered_at=first.unanswered_at,
        attempts=tuple(
            SubmittedAttempt(
                attempt_id=row.attempt_id,
                batch_index=row.batch_index,
                job=job_of(row, row.job_id, row.attempt, attempt_start_of(row)),
                url=row.url,
                goal=row.goal,
                options=options_of(row.options, row.option_overrides),
                option_overrides=json.loads(row.option_overrides or "{}"),
                marker=marker_of(row),
            )
            for row in rows
        ),
    )
