"""Statements that say who works on what: owners, claims, rescues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, func, insert, or_, select, update

from batchrunner.model import BudgetStatus, JobState, Owner, Submission, SubmittedAttempt
from batchrunner.model.hosts import host_of
from batchrunner.policy.budget import affordable, max_steps
from batchrunner.policy.escalation import AttemptStart, start_of_attempt
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.slots import concurrency_limit
from batchrunner.store import (
    account_keys,
    budget,
    canary_gate,
    due_jobs,
    host_breaker,
    host_escalation,
)
from batchrunner.store.batches import settings_in_force
from batchrunner.store.database import has_server, insert_or_ignore
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.schema import (
    CanaryGate,
    SubmissionState,
    attempts,
    batches,
    jobs,
    owners,
    submissions,
)
from batchrunner.store.serialization import counts_of, job_of, json_text, options_of

#: How long an owner is believed to be alive after it last said so.
LEASE = timedelta(seconds=60)


_me: BindParameter[str] = bindparam("me")
_batch: BindParameter[int] = bindparam("batch")


class LeaseLost(Exception):
    """This owner was taken for dead, and others went on with its jobs."""


def store_time(tx: Connection, now: datetime) -> datetime:
    """
    Return the ledger's time: the database server's, or *now* where there is none.

    It is never earlier than an owner has once said to be there, so that it does not go back when
    the clock of the machine does.
    """
    clock = tx.execute(select(func.clock_timestamp())).scalar_one() if has_server(tx) else now
    newest = tx.execute(select(func.max(owners.c.lease_until))).scalar()
    return clock if newest is None else max(clock, newest - LEASE)


def register_owner(tx: Connection, owner: Owner, now: datetime) -> None:
    """Write down a new owner, whose lease begins now."""
    tx.execute(
        insert_or_ignore(tx, owners)
        .values(
            id=owner.id,
            machine=owner.machine,
            pid=owner.pid,
            process_started_at=owner.process_started_at,
            started_at=now,
            lease_until=now + LEASE,
        )
        .on_conflict_do_nothing()
    )


_RENEW = (
    update(owners)
    .where(owners.c.id == _me, owners.c.ended_at.is_(None))
    .values(lease_until=bindparam("until"))
)


def renew_lease(tx: Connection, owner_id: str, now: datetime) -> None:
    """
    Let an owner's lease begin anew.

    Raises:
        LeaseLost: Somebody rescued its attempts in the meantime.
    """
    renewed = tx.execute(_RENEW, {"me": owner_id, "until": now + LEASE})
    if renewed.rowcount != 1:
        raise LeaseLost(owner_id)


def end_owner(tx: Connection, owner_id: str, now: datetime) -> None:
    """Say that an owner works no more, so that nobody waits for its lease."""
    tx.execute(
        update(owners)
        .where(owners.c.id == owner_id, owners.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def live_owners(tx: Connection, now: datetime, batch_id: int | None) -> list[Owner]:
    """Return the owners whose leases run: all, or those with open attempts of a batch."""
    chosen = [owners.c.ended_at.is_(None), owners.c.lease_until > now]
    if batch_id is not None:
        busy = select(attempts.c.owner_id).where(
            attempts.c.batch_id == batch_id, attempts.c.closed_at.is_(None)
        )
        chosen.append(owners.c.id.in_(busy))
    return [_owner(row) for row in tx.execute(select(owners).where(*chosen))]


_OTHERS = select(owners).where(owners.c.id != _me, owners.c.ended_at.is_(None))


def other_owners(tx: Connection, owner_id: str) -> list[tuple[Owner, datetime]]:
    """Return the other owners that have not retired, and when their leases end."""
    rows = tx.execute(_OTHERS, {"me": owner_id})
    return [(_owner(row), row.lease_until) for row in rows]


_END_DEAD_OWNERS = (
    update(owners)
    .where(
        owners.c.id != _me,
        owners.c.ended_at.is_(None),
        or_(
            owners.c.lease_until <= bindparam("ended_by"),
            owners.c.id.in_(bindparam("gone", expanding=True)),
        ),
    )
    .values(ended_at=bindparam("now"))
)
_dead = select(owners.c.id).where(owners.c.ended_at.is_not(None))
_of_dead_owners = (submissions.c.batch_id == _batch, submissions.c.owner_id.in_(_dead))
_MARK_INTENDED_UNANSWERED = (
    update(submissions)
    .where(*_of_dead_owners, submissions.c.state == SubmissionState.INTENDED)
    .values(
        state=SubmissionState.UNANSWERED,
        search_at=bindparam("now"),
        message="the runner ended",
    )
)
_still_open = (attempts.c.batch_id == _batch, attempts.c.closed_at.is_(None))
#: Of a submission whose runs are known its answer may prove wrong when they are looked at.
_TAKE_SUBMISSIONS = (
    update(submissions)
    .where(
        *_of_dead_owners,
        or_(
            submissions.c.state == SubmissionState.UNANSWERED,
            submissions.c.next_late_check_at.is_not(None),
            submissions.c.id.in_(select(attempts.c.submission_id).where(*_still_open)),
        ),
    )
    .values(owner_id=_me)
)
_TAKE_ATTEMPTS = (
    update(attempts).where(*_still_open, attempts.c.owner_id.in_(_dead)).values(owner_id=_me)
)


def rescue(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    now: datetime,
    gone: Collection[str],
    ended_by: datetime,
    key: str | None = None,
) -> int:
    """
    Take over a batch's open attempts of owners whose lease ran out, or who are known to be *gone*.

    A lease has run out if it was to end by *ended_by*.

    Their runs are adopted, not started again; submissions of which no answer was recorded are
    searched for. Returns how many attempts changed hands.

    Raises:
        LeaseLost: The owner itself was taken for dead.
        KeyReplaced: *key* is none of those that open the batch's runs any more.
    """
    _check_alive(tx, owner_id)
    account_keys.check_key(tx, batch_id, key)
    mine = {"me": owner_id, "batch": batch_id}
    tx.execute(
        _END_DEAD_OWNERS, {"me": owner_id, "now": now, "ended_by": ended_by, "gone": list(gone)}
    )
    tx.execute(_MARK_INTENDED_UNANSWERED, {"batch": batch_id, "now": now})
    tx.execute(_TAKE_SUBMISSIONS, mine)
    return tx.execute(_TAKE_ATTEMPTS, mine).rowcount


def _owner(row: Row[Any]) -> Owner:
    return Owner(
        id=row.id, machine=row.machine, pid=row.pid, process_started_at=row.process_started_at
    )


#: Claims of one batch go one after the other, so that the bound holds over all processes.
_BATCH = (
    select(
        batches.c.id,
        batches.c.settings,
        batches.c.concurrency,
        batches.c.paused_at,
        batches.c.budget,
        batches.c.step_price,
        batches.c.learned_concurrency,
        batches.c.canary_gate,
    )
    .where(batches.c.id == _batch)
    .with_for_update()
)


def claim(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    most: int,
    now: datetime,
    new_token: Callable[[], str],
    key: str | None = None,
) -> list[Submission]:
    """
    Take due jobs up to the batch's bound, open their attempts and write their submissions.

    Jobs ride together where they share an output_schema, at most *most* in one submission.
    A batch that is paused has none; neither has a host without room, and until a canary has passed
    only that one's jobs go. What the runs may cost at most is reserved with them: no more
    is claimed than the batch's budget covers.

    Raises:
        LeaseLost: The owner was taken for dead.
        KeyReplaced: *key* is none of those that open the batch's runs any more.
    """
    _check_alive(tx, owner_id)
    batch = tx.execute(_BATCH, {"batch": batch_id}).one()
    account_keys.check_key(tx, batch_id, key)
    if batch.paused_at is not None:
        return []
    settings = settings_in_force(batch)
    found = canary_gate.check_canary(tx, batch, settings.canary, now)
    if found is CanaryGate.CLOSED:
        return []
    room = concurrency_limit(settings.concurrency, batch.learned_concurrency) - _in_flight(
        tx, batch_id
    )
    if room <= 0:
        return []
    rooms = host_breaker.host_capacity(tx, batch_id, settings.hosts, now)
    due = due_jobs.due_jobs(tx, batch_id, room, rooms, now, canary=found is None)
    starts = _starts(tx, batch_id, Policy.of(settings), due)
    due = _affordable(tx, batch, due, starts, rooms, now)[:room]
    return [
        _intend(tx, owner_id, batch_id, group, starts, now, new_token(), settings.marker)
        for group in _groups(due, most)
    ]


def _starts(
    tx: Connection, batch_id: int, policy: Policy, due: list[Row[Any]]
) -> dict[int, AttemptStart]:
    """Return on which rungs each job's next attempt runs, by the job's id."""
    seen = (
        host_escalation.step_history(tx, batch_id, {host_of(row.url) for row in due}) if due else {}
    )
    starts = {}
    for row in due:
        job = job_of(
            row, row.id, row.attempt, AttemptStart(escalation_steps=counts_of(row.escalation_steps))
        )
        starts[row.id] = start_of_attempt(policy, job, row.url, options_of(row.options, None), seen)
    return starts


def _affordable(
    tx: Connection,
    batch: Any,
    due: list[Row[Any]],
    starts: Mapping[int, AttemptStart],
    rooms: HostCapacity,
    now: datetime,
) -> list[Row[Any]]:
    """Return those jobs, from the first, whose runs the batch's budget covers at their worst."""
    found = budget.budget_status(tx, batch, now) if due else None
    if found is None:
        return due
    left, longest = found
    needs = [_needed(row, starts, longest) for row in due]
    probes = {place for place, row in enumerate(due) if row.host in rooms.parked}
    return [due[place] for place in affordable(needs, left.room, probes)]


