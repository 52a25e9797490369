"""Steers a batch, also while it runs: retry, pause, resume, changed limits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from batchrunner.app.budget import check_rate, given_budget
from batchrunner.app.clock import store_now
from batchrunner.app.process_identity import running_owners
from batchrunner.errors import UsageError
from batchrunner.inputs.field_types import did_you_mean
from batchrunner.model import AUTO, Batch, BudgetStatus, FailureCategory, JobState
from batchrunner.model.job_file import MAX_CONCURRENCY
from batchrunner.store import controls, host_breaker
from batchrunner.store.batch_reads import parked_hosts
from batchrunner.store.budget import set_budget as set_budget_in_store
from batchrunner.store.claims import budget_status
from batchrunner.store.editions import newest_edition
from batchrunner.store.leases import live_owners
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What a retry did."""

    jobs: int  #: put back; the next run runs them
    unanswered: int = 0  #: left alone, because a run of theirs may exist


@dataclass(frozen=True, kw_only=True)
class Paused:
    """What is in flight of a batch that is paused now."""

    running: int
    watched: bool  #: a runner collects them


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Whether a batch was paused, and whether a runner goes on with it."""

    was_paused: bool
    has_runner: bool


def categories_of(names: str | Collection[str]) -> list[FailureCategory]:
    """
    Return the failure categories of these names, or the one of this name.

    Raises:
        UsageError: There is no such category.
    """
    return [_category_of(name) for name in ([names] if isinstance(names, str) else names)]


def _category_of(name: str) -> FailureCategory:
    try:
        return FailureCategory(name)
    except ValueError as error:
        known = tuple(FailureCategory)
        tip = did_you_mean(str(name), known)
        raise UsageError(
            f"there is no failure category {name!r}",
            next=tip or f"name one of these: {', '.join(known)}",
        ) from error


def retry_jobs(
    store: Store, batch: Batch, categories: Sequence[FailureCategory], keys: Sequence[str]
) -> Retried:
    """
    Put failed jobs back: all, or those that categories and keys choose.

    Jobs that are unanswered are put back only where a choice names them: their runs may exist.

    Raises:
        UsageError: None of the *keys* belongs to a job that has failed or was cancelled.
    """
    count = store.write(controls.retry_jobs, batch.id, categories, keys, store_now(store))
    if keys and not count:
        raise UsageError(
            "no job of such an id has failed or was cancelled",
            next="the `id` column of the export names the jobs",
        )
    everything = not keys and not categories
    failed = store.read(batch_counts, batch.id).failed if everything else {}
    return Retried(jobs=count, unanswered=failed.get(FailureCategory.UNANSWERED, 0))


def newer_edition(store: Store, batch: Batch) -> str | None:
    """Return the newest edition of a batch's series, if it is another: runs submit only that."""
    newest = None if batch.series is None else store.read(newest_edition, batch.series)
    return None if newest is None or newest.id == batch.id else newest.name


def pause_batch(store: Store, batch: Batch, reason: str | None) -> Paused:
    """Submit nothing more of a batch until it is resumed; runs in flight go on."""
    now = store_now(store)
    store.write(controls.pause_batch, batch.id, reason, now)
    running = store.read(batch_counts, batch.id).jobs[JobState.RUNNING]
    return Paused(
        running=running, watched=bool(running_owners(store.read(live_owners, now, batch.id)))
    )


def resume_batch(store: Store, batch: Batch) -> Resumed:
    """Let a batch go on after a pause, a canary that failed, or a stop for bad data."""
    was_paused = store.write(controls.resume_batch, batch.id, store_now(store))
    working = running_owners(store.read(live_owners, store_now(store)))
    return Resumed(was_paused=was_paused, has_runner=bool(working))


def unpark_hosts(store: Store, batch: Batch, hosts: Collection[str]) -> set[str]:
    """Let these hosts be used again; return those that were parked."""
    parked = {host.host for host in store.read(parked_hosts, batch.id)}
    store.write(host_breaker.unpark_hosts, batch.id, hosts)
    return parked & set(hosts)


def concurrency_of(given: int | str) -> int:
    """
    Return the most runs in flight, AUTO for `auto`.

    Raises:
        UsageError: It is no number of runs in flight.
    """
    if given == "auto":
        return AUTO
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= MAX_CONCURRENCY:
        return given
    raise UsageError(
        f"concurrency {given!r}: this is no number of runs in flight",
        next=f"give a number from 1 to {MAX_CONCURRENCY}, or 'auto'",
    )


def set_concurrency(store: Store, batch: Batch, concurrency: int) -> int:
    """Set how many runs may be in flight, over all runners; return how many are."""
    store.write(controls.set_concurrency, batch.id, concurrency)
    return store.read(batch_counts, batch.id).jobs[JobState.RUNNING]


def set_budget(store: Store, batch: Batch, text: str) -> BudgetStatus | None:
    """
    Set the most that a batch may cost; return how much of that is used, None for `none`.

    Raises:
        UsageError: It is no budget, or it is money and nothing says what a step costs.
    """
    budget = given_budget(text)
    check_rate(budget, batch)
    store.write(set_budget_in_store, batch.id, budget)
    return store.read(budget_status, batch.id, store_now(store))
