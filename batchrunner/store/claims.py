"""Claims due jobs: opens their attempts and writes their submissions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, insert, select, update

from batchrunner.model import BudgetStatus, JobState, Submission, SubmittedAttempt
from batchrunner.model.grounding_rule import GROUNDING_WANTED, GroundingRule
from batchrunner.model.markers import BATCH_LENGTH, job_digest, marker, submission_token
from batchrunner.policy.budget import affordable, max_steps
from batchrunner.policy.escalation import AttemptStart, start_of_attempt
from batchrunner.policy.grounding_sample import is_sampled
from batchrunner.policy.longest_first import LastJob
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.slots import SlotHolders, concurrency_limit
from batchrunner.store import (
    account_keys,
    budget,
    canary_gate,
    due_jobs,
    host_breaker,
    host_escalation,
    last_jobs,
)
from batchrunner.store.account_limit import bound_in
from batchrunner.store.batch_rows import settings_in_force
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.job_values import job_of
from batchrunner.store.leases import check_alive
from batchrunner.store.schema import (
    CanaryGate,
    SubmissionState,
    attempts,
    batches,
    jobs,
    submissions,
)
from batchrunner.store.serialization import counts_of, json_text, options_of
from batchrunner.store.slot_holders import slot_holders
from batchrunner.store.store import random_token

_batch: BindParameter[int] = bindparam("batch")

#: Claims of one batch run one after the other, so that its limits hold over all processes.
_BATCH = (
    select(
        batches.c.id,
        batches.c.settings,
        batches.c.concurrency,
        batches.c.paused_at,
        batches.c.budget,
        batches.c.step_price,
        batches.c.learned_concurrency,
        batches.c.account_limit,
        batches.c.canary_gate,
        batches.c.marker_token,
    )
    .where(batches.c.id == _batch)
    .with_for_update()
)


def claim_jobs(
    tx: Connection,
    owner_id: str,
    batch_id: int,
    most: int,
    now: datetime,
    key: str | None = None,
    *,
    part: bool = False,
    ground: bool = True,
    first: Sequence[LastJob] = (),
    new_token: Callable[[], str] = random_token,
) -> list[Submission]:
    """
    Claim due jobs up to the batch's limit, open their attempts and write their submissions.

    Jobs with the same output_schema share a submission, at most *most* in one. A paused batch and a
    host without capacity have no due jobs. Until the canary has passed, only its jobs are due. The
    most that the runs may cost is reserved, and no more jobs are claimed than the budget covers.
    *key* is the digest of the API key that will submit them. With *part*, only jobs that
    `choose_part` has chosen are due. Without *ground*, no result is chosen for grounding. Once the
    canary has passed, the *first* jobs come before those in file order.

    Raises:
        LeaseLost: Another process ended this owner.
        KeyReplaced: *key* is not one of the batch's account any more.
    """
    check_alive(tx, owner_id)
    batch = tx.execute(_BATCH, {"batch": batch_id}).one()
    account_keys.check_key(tx, batch_id, key)
    if batch.paused_at is not None:
        return []
    settings = settings_in_force(batch)
    found = canary_gate.check_canary(tx, batch, settings.canary, now)
    if found is CanaryGate.CLOSED:
        return []
    holders = slot_holders(tx, batch_id, now)
    room = _room(batch, settings.concurrency, holders)
    if room <= 0:
        return []
    capacity = host_breaker.host_capacity(tx, batch_id, settings.hosts, now)
    due = _due(tx, batch_id, room, capacity, now, first, canary=found is None, part=part)
    if found is None and not due and holders.need_control_run:
        due = due_jobs.due_jobs(tx, batch_id, 1, capacity, now, canary=False, part=part)
    starts = _starts(tx, batch_id, Policy.of(settings), due)
    due = _affordable(tx, batch, due, starts, capacity, now)[:room]
    if not due:
        return []
    token = _token_maker(tx, batch, new_token)
    grounded = _to_ground(settings.grounding, due, starts) if ground else set()
    return [
        _intend(tx, owner_id, batch_id, group, starts, now, token(), settings.marker, grounded)
        for group in _groups(due, most)
    ]


def _due(
    tx: Connection,
    batch_id: int,
    room: int,
    capacity: HostCapacity,
    now: datetime,
    first: Sequence[LastJob],
    *,
    canary: bool,
    part: bool,
) -> list[Row[Any]]:
    """Return due jobs: the *first* ones, then others in file order."""
    chosen: list[Row[Any]] = []
    if first and not canary:
        chosen = last_jobs.chosen_jobs(tx, batch_id, first, room, capacity, now, part=part)
    if len(chosen) >= room:
        return chosen
    ids = {row.id for row in chosen}
    rows = due_jobs.due_jobs(tx, batch_id, room, capacity, now, canary=canary, part=part)
    return chosen + [row for row in rows if row.id not in ids]


def _to_ground(
    rule: GroundingRule, due: list[Row[Any]], starts: Mapping[int, AttemptStart]
) -> set[int]:
    """Return the jobs whose values are searched for in the pages of their runs."""
    if not rule.sample:
        return set()
    return {
        row.id
        for row in due
        if is_sampled(
            rule, row.key, {**options_of(row.options, None), **starts[row.id].option_overrides}
        )
    }


def _room(batch: Any, asked: int, holders: SlotHolders) -> int:
    """Return how many more runs may be in flight than there are."""
    accepted = bound_in(batch.account_limit)
    return holders.free_slots(concurrency_limit(asked, batch.learned_concurrency, accepted))


def _token_maker(tx: Connection, batch: Any, new_token: Callable[[], str]) -> Callable[[], str]:
    """Return what makes tokens of submissions; a batch gets its own before its first one."""
    named: str = batch.marker_token or new_token()[-BATCH_LENGTH:]
    if batch.marker_token is None:
        tx.execute(update(batches).where(batches.c.id == batch.id).values(marker_token=named))
    return lambda: submission_token(named, new_token())


def _starts(
    tx: Connection, batch_id: int, policy: Policy, due: list[Row[Any]]
) -> dict[int, AttemptStart]:
    """Return the escalation steps of each job's next attempt, by job id."""
    seen = host_escalation.step_history(tx, batch_id, {row.host for row in due}) if due else {}
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
    capacity: HostCapacity,
    now: datetime,
) -> list[Row[Any]]:
    """Return the first jobs whose runs the batch's budget covers, if each costs its most."""
    found = budget.committed_steps(tx, batch, now) if due else None
    if found is None:
        return due
    left, longest = found
    needs = [_needed(row, starts, longest) for row in due]
    probes = {index for index, row in enumerate(due) if row.host in capacity.parked}
    return [due[index] for index in affordable(needs, left.room, probes)]


