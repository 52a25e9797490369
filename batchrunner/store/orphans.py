"""Adopts runs that appear late, and records orphans: runs that no attempt needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, or_, select, update

from batchrunner.model import (
    FailureCategory,
    JobState,
    Run,
    RunStatus,
    Submission,
    SubmittedAttempt,
)
from batchrunner.store.conditions import is_current, is_newest
from batchrunner.store.counters import changed_jobs
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.job_values import attempt_start_of, job_of
from batchrunner.store.schema import SubmissionState, attempts, jobs, orphans, submissions
from batchrunner.store.serialization import counts_of, json_text, marker_of
from batchrunner.store.store import random_token

_WATCHLIST = (
    select(submissions)
    .where(
        submissions.c.batch_id == bindparam("batch"),
        submissions.c.owner_id == bindparam("owner"),
        submissions.c.next_late_check_at.is_not(None),
    )
    .order_by(submissions.c.id)
)
_WATCHLIST_DUE = _WATCHLIST.where(submissions.c.next_late_check_at <= bindparam("due"))


def late_run_watchlist(
    tx: Connection, owner_id: str, batch_id: int, due: datetime | None = None
) -> list[Submission]:
    """Return the owner's absent submissions to check for late runs: *due* by then, or all."""
    mine = {"batch": batch_id, "owner": owner_id}
    if due is None:
        found = tx.execute(_WATCHLIST, mine)
    else:
        found = tx.execute(_WATCHLIST_DUE, {**mine, "due": due})
    return [submission_of(tx, row) for row in found]


def submission_of(tx: Connection, row: Row[Any]) -> Submission:
    """Return a stored submission with its attempts that have no run."""
    return Submission(
        id=row.id,
        marker_token=row.marker_token,
        intended_at=row.intended_at,
        marked=row.marked,
        fruitless_searches=row.fruitless_searches,
        unanswered_at=row.unanswered_at,
        attempts=_runless(tx, row.id),
    )


_RUNLESS = (
    select(attempts.c.id, attempts.c.batch_index, attempts.c.marker)
    .add_columns(jobs.c.key, jobs.c.url, jobs.c.goal)
    .add_columns(
        jobs.c.id.label("job_id"), jobs.c.attempt, jobs.c.failures, jobs.c.failures_by_category
    )
    .add_columns(jobs.c.policy, attempts.c.escalation_steps, attempts.c.escalation_ids)
    .add_columns(submissions.c.marker_token, submissions.c.marked)
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .join(submissions, submissions.c.id == attempts.c.submission_id)
    .where(attempts.c.submission_id == bindparam("submission"), attempts.c.run_id.is_(None))
    .order_by(attempts.c.batch_index)
)


def _runless(tx: Connection, submission_id: int) -> tuple[SubmittedAttempt, ...]:
    rows = tx.execute(_RUNLESS, {"submission": submission_id})
    return tuple(
        SubmittedAttempt(
            attempt_id=row.id,
            batch_index=row.batch_index,
            job=job_of(row, row.job_id, row.attempt, attempt_start_of(row)),
            url=row.url,
            goal=row.goal,
            marker=marker_of(row),
        )
        for row in rows
    )


_WATCH = (
    update(submissions)
    .where(
        submissions.c.id == bindparam("submission"),
        submissions.c.owner_id == bindparam("owner"),
        submissions.c.state == SubmissionState.ABSENT,
    )
    .values(next_late_check_at=bindparam("new_late_check_at"))
)


def schedule_late_check(
    tx: Connection, owner_id: str, submission: Submission, next_late_check_at: datetime | None
) -> None:
    """Set when to check an absent submission for late runs again; None: never."""
    tx.execute(
        _WATCH,
        {"submission": submission.id, "owner": owner_id, "new_late_check_at": next_late_check_at},
    )