def _needed(row: Row[Any], starts: Mapping[int, AttemptStart], longest: int = 0) -> int:
    """Return the most steps that a job's next run may cost."""
    return max_steps({**options_of(row.options, None), **starts[row.id].option_overrides}, longest)


def budget_status(tx: Connection, batch_id: int, now: datetime) -> BudgetStatus | None:
    """
    Return how much of a batch's budget is gone, and what the next job may cost that would go.

    That is none where jobs wait for a host, or for their time, and one of them may go in the end.
    """
    batch = tx.execute(select(batches).where(batches.c.id == batch_id)).one()
    found = budget.budget_status(tx, batch, now)
    if found is None:
        return None
    left, longest = found
    settings = settings_in_force(batch)
    policy, canary = Policy.of(settings), canary_gate.is_canary_running(tx, batch, settings.canary)
    rooms = host_breaker.host_capacity(tx, batch_id, settings.hosts, now)
    due = due_jobs.due_jobs(tx, batch_id, 1, rooms, now, canary=canary, claim=False)
    due = [row for row in due if row.host not in rooms.parked]
    starts = _starts(tx, batch_id, policy, due)
    if due:
        return replace(left, needs=_needed(due[0], starts, longest))
    return replace(left, needs=_cheapest_waiting(tx, batch_id, policy, left, longest))


