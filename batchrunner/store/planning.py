"""Reads what a plan needs: what a load would change, and which jobs would then run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, not_, or_, select

from batchrunner.model import JobFile, JobState, Rate, Settings
from batchrunner.model.comparison import Comparison, EditDecision
from batchrunner.model.forecast import JobGroup
from batchrunner.model.hosts import host_of
from batchrunner.policy.budget import rate_in_force
from batchrunner.policy.job_groups import Work, job_groups
from batchrunner.policy.slots import concurrency_limit
from batchrunner.store import budget
from batchrunner.store.account_limit import bound_in
from batchrunner.store.batch_rows import SET_LATER, rate_of, settings_in_force
from batchrunner.store.comparing import compare_staged, lists_all_jobs, peek_batch
from batchrunner.store.conditions import FINAL_STATES, has_suspect_result, is_current
from batchrunner.store.schema import batches, jobs
from batchrunner.store.serialization import options_of, rules_of, settings_of
from batchrunner.store.staging import (
    MatchKind,
    in_batch,
    in_file,
    is_gone,
    is_left,
    is_new,
    matches,
    staged,
)


@dataclass(frozen=True, kw_only=True)
class RunMeans:
    """What a batch has to run with."""

    settings: Settings  #: in force after the load
    slots: int  #: runs in flight at most
    rate: Rate | None
    used: int = 0  #: steps of its budget that are gone


@dataclass(frozen=True, kw_only=True)
class PlannedLoad:
    """What a load would change, the jobs that would then run, and with what."""

    comparison: Comparison
    groups: list[JobGroup]
    means: RunMeans


@dataclass(frozen=True, kw_only=True)
class Again:
    """Which succeeded jobs run again after the load; without a choice, all."""

    keys: Collection[str] = ()
    finished_before: datetime | None = None
    suspect: bool = False  #: only those whose results look wrong


def planned_load(
    tx: Connection,
    file: JobFile,
    origin: str,
    decision: EditDecision,
    now: datetime,
    again: Again | None = None,
) -> PlannedLoad:
    """Return what loading *file* and running its batch would do; nothing changes."""
    batch = peek_batch(tx, file.name)
    if batch is None:
        return planned_first_load(file, _means_of_new(tx, file.settings, origin))
    settings = _settings_after(batch, file.settings)
    with staged(tx, file, batch.id, now, lists_all=lists_all_jobs(file, decision)):
        found = compare_staged(tx, file, batch, decision)
        run_changed = decision.run_changed is not False
        work = list(_work_after(tx, run_changed=run_changed))
        if again is not None:
            work += _work_again(tx, again, run_changed=run_changed)
        groups = job_groups(work, settings)
    return PlannedLoad(comparison=found, groups=groups, means=_means(tx, batch, settings, now))


def planned_first_load(file: JobFile, means: RunMeans) -> PlannedLoad:
    """Return what the first load of *file* would do."""
    found = Comparison(batch=file.name, rows=len(file.specs), new=len(file.specs))
    work = ((host_of(spec.url), spec.options, spec.policy, 1) for spec in file.specs)
    return PlannedLoad(comparison=found, groups=job_groups(work, means.settings), means=means)


def means_without_database(settings: Settings) -> RunMeans:
    """Return what a batch has to run with where there is no database."""
    slots = concurrency_limit(settings.concurrency, None)
    return RunMeans(settings=settings, slots=slots, rate=rate_in_force(settings, None))


def open_jobs(
    tx: Connection, batch_id: int, now: datetime, *, part: bool = False
) -> tuple[list[JobGroup], RunMeans]:
    """Return the jobs of a batch that are not final, or those of its part, and what they have."""
    of_part = (jobs.c.part,) if part else ()
    query = select(jobs.c.host, jobs.c.options, jobs.c.policy, func.count()).where(
        jobs.c.batch_id == batch_id, is_current, jobs.c.state.not_in(FINAL_STATES), *of_part
    )
    rows = tx.execute(query.group_by(jobs.c.host, jobs.c.options, jobs.c.policy))
    batch = tx.execute(select(batches).where(batches.c.id == batch_id)).one()
    settings = settings_in_force(batch)
    return job_groups(_work(rows), settings), _means(tx, batch, settings, now)


def _work_after(tx: Connection, *, run_changed: bool) -> Iterator[Work]:
    """Give the jobs that would run after the load of what is staged."""
    alike = (in_file.c.host, in_file.c.options, in_file.c.policy)
    new = select(*alike, func.count()).where(is_new).group_by(*alike)
    yield from _work(tx.execute(new))
    runs = not_(in_batch.c.is_final)
    if run_changed:
        runs = or_(runs, matches.c.kind == MatchKind.CHANGED)
    known = (
        select(*alike, func.count())
        .join(matches, matches.c.position == in_file.c.position)
        .join(in_batch, in_batch.c.id == matches.c.job_id)
        .where(runs, matches.c.kind != MatchKind.RESTORED)
        .group_by(*alike)
    )
    yield from _work(tx.execute(known))
    stays = (jobs.c.host, jobs.c.options, jobs.c.policy)
    left = (
        select(*stays, func.count())
        .join(in_batch, in_batch.c.id == jobs.c.id)
        .where(is_left, not_(is_gone), not_(in_batch.c.is_final), not_(in_batch.c.withdrawn))
        .group_by(*stays)
    )
    yield from _work(tx.execute(left))


def _work_again(tx: Connection, again: Again, *, run_changed: bool) -> Iterator[Work]:
    """Give the succeeded jobs that would then run again, without those that run as they changed."""
    alike = (jobs.c.host, jobs.c.options, jobs.c.policy)
    chosen = [jobs.c.state == JobState.SUCCEEDED, jobs.c.url != ""]
    # What the file has no longer is not in the batch then; what it has again, is.
    is_out = or_(in_batch.c.follows_file, in_batch.c.withdrawn)
    chosen.append(or_(matches.c.job_id.is_not(None), not_(is_out)))
    if run_changed:
        chosen.append(func.coalesce(matches.c.kind, "") != MatchKind.CHANGED)
    if again.keys:
        chosen.append(in_batch.c.key.in_(again.keys))
    if again.finished_before is not None:
        chosen.append(jobs.c.finished_at < again.finished_before)
    if again.suspect:
        chosen.append(has_suspect_result)
    query = (
        select(*alike, func.count())
        .select_from(in_batch)
        .outerjoin(matches, matches.c.job_id == in_batch.c.id)
        .join(jobs, jobs.c.id == func.coalesce(matches.c.restores, in_batch.c.id))
        .where(*chosen)
        .group_by(*alike)
    )
    yield from _work(tx.execute(query))


def _work(rows: Iterable[Any]) -> Iterator[Work]:
    for host, options, policy, count in rows:
        yield host, options_of(options, None), rules_of(policy), count


def _settings_after(batch: Any, given: Settings) -> Settings:
    """Return a batch's settings after a load: what was set since stays unless the file changed."""
    before, now = settings_of(batch.settings), settings_in_force(batch)
    kept = [name for name in SET_LATER if getattr(before, name) == getattr(given, name)]
    return replace(given, **{name: getattr(now, name) for name in kept})


def _means(tx: Connection, batch: Any, settings: Settings, now: datetime) -> RunMeans:
    found = budget.committed_steps(tx, batch, now)
    learned, accepted = batch.learned_concurrency, bound_in(batch.account_limit)
    return RunMeans(
        settings=settings,
        slots=concurrency_limit(settings.concurrency, learned, accepted),
        rate=rate_of(batch),
        used=found[0].limit - found[0].room if found else 0,
    )


def _means_of_new(tx: Connection, settings: Settings, origin: str) -> RunMeans:
    """Return what a new batch has: of its account, what the newest batch on the API knows."""
    newest = tx.execute(
        select(batches).where(batches.c.api_origin == origin).order_by(batches.c.id.desc()).limit(1)
    ).first()
    if newest is None:
        return means_without_database(settings)
    price = Decimal(newest.step_price) if newest.step_price else None
    learned, accepted = newest.learned_concurrency, bound_in(newest.account_limit)
    return RunMeans(
        settings=settings,
        slots=concurrency_limit(settings.concurrency, learned, accepted),
        rate=rate_in_force(settings, price),
    )
