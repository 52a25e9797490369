"""Plans a load and a run: what would change, what it would cost, when it would be done."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from batchrunner.app.api_access import origin_of
from batchrunner.app.budget import given_budget
from batchrunner.app.choose_edition import SeriesOptions, planned_edition
from batchrunner.app.clock import now as present
from batchrunner.app.clock import store_now
from batchrunner.app.input_request import InputRequest
from batchrunner.app.outlook import Outlook, outlook
from batchrunner.app.places import Place, PlaceChoice, locate
from batchrunner.app.read_input import read_input
from batchrunner.app.rerun import RerunChoice
from batchrunner.app.run_observer import say_nothing
from batchrunner.app.run_window import run_window
from batchrunner.model import Batch, Budget, JobFile
from batchrunner.model.comparison import UNDECIDED, Comparison, EditDecision, Guard
from batchrunner.model.forecast import JobGroup, SampledJob
from batchrunner.policy.schedule import Window
from batchrunner.store.address import file_of
from batchrunner.store.batches import find_batch
from batchrunner.store.database_file import lost_database
from batchrunner.store.past_jobs import past_jobs
from batchrunner.store.planning import (
    PlannedLoad,
    RunMeans,
    means_without_database,
    open_jobs,
    planned_first_load,
    planned_load,
)
from batchrunner.store.store import Store


@dataclass(frozen=True)
class GivenBudget:
    """A budget that a run sets; None: it takes off the one there is."""

    budget: Budget | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a load of a file would change in its batch, and what running it would cost."""

    batch: str
    database: str
    is_new: bool  #: the database has no such batch yet
    comparison: Comparison
    places: tuple[Place, ...]  #: where the jobs of a new batch were run before
    guards: tuple[Guard, ...]  #: what the user must decide before the load
    outlook: Outlook
    warnings: tuple[str, ...]  #: what is odd in the file
    notes: tuple[str, ...]  #: which batch it is, where that is not plain
    duplicates: int  #: rows that repeat others


def plan_file(
    request: InputRequest,
    address: str,
    *,
    sandboxed: bool = False,
    api_url: str | None = None,
    concurrency: int | None = None,
    budget: str | None = None,
    window: tuple[str | datetime | None, str | datetime | None] = (None, None),
    series: SeriesOptions | None = None,
    decision: EditDecision = UNDECIDED,
    rerun: RerunChoice | None = None,
    choice: PlaceChoice | None = None,
) -> Plan:
    """
    Plan the load of the files that a request names, and the run of their batch.

    The options are those of a run. Nothing is changed, made or migrated, and no key is needed.

    Raises:
        InputError: The files have problems; all of them are in one report.
        UsageError: An option is wrong.
        StoreError: The database cannot be read, or was lost.
    """
    times = run_window(*window, say_nothing)
    job_file = read_input(request)
    if concurrency is not None:
        settings = replace(job_file.settings, concurrency=concurrency)
        job_file = replace(job_file, settings=settings)
    return plan_load(
        address,
        job_file,
        origin_of(sandboxed=sandboxed, api_url=api_url),
        window=times,
        series=series,
        budget=None if budget is None else GivenBudget(given_budget(budget)),
        decision=decision,
        rerun=rerun,
        choice=choice,
    )


def plan_load(
    address: str,
    job_file: JobFile,
    origin: str,
    *,
    window: Window | None = None,
    series: SeriesOptions | None = None,
    budget: GivenBudget | None = None,
    decision: EditDecision = UNDECIDED,
    rerun: RerunChoice | None = None,
    choice: PlaceChoice | None = None,
) -> Plan:
    """
    Plan the load of a file and the run of its batch; nothing is changed, made or migrated.

    *origin* is the API that would be used: only its past counts. *budget* is one that a run sets.

    Raises:
        StoreError: The database cannot be read, or was lost.
    """
    notes: list[str] = []
    choice = choice or PlaceChoice()
    job_file, elsewhere = locate(address, job_file, origin, choice, notes.append)
    edit = (decision, rerun or RerunChoice())
    read = _read_plan(address, job_file, origin, series or SeriesOptions(), edit)
    means = read.load.means
    if budget is not None:
        means = replace(means, settings=replace(means.settings, budget=budget.budget))
    return Plan(
        batch=read.load.comparison.batch,
        database=address,
        is_new=read.is_new,
        comparison=read.load.comparison,
        places=elsewhere,
        guards=read.load.comparison.guards(decision),
        outlook=_outlook(read.load.groups, read.past, means, window or Window(), read.at),
        warnings=job_file.warnings,
        notes=(*job_file.notes, *notes),
        duplicates=job_file.duplicates,
    )


@dataclass(frozen=True, kw_only=True)
class _ReadPlan:
    """What the database says."""

    load: PlannedLoad
    past: list[SampledJob]
    is_new: bool
    at: datetime


def _read_plan(
    address: str,
    job_file: JobFile,
    origin: str,
    series: SeriesOptions,
    edit: tuple[EditDecision, RerunChoice],
) -> _ReadPlan:
    file = file_of(address)
    if file is not None and (lost := lost_database(file)) is not None:
        raise lost
    if file is not None and not file.exists():
        found = planned_first_load(job_file, means_without_database(job_file.settings))
        return _ReadPlan(load=found, past=[], is_new=True, at=present())
    with closing(Store.connect(address)) as store:
        now = store_now(store)
        named = planned_edition(store, job_file, series, now)
        return store.trial(_read, named, origin, edit, now)


def _read(
    tx: Connection,
    file: JobFile,
    origin: str,
    edit: tuple[EditDecision, RerunChoice],
    now: datetime,
) -> _ReadPlan:
    decision, rerun = edit
    return _ReadPlan(
        load=planned_load(tx, file, origin, decision, now, rerun.at(now)),
        past=past_jobs(tx, origin),
        is_new=find_batch(tx, file.name) is None,
        at=now,
    )


def outlook_of_batch(
    store: Store, batch: Batch, origin: str, window: Window, *, part: bool = False
) -> Outlook:
    """Return what the jobs of a batch that are not final will cost, or those of its part."""
    now = store_now(store)
    groups, means = store.read(open_jobs, batch.id, now, part=part)
    return _outlook(groups, store.read(past_jobs, origin), means, window, now)


def _outlook(
    groups: list[JobGroup], past: list[SampledJob], means: RunMeans, window: Window, now: datetime
) -> Outlook:
    return outlook(
        groups,
        past,
        means.settings,
        slots=means.slots,
        rate=means.rate,
        used=means.used,
        window=window,
        now=now,
    )