def _cheapest_waiting(
    tx: Connection, batch_id: int, policy: Policy, left: BudgetStatus, longest: int
) -> int | None:
    """Return the least that a job may cost which is waited for; None if the budget covers one."""
    least = None
    for page in due_jobs.awaited_jobs(tx, batch_id) if not left.reserved else ():
        starts = _starts(tx, batch_id, policy, page)
        needs = [_needed(row, starts, longest) for row in page]
        least = min(needs if least is None else [least, *needs])
        if least <= left.room:
            return None
    return least


#: Until the transaction ends, nobody can take the owner for dead.
_ENDED_AT = select(owners.c.ended_at).where(owners.c.id == _me).with_for_update(read=True)


def _check_alive(tx: Connection, owner_id: str) -> None:
    if tx.execute(_ENDED_AT, {"me": owner_id}).scalar_one() is not None:
        raise LeaseLost(owner_id)


_IN_FLIGHT = select(func.count()).select_from(attempts).where(*_still_open)


def _in_flight(tx: Connection, batch_id: int) -> int:
    return tx.execute(_IN_FLIGHT, {"batch": batch_id}).scalar_one()


def _groups(due: list[Row[Any]], most: int) -> Iterator[list[Row[Any]]]:
    """Cut jobs into submissions: one output_schema each, and no more than each job allows."""

    def kind(row: Row[Any]) -> tuple[str, int]:
        return row.output_schema_digest, min(row.max_batch_size, most)

    for (_, size), rows in groupby(sorted(due, key=kind), key=kind):
        while group := list(islice(rows, size)):
            yield group


_INTEND = insert(submissions).returning(submissions.c.id)


def _intend(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    rows: list[Row[Any]],
    starts: Mapping[int, AttemptStart],
    now: datetime,
    token: str,
    marked: bool,
) -> Submission:
    submission_id = tx.execute(
        _INTEND,
        {
            "batch_id": batch_id,
            "owner_id": owner_id,
            "marker_token": token,
            "marked": marked,
            "state": SubmissionState.INTENDED,
            "intended_at": now,
        },
    ).scalar_one()
    rides = _open(tx, owner_id, batch_id, submission_id, rows, starts, now)
    return Submission(
        id=submission_id, marker_token=token, intended_at=now, marked=marked, attempts=rides
    )


_OPEN = insert(attempts).returning(attempts.c.id, attempts.c.batch_index)
_START_JOBS = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("jobs", expanding=True)))
    .values(state=JobState.RUNNING, attempt=jobs.c.attempt + 1)
)


def _open(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    submission_id: int,
    rows: list[Row[Any]],
    starts: Mapping[int, AttemptStart],
    now: datetime,
) -> tuple[SubmittedAttempt, ...]:
    """Open the next attempt of each job, as rides of one submission."""
    opened = tx.execute(
        _OPEN,
        [
            {
                "job_id": row.id,
                "number": row.attempt + 1,
                "batch_id": batch_id,
                "owner_id": owner_id,
                "submission_id": submission_id,
                "batch_index": place,
                "escalation_steps": json_text(starts[row.id].escalation_steps),
                "escalation_ids": json_text(starts[row.id].escalation_ids),
                "option_overrides": json_text(starts[row.id].option_overrides)
                if starts[row.id].option_overrides
                else None,
                "opened_at": now,
                "reserved_steps": _needed(row, starts),
            }
            for place, row in enumerate(rows, 1)
        ],
    )
    ids = {attempt.batch_index: attempt.id for attempt in opened}
    tx.execute(_START_JOBS, {"jobs": [row.id for row in rows]})
    return tuple(
        _submitted_attempt(ids[place], place, row, starts[row.id])
        for place, row in enumerate(rows, 1)
    )


def _submitted_attempt(
    attempt_id: int, place: int, row: Row[Any], begun: AttemptStart
) -> SubmittedAttempt:
    return SubmittedAttempt(
        attempt_id=attempt_id,
        batch_index=place,
        job=job_of(row, row.id, row.attempt + 1, begun),
        url=row.url,
        goal=row.goal,
        options={**options_of(row.options, None), **begun.option_overrides},
        option_overrides=begun.option_overrides,
    )