def _needed(row: Row[Any], starts: Mapping[int, AttemptStart], longest: int = 0) -> int:
    """Return the most steps that a job's next run may take."""
    return max_steps({**options_of(row.options, None), **starts[row.id].option_overrides}, longest)


def budget_status(
    tx: Connection, batch_id: int, now: datetime, *, part: bool = False
) -> BudgetStatus | None:
    """
    Return how much of a batch's budget is used, and the most that its next due job may cost.

    That cost is None while jobs wait for a host or for their time, and the budget covers one.
    """
    batch = tx.execute(select(batches).where(batches.c.id == batch_id)).one()
    found = budget.committed_steps(tx, batch, now)
    if found is None:
        return None
    left, longest = found
    settings = settings_in_force(batch)
    policy, canary = Policy.of(settings), canary_gate.is_canary_running(tx, batch, settings.canary)
    capacity = host_breaker.host_capacity(tx, batch_id, settings.hosts, now)
    how = {"canary": canary, "part": part, "claim": False}
    due = due_jobs.due_jobs(tx, batch_id, 1, capacity, now, **how)
    due = [row for row in due if row.host not in capacity.parked]
    starts = _starts(tx, batch_id, policy, due)
    if due:
        return replace(left, needs=_needed(due[0], starts, longest))
    return replace(left, needs=_cheapest_waiting(tx, batch_id, policy, left, longest, part=part))


def _cheapest_waiting(
    tx: Connection, batch_id: int, policy: Policy, left: BudgetStatus, longest: int, *, part: bool
) -> int | None:
    """Return the maximum cost of the cheapest waiting job; None if the budget covers one."""
    cheapest = None
    for page in due_jobs.awaited_jobs(tx, batch_id, part=part) if not left.reserved else ():
        starts = _starts(tx, batch_id, policy, page)
        needs = [_needed(row, starts, longest) for row in page]
        cheapest = min(needs if cheapest is None else [cheapest, *needs])
        if cheapest <= left.room:
            return None
    return cheapest


def _groups(due: list[Row[Any]], most: int) -> Iterator[list[Row[Any]]]:
    """Group jobs into submissions: one output_schema each, and no more than each job allows."""

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
    grounded: Collection[int],
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
    markers = [
        marker(token, index, job_digest(row.url, row.goal, options_of(row.options, None)))
        if marked
        else None
        for index, row in enumerate(rows, 1)
    ]
    submitted = _open(tx, owner_id, batch_id, submission_id, rows, starts, markers, now, grounded)
    return Submission(
        id=submission_id, marker_token=token, intended_at=now, marked=marked, attempts=submitted
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
    markers: Sequence[str | None],
    now: datetime,
    grounded: Collection[int],
) -> tuple[SubmittedAttempt, ...]:
    """Open the next attempt of each job, in one submission."""
    same = {
        "batch_id": batch_id,
        "owner_id": owner_id,
        "submission_id": submission_id,
        "opened_at": now,
    }
    opened = tx.execute(
        _OPEN,
        [
            {
                **same,
                "batch_index": index,
                "marker": marker_text,
                "grounding": GROUNDING_WANTED if row.id in grounded else None,
                **_begun(row, starts),
            }
            for index, (row, marker_text) in enumerate(zip(rows, markers, strict=True), 1)
        ],
    )
    ids = {attempt.batch_index: attempt.id for attempt in opened}
    tx.execute(_START_JOBS, {"jobs": [row.id for row in rows]})
    return tuple(
        _submitted_attempt(
            ids[index], index, row, starts[row.id], marker_text, grounded=row.id in grounded
        )
        for index, (row, marker_text) in enumerate(zip(rows, markers, strict=True), 1)
    )


def _begun(row: Row[Any], starts: Mapping[int, AttemptStart]) -> dict[str, Any]:
    """Return what the next attempt of a job begins with."""
    begun = starts[row.id]
    overrides = begun.option_overrides
    return {
        "job_id": row.id,
        "number": row.attempt + 1,
        "escalation_steps": json_text(begun.escalation_steps),
        "escalation_ids": json_text(begun.escalation_ids),
        "option_overrides": json_text(overrides) if overrides else None,
        "reserved_steps": _needed(row, starts),
    }


def _submitted_attempt(
    attempt_id: int,
    index: int,
    row: Row[Any],
    begun: AttemptStart,
    marker_text: str | None,
    *,
    grounded: bool,
) -> SubmittedAttempt:
    return SubmittedAttempt(
        attempt_id=attempt_id,
        batch_index=index,
        job=job_of(row, row.id, row.attempt + 1, begun),
        url=row.url,
        goal=row.goal,
        options={**options_of(row.options, None), **begun.option_overrides},
        option_overrides=begun.option_overrides,
        marker=marker_text,
        grounded=grounded,
    )
