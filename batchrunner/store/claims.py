"""Claims due jobs: opens their attempts and writes their submissions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, select, update

from batchrunner.model import BudgetStatus, Settings, Submission
from batchrunner.model.grounding_rule import GroundingRule
from batchrunner.model.markers import BATCH_LENGTH, submission_token
from batchrunner.policy.budget import affordable
from batchrunner.policy.fair_shares import LeftSlots
from batchrunner.policy.grounding_sample import is_sampled
from batchrunner.policy.longest_first import LastJob
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.slots import SlotHolders, concurrency_limit
from batchrunner.store import (
    account_keys,
    budget,
    canary_gate,
    counters,
    due_jobs,
    fair_shares,
    host_breaker,
    last_jobs,
)
from batchrunner.store.account_limit import bound_in
from batchrunner.store.attempt_opening import Claim, open_attempts
from batchrunner.store.batch_rows import settings_in_force
from batchrunner.store.counter_changes import claimed as claimed_numbers
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.job_starts import JobStart, job_starts
from batchrunner.store.leases import check_alive
from batchrunner.store.schema import (
    CanaryGate,
    batches,
)
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
        batches.c.known_keys,
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
    left: LeftSlots | None = None,
) -> list[Submission]:
    """
    Claim due jobs up to the batch's limit, open their attempts and write their submissions.

    Jobs with the same output_schema share a submission, at most *most* in one. A paused batch and a
    host without capacity have no due jobs. Until the canary has passed, only its jobs are due. The
    most that the runs may cost is reserved, and no more jobs are claimed than the budget covers.
    *key* is the digest of the API key that will submit them. With *part*, only jobs that
    `choose_part` has chosen are due. Without *ground*, no result is chosen for grounding. After the
    canary, the *first* jobs come first. With *left*, the owner takes only its share and that.

    Raises:
        LeaseLost: Another process ended this owner.
        KeyReplaced: *key* is not one of the batch's account any more.
    """
    batch = _locked(tx, owner_id, batch_id, key)
    settings = settings_in_force(batch)
    found = _gate(tx, batch, settings, now)
    if found is CanaryGate.CLOSED:
        return []
    holders = slot_holders(tx, batch_id, now)
    room = _room(tx, owner_id, batch, settings.concurrency, holders, now, left)
    canary = holders if found is None else None
    due, starts = _choose(tx, batch, settings, room, now, first, canary, part=part)
    if not due:
        return []
    claim = Claim(
        owner_id=owner_id,
        batch_id=batch_id,
        now=now,
        marked=settings.marker,
        starts=starts,
        grounded=_to_ground(settings.grounding, due, starts) if ground else set(),
    )
    claimed = open_attempts(tx, claim, due, most, _token_maker(tx, batch, new_token))
    counters.add_numbers(tx, batch_id, owner_id, claimed_numbers(row.attempt for row in due))
    return claimed


def _locked(tx: Connection, owner_id: str, batch_id: int, key: str | None) -> Any:
    """Return a batch that no other claim changes meanwhile; the owner lives until the commit."""
    check_alive(tx, owner_id)
    batch = tx.execute(_BATCH, {"batch": batch_id}).one()
    account_keys.check_listed(batch.known_keys, key)
    return batch


def _gate(tx: Connection, batch: Any, settings: Settings, now: datetime) -> CanaryGate | None:
    """Return whether jobs may be submitted; None: only those of the canary."""
    if batch.paused_at is not None:
        return CanaryGate.CLOSED
    return canary_gate.check_canary(tx, batch, settings.canary, now)


def _choose(
    tx: Connection,
    batch: Any,
    settings: Settings,
    room: int,
    now: datetime,
    first: Sequence[LastJob],
    canary: SlotHolders | None,
    *,
    part: bool,
) -> tuple[list[Row[Any]], Mapping[int, JobStart]]:
    """Return the jobs to submit, and how they start; with *canary*, only jobs of the canary."""
    if room <= 0:
        return [], {}
    capacity = host_breaker.host_capacity(tx, batch.id, settings.hosts, now)
    if canary is not None:
        due = _due_of_canary(tx, batch.id, room, capacity, now, canary, part=part)
    else:
        due = _due(tx, batch.id, room, capacity, now, first, part=part)
    starts = job_starts(tx, batch.id, Policy.of(settings), due)
    return _affordable(tx, batch, due, starts, capacity, now)[:room], starts


def _due(
    tx: Connection,
    batch_id: int,
    room: int,
    capacity: HostCapacity,
    now: datetime,
    first: Sequence[LastJob],
    *,
    part: bool,
) -> list[Row[Any]]:
    """Return due jobs: the *first* ones, then others in file order."""
    chosen = last_jobs.chosen_jobs(tx, batch_id, first, room, capacity, now, part=part)
    if len(chosen) >= room:
        return chosen
    ids = {row.id for row in chosen}
    rows = due_jobs.due_jobs(tx, batch_id, room, capacity, now, canary=False, part=part)
    return chosen + [row for row in rows if row.id not in ids]


def _due_of_canary(
    tx: Connection,
    batch_id: int,
    room: int,
    capacity: HostCapacity,
    now: datetime,
    holders: SlotHolders,
    *,
    part: bool,
) -> list[Row[Any]]:
    """Return due jobs of the canary; one other job if only that can show whether searches work."""
    due = due_jobs.due_jobs(tx, batch_id, room, capacity, now, canary=True, part=part)
    if not due and holders.need_control_run:
        due = due_jobs.due_jobs(tx, batch_id, 1, capacity, now, canary=False, part=part)
    return due


def _to_ground(
    rule: GroundingRule, due: list[Row[Any]], starts: Mapping[int, JobStart]
) -> set[int]:
    """Return the jobs whose values are searched for in the pages of their runs."""
    if not rule.sample:
        return set()
    return {row.id for row in due if is_sampled(rule, row.key, starts[row.id].options)}


def _room(
    tx: Connection,
    owner_id: str,
    batch: Any,
    asked: int,
    holders: SlotHolders,
    now: datetime,
    left: LeftSlots | None,
) -> int:
    """Return how many more runs may be in flight than there are, by this owner's claims."""
    accepted = bound_in(batch.account_limit)
    bound = concurrency_limit(asked, batch.learned_concurrency, accepted)
    free = holders.free_slots(bound)
    if left is None:
        return free
    taken = fair_shares.slots_to_take(tx, owner_id, batch.id, bound, free, now, left)
    return max(taken, 1) if holders.need_control_run else taken