def adopt_late_runs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    submission: Submission,
    runs: Mapping[int, str],
    now: datetime,
    *,
    new_token: Callable[[], str] = random_token,
) -> int:
    """
    Adopt runs that appeared late, by the closed attempt that created each; return how many.

    A job that waits for a retry gets an attempt with that run, and so does one that failed because
    nobody could say whether it exists. All other runs become orphans. An orphan that completed
    before it was cancelled is adopted too if its job needs it: it is paid for.
    """
    adopted = adopt(tx, owner_id, batch_id, runs, now, new_token())
    add_orphans_of(tx, batch_id, submission.id, set(runs.values()) - adopted, now)
    return len(adopted)


def adopt(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    runs: Mapping[int, str],
    now: datetime,
    token: str,
) -> frozenset[str]:
    """Adopt runs whose jobs need one, by the closed attempt that created each; return them."""
    job_ids = tx.execute(select(attempts.c.job_id).where(attempts.c.id.in_(runs))).scalars().all()
    with changed_jobs(tx, job_ids, owner_id):
        return _adopt(tx, owner_id, batch_id, runs, now, token)


def _adopt(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    runs: Mapping[int, str],
    now: datetime,
    token: str,
) -> frozenset[str]:
    waiting, unavailable = _waiting(tx, runs), _unavailable(tx, runs.values())
    adopted = {
        attempt_id: run_id
        for attempt_id, run_id in runs.items()
        if attempt_id in waiting and run_id not in unavailable
    }
    if adopted:
        tx.execute(delete(orphans).where(orphans.c.run_id.in_(adopted.values())))
        _reopen(tx, [waiting[attempt_id] for attempt_id in adopted], now)
        _open_with_runs(tx, owner_id, batch_id, waiting, adopted, now, token)
    return frozenset(adopted.values())


#: Outcomes of attempts that created a run all the same if one is found.
_DISPROVED = (FailureCategory.UNANSWERED, FailureCategory.LOST, FailureCategory.REJECTED)
#: A job that needs a run: it waits, or it failed because its run seemed not to exist.
needs_run = or_(
    jobs.c.state == JobState.AVAILABLE,
    and_(
        jobs.c.state == JobState.FAILED,
        is_current,
        is_newest,
        attempts.c.outcome.in_(_DISPROVED),
        attempts.c.run_id.is_(None),
    ),
)


def _reopen(tx: Connection, rows: Sequence[Any], now: datetime) -> None:
    """Take back the failures of jobs whose runs seemed not to exist: they were found."""
    failed = [row for row in rows if row.state == JobState.FAILED]
    for row in failed:
        counts = dict(counts_of(row.failures_by_category))
        category = FailureCategory(row.attempt_outcome)
        counts[category] = counts.get(category, 1) - 1
        tx.execute(
            update(jobs)
            .where(jobs.c.id == row.id)
            .values(
                finished_at=None,
                state=JobState.RUNNING,
                failures=max(row.failures - 1, 0),
                failures_by_category=json_text({c: n for c, n in counts.items() if n}),
            )
        )
        this = attempts.c.id == row.attempt_id
        tx.execute(update(attempts).where(this).values(retry_at=now, counted=False))


_LOST = (
    select(attempts.c.run_id, attempts.c.id, attempts.c.submission_id)
    .where(
        attempts.c.batch_id == bindparam("batch"),
        attempts.c.outcome == FailureCategory.LOST,
        attempts.c.run_id.is_not(None),
    )
    .order_by(attempts.c.id)
)


def lost_runs(tx: Connection, batch_id: int) -> list[str]:
    """Return the runs of a batch that counted as lost, and have not appeared again."""
    return list(tx.execute(_LOST, {"batch": batch_id}).scalars())


def take_lost_runs_back(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    run_ids: Collection[str],
    now: datetime,
    *,
    new_token: Callable[[], str] = random_token,
) -> tuple[int, int]:
    """
    Take runs back that appeared after they had counted as lost; return how many, and all others.

    A job that still waits gets an attempt with its run; all other runs become orphans.
    """
    rows = tx.execute(_LOST.where(attempts.c.run_id.in_(run_ids)), {"batch": batch_id}).all()
    adopted = 0
    for submission_id in sorted({row.submission_id for row in rows}):
        runs = {row.id: row.run_id for row in rows if row.submission_id == submission_id}
        # A run belongs to one attempt: the lost one names it only in its message from now on.
        tx.execute(update(attempts).where(attempts.c.id.in_(runs)).values(run_id=None))
        taken = adopt(tx, owner_id, batch_id, runs, now, new_token())
        add_orphans_of(tx, batch_id, submission_id, set(runs.values()) - taken, now)
        adopted += len(taken)
    return adopted, len(rows) - adopted


def _waiting(tx: Connection, runs: Mapping[int, str]) -> dict[int, Any]:
    """Return the jobs that need a run, by the closed attempt whose run appeared."""
    rows = tx.execute(
        select(
            attempts.c.id.label("attempt_id"),
            attempts.c.escalation_steps.label("attempt_steps"),
            attempts.c.escalation_ids.label("attempt_escalation_ids"),
            attempts.c.option_overrides.label("attempt_overrides"),
            attempts.c.reserved_steps.label("attempt_reserved"),
            attempts.c.outcome.label("attempt_outcome"),
            attempts.c.marker.label("attempt_marker"),
            jobs,
        )
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.id.in_(runs), needs_run)
        .with_for_update(of=jobs)
    )
    return {row.attempt_id: row for row in rows}


def _unavailable(tx: Connection, run_ids: Collection[str]) -> set[str]:
    """Return the runs that an attempt already has, and the orphans that did not complete."""
    held = select(attempts.c.run_id).where(attempts.c.run_id.in_(run_ids))
    stopped = select(orphans.c.run_id).where(
        orphans.c.run_id.in_(run_ids), orphans.c.run_status.is_distinct_from(RunStatus.COMPLETED)
    )
    return set(tx.execute(held.union(stopped)).scalars())


def _open_with_runs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    waiting: Mapping[int, Any],
    runs: Mapping[int, str],
    now: datetime,
    token: str,
) -> None:
    submission_id = _late_submission(tx, owner_id, batch_id, now, token)
    tx.execute(
        insert(attempts),
        [
            {
                "job_id": waiting[attempt_id].id,
                "number": waiting[attempt_id].attempt + 1,
                "batch_id": batch_id,
                "owner_id": owner_id,
                "submission_id": submission_id,
                "batch_index": index,
                "escalation_steps": waiting[attempt_id].attempt_steps,
                "escalation_ids": waiting[attempt_id].attempt_escalation_ids,
                "option_overrides": waiting[attempt_id].attempt_overrides,
                "opened_at": now,
                "run_id": run_id,
                "run_status": RunStatus.PENDING,
                "reserved_steps": waiting[attempt_id].attempt_reserved,
                "marker": waiting[attempt_id].attempt_marker,
            }
            for index, (attempt_id, run_id) in enumerate(runs.items(), 1)
        ],
    )
    tx.execute(
        update(jobs)
        .where(jobs.c.id.in_([waiting[attempt_id].id for attempt_id in runs]))
        .values(state=JobState.RUNNING, attempt=jobs.c.attempt + 1, finished_at=None)
    )


def _late_submission(
    tx: Connection, owner_id: str, batch_id: int, now: datetime, token: str
) -> int:
    """Write the submission of adopted runs, which is never sent."""
    submission_id: int = tx.execute(
        insert(submissions)
        .values(
            batch_id=batch_id,
            owner_id=owner_id,
            marker_token=token,
            marked=False,  # their goals carry the marker of the submission that made them
            state=SubmissionState.CREATED,
            intended_at=now,
            answered_at=now,
            message="runs that appeared late",
        )
        .returning(submissions.c.id)
    ).scalar_one()
    return submission_id