def _token_maker(tx: Connection, batch: Any, new_token: Callable[[], str]) -> Callable[[], str]:
    """Return what makes tokens of submissions; a batch gets its own before its first one."""
    named: str = batch.marker_token or new_token()[-BATCH_LENGTH:]
    if batch.marker_token is None:
        tx.execute(update(batches).where(batches.c.id == batch.id).values(marker_token=named))
    return lambda: submission_token(named, new_token())


def _affordable(
    tx: Connection,
    batch: Any,
    due: list[Row[Any]],
    starts: Mapping[int, JobStart],
    capacity: HostCapacity,
    now: datetime,
) -> list[Row[Any]]:
    """Return the first jobs whose runs the batch's budget covers, if each costs its most."""
    found = budget.committed_steps(tx, batch, now) if due else None
    if found is None:
        return due
    left, longest = found
    needs = [starts[row.id].max_steps(longest) for row in due]
    probes = {index for index, row in enumerate(due) if row.host in capacity.parked}
    return [due[index] for index in affordable(needs, left.room, probes)]


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
    starts = job_starts(tx, batch_id, policy, due)
    if due:
        return replace(left, needs=starts[due[0].id].max_steps(longest))
    return replace(left, needs=_cheapest_waiting(tx, batch_id, policy, left, longest, part=part))


def _cheapest_waiting(
    tx: Connection, batch_id: int, policy: Policy, left: BudgetStatus, longest: int, *, part: bool
) -> int | None:
    """Return the maximum cost of the cheapest waiting job; None if the budget covers one."""
    cheapest = None
    for page in due_jobs.awaited_jobs(tx, batch_id, part=part) if not left.reserved else ():
        starts = job_starts(tx, batch_id, policy, page)
        needs = [starts[row.id].max_steps(longest) for row in page]
        cheapest = min(needs if cheapest is None else [cheapest, *needs])
        if cheapest <= left.room:
            return None
    return cheapest