_UNTAKEN = select(attempts.c.id, attempts.c.batch_id).where(
    attempts.c.id.in_(bindparam("attempts", expanding=True)),
    attempts.c.closed_at.is_not(None),
    attempts.c.run_id.is_(None),
)


def add_untaken_orphans(
    tx: Connection, submission: Submission, runs: Mapping[int, str], now: datetime
) -> None:
    """
    Record runs as orphans if their attempts were closed before their ids arrived.

    Open attempts of another owner are skipped: that owner searches for these runs.
    """
    rows = tx.execute(_UNTAKEN, {"attempts": list(runs)}).all()
    if rows:
        add_orphans_of(tx, rows[0].batch_id, submission.id, {runs[row.id] for row in rows}, now)


def add_orphans(
    tx: Connection, batch_id: int, submission: Submission, run_ids: Collection[str], now: datetime
) -> None:
    """Record those of these runs that no attempt has as orphans, to be cancelled and reported."""
    add_orphans_of(tx, batch_id, submission.id, run_ids, now)


def add_orphans_of(
    tx: Connection, batch_id: int, submission_id: int, run_ids: Collection[str], now: datetime
) -> None:
    """Record those of these runs that no attempt has as orphans of a submission."""
    wanted = select(attempts.c.run_id).where(attempts.c.run_id.in_(run_ids))
    run_ids = set(run_ids) - set(tx.execute(wanted).scalars())
    if not run_ids:
        return
    tx.execute(
        insert_or_ignore(tx, orphans).on_conflict_do_nothing(),
        [
            {
                "run_id": run_id,
                "batch_id": batch_id,
                "submission_id": submission_id,
                "found_at": now,
            }
            for run_id in sorted(run_ids)
        ],
    )


def release_runs(
    tx: Connection, owner_id: str, batch_id: int, attempt_ids: Collection[int], now: datetime
) -> None:
    """Record the runs of open attempts as orphans, because they cannot be matched to attempts."""
    held = (
        attempts.c.id.in_(attempt_ids),
        attempts.c.owner_id == owner_id,
        attempts.c.closed_at.is_(None),
    )
    owned = attempts.c.run_id.is_not(None)
    rows = tx.execute(select(attempts.c.submission_id, attempts.c.run_id).where(*held, owned)).all()
    tx.execute(update(attempts).where(*held).values(run_id=None))
    for submission_id in {row.submission_id for row in rows}:
        run_ids = [row.run_id for row in rows if row.submission_id == submission_id]
        add_orphans_of(tx, batch_id, submission_id, run_ids, now)
        tx.execute(
            update(submissions)
            .where(
                submissions.c.id == submission_id, submissions.c.state == SubmissionState.CREATED
            )
            .values(state=SubmissionState.UNDECIDED)
        )


_OPEN_ORPHANS = select(orphans.c.run_id).where(
    orphans.c.batch_id == bindparam("batch"), orphans.c.ended_at.is_(None)
)


def open_orphans(tx: Connection, batch_id: int) -> list[str]:
    """Return the run ids of orphans that the API has not confirmed to have ended."""
    return list(tx.execute(_OPEN_ORPHANS, {"batch": batch_id}).scalars())


def drop_orphans(tx: Connection, run_ids: Collection[str]) -> None:
    """Forget orphans that turned out to be runs of another database: they are not ours."""
    tx.execute(delete(orphans).where(orphans.c.run_id.in_(run_ids)))


def close_orphans(tx: Connection, ended: Iterable[tuple[str, Run | None]], now: datetime) -> None:
    """Record the status and cost of orphans that ended; None: the API does not know the run."""
    for run_id, run in ended:
        tx.execute(
            update(orphans)
            .where(orphans.c.run_id == run_id)
            .values(
                ended_at=now,
                run_status=run.status if run else None,
                steps=run.steps if run else None,
            )
        )
