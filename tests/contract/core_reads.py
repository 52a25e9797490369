"""What the text statements of the store read, as Core expressions: the tests compare both."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    false,
    func,
    or_,
    select,
)

from batchrunner.model import (
    AdviceCount,
    Batch,
    ClosedAttempt,
    FailureCategory,
    JobState,
    Owner,
    ParkedHost,
    RunErrorBeside,
    SuspectResults,
    Verdict,
)
from batchrunner.model.artifacts import LISTING, ArtifactCounts, ArtifactState
from batchrunner.model.quality import QualityWord
from batchrunner.model.row_choice import RowChoice
from batchrunner.model.time_and_cost import Hold
from batchrunner.store.batch_reads import Worker
from batchrunner.store.batch_rows import batch_of
from batchrunner.store.conditions import FINAL_STATES, is_current, is_newest, is_shown
from batchrunner.store.host_breaker import _PARKED, _host
from batchrunner.store.schema import artifacts, attempts, batches, holds, jobs, owners
from batchrunner.store.serialization import findings_of, help_of
from batchrunner.store.store_time import LEASE, store_time

_batch: BindParameter[int] = bindparam("batch")
_SHOWN = select(batches).where(batches.c.pruned_at.is_(None))

#: Jobs that succeeded with a suspect result.
_are_suspect = (
    attempts.c.batch_id == bindparam("batch"),
    attempts.c.verdict == Verdict.SUSPECT,
    jobs.c.state == JobState.SUCCEEDED,
    is_current,
)

_numbered = (
    select(
        attempts.c.verdict_rule,
        attempts.c.findings,
        attempts.c.run_id,
        jobs.c.key,
        jobs.c.url,
        func.count().over(partition_by=attempts.c.verdict_rule).label("jobs"),
        func.row_number()
        .over(partition_by=attempts.c.verdict_rule, order_by=(jobs.c.position, jobs.c.id))
        .label("number"),
    )
    .join(jobs, is_newest)
    .where(*_are_suspect)
    .subquery()
)
_SUSPECT_EXAMPLES = (
    select(_numbered)
    .where(_numbered.c.number == 1)
    .order_by(_numbered.c.jobs.desc(), _numbered.c.verdict_rule)
)


_ARTIFACTS = (
    select(
        artifacts.c.state,
        artifacts.c.kind,
        func.count().label("number"),
        func.coalesce(func.sum(artifacts.c.size), 0).label("bytes"),
    )
    .where(artifacts.c.batch_id == bindparam("batch"))
    .group_by(artifacts.c.state, artifacts.c.kind)
)


_WAITING = (
    select(jobs.c.host, func.count().label("waiting"))
    .where(
        jobs.c.batch_id == _batch,
        jobs.c.state == JobState.AVAILABLE,
        jobs.c.host.in_(bindparam("names", expanding=True)),
    )
    .group_by(jobs.c.host)
)


def list_batches(tx: Connection) -> list[Batch]:
    """Return every batch, oldest first."""
    return [batch_of(row) for row in tx.execute(_SHOWN.order_by(batches.c.id))]


def batches_in_flight(tx: Connection) -> dict[str, int]:
    """Return the batches that have runs in flight by name, and how many each has."""
    rows = tx.execute(
        select(batches.c.name, func.count().label("in_flight"))
        .join(attempts, attempts.c.batch_id == batches.c.id)
        .where(attempts.c.closed_at.is_(None))
        .group_by(batches.c.id, batches.c.name)
        .order_by(batches.c.id)
    )
    return {row.name: row.in_flight for row in rows}


def active_workers(tx: Connection, now: datetime, batch_id: int | None = None) -> list[Worker]:
    """
    Return the owners that have not ended, with their runs in flight in a batch, or in all.

    An owner whose lease has expired is included while it has open attempts.
    """
    held = select(attempts.c.owner_id, func.count().label("open")).where(
        attempts.c.closed_at.is_(None)
    )
    if batch_id is not None:
        held = held.where(attempts.c.batch_id == batch_id)
    counted = held.group_by(attempts.c.owner_id).subquery()
    in_flight = func.coalesce(counted.c.open, 0)
    at = store_time(tx, now)
    rows = tx.execute(
        select(owners, in_flight.label("in_flight"))
        .outerjoin(counted, counted.c.owner_id == owners.c.id)
        .where(owners.c.ended_at.is_(None), or_(owners.c.lease_until > at, in_flight > 0))
        .order_by(owners.c.started_at, owners.c.id)
    )
    return [
        Worker(
            owner=Owner(
                id=row.id,
                machine=row.machine,
                pid=row.pid,
                process_started_at=row.process_started_at,
            ),
            since=row.started_at,
            silent=max(at - (row.lease_until - LEASE), timedelta(0)),
            leased=row.lease_until > at,
            in_flight=row.in_flight,
        )
        for row in rows
    ]


def recorded_quality(tx: Connection, batch_id: int) -> QualityWord | None:
    """Return how good the rows of a batch were at the end of its last run; None: unknown."""
    word = tx.execute(select(batches.c.quality_word).where(batches.c.id == batch_id)).scalar()
    return QualityWord(word) if word else None


def current_hold(tx: Connection, batch_id: int, now: datetime) -> Hold | None:
    """Return since when and why living owners lack credits, and until when; None if none does."""
    row = tx.execute(
        select(
            func.min(holds.c.since).label("since"),
            func.min(holds.c.check_at).label("check_at"),
            func.max(holds.c.message).label("message"),
        )
        .join(owners, owners.c.id == holds.c.owner_id)
        .where(
            holds.c.batch_id == batch_id,
            holds.c.ended_at.is_(None),
            and_(owners.c.ended_at.is_(None), owners.c.lease_until > now),
        )
    ).one()
    if row.since is None:
        return None
    return Hold(since=row.since, check_at=row.check_at, reason=row.message or "")


def parked_hosts(tx: Connection, batch_id: int) -> list[ParkedHost]:
    """Return the parked hosts, and how many jobs wait for each."""
    found = [_host(row) for row in tx.execute(_PARKED, {"batch": batch_id})]
    if not found:
        return []
    names = [host.host for host in found]
    rows = tx.execute(_WAITING, {"batch": batch_id, "names": names})
    waiting = {row.host: row.waiting for row in rows}
    return [
        ParkedHost(
            host=host.host,
            since=host.parked_at,
            failures=host.consecutive_failures,
            probe_at=host.probe_at,
            failed_probes=host.failed_probes,
            given_up=host.given_up,
            waiting=waiting.get(host.host, 0),
        )
        for host in found
        if host.parked_at is not None and host.probe_at is not None
    ]


def artifact_counts(tx: Connection, batch_id: int) -> ArtifactCounts:
    """Count a batch's artifacts."""
    states: Counter[ArtifactState] = Counter()
    size = unlisted = 0
    for row in tx.execute(_ARTIFACTS, {"batch": batch_id}):
        size += int(row.bytes)
        if row.kind != LISTING:
            states[ArtifactState(row.state)] += row.number
        elif row.state == ArtifactState.WANTED:
            unlisted = row.number
    return ArtifactCounts(states=states, bytes=size, unlisted=unlisted)


def failed_attempts(
    tx: Connection, batch_id: int, *, final: bool, most: int
) -> list[ClosedAttempt]:
    """
    Return failed attempts with their reasons, in file order.

    With *final*, those that ended their jobs; otherwise those after which their jobs were retried.
    """
    last = attempts.c.retry_at.is_(None) if final else attempts.c.retry_at.is_not(None)
    rows = tx.execute(
        select(attempts, jobs.c.key, jobs.c.url, jobs.c.state)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.batch_id == batch_id, attempts.c.outcome != "succeeded", last)
        .where(and_(is_newest, is_current) if final else attempts.c.job_id == jobs.c.id)
        .order_by(jobs.c.position, attempts.c.number)
        .limit(most)
    )
    return [
        ClosedAttempt(
            key=row.key,
            url=row.url,
            number=row.number,
            category=FailureCategory(row.outcome),
            counted=row.counted,
            message=row.message or "",
            job_state=JobState(row.state),
            code=row.code,
            closed_at=row.closed_at,
            run_id=row.run_id,
            help=help_of(row.help),
            option_overrides=json.loads(row.option_overrides or "{}"),
        )
        for row in rows
    ]


def advice_counts(tx: Connection, batch_id: int, *, most: int) -> list[AdviceCount]:
    """Return what the API advised about the newest runs of failed jobs, the most frequent first."""
    jobs_with_it = func.count().label("jobs")
    rows = tx.execute(
        select(attempts.c.help, jobs_with_it, func.min(jobs.c.key).label("first_key"))
        .join(jobs, is_newest)
        .where(attempts.c.batch_id == batch_id, attempts.c.help.is_not(None), is_current)
        .where(jobs.c.state == JobState.FAILED)
        .group_by(attempts.c.help)
        .order_by(jobs_with_it.desc(), func.min(jobs.c.key))
        .limit(most)
    )
    return [
        AdviceCount(help=help, jobs=row.jobs, first_key=row.first_key)
        for row in rows
        if (help := help_of(row.help)) is not None
    ]


def run_errors(tx: Connection, batch_id: int, *, most: int) -> list[RunErrorBeside]:
    """Return the errors that newest runs reported beside their results, in file order."""
    rows = tx.execute(
        select(jobs.c.key, jobs.c.url, attempts.c.run_id, attempts.c.run_error)
        .join(attempts, is_newest)
        .where(attempts.c.batch_id == batch_id, attempts.c.run_error.is_not(None), is_current)
        .order_by(jobs.c.position)
        .limit(most)
    )
    return [
        RunErrorBeside(key=row.key, url=row.url, run_id=row.run_id, error=row.run_error)
        for row in rows
    ]


def cancelled_jobs(tx: Connection, batch_id: int, *, most: int) -> list[tuple[str, str]]:
    """Return key and url of jobs that were cancelled without a run in flight, in file order."""
    ended = exists().where(is_newest, attempts.c.retry_at.is_(None))
    rows = tx.execute(
        select(jobs.c.key, jobs.c.url)
        .where(jobs.c.batch_id == batch_id, jobs.c.state == JobState.CANCELLED, ~ended)
        .where(is_current)
        .order_by(jobs.c.position)
        .limit(most)
    )
    return [(row.key, row.url) for row in rows]


def suspect_results(tx: Connection, batch_id: int) -> list[SuspectResults]:
    """Return the suspect results of a batch by rule, the most frequent one first."""
    return [
        SuspectResults(
            rule=row.verdict_rule,
            jobs=row.jobs,
            key=row.key,
            url=row.url,
            run_id=row.run_id,
            finding=findings_of(row.findings)[0],
        )
        for row in tx.execute(_SUSPECT_EXAMPLES, {"batch": batch_id})
    ]


# ---- what exports show ----

_later = jobs.alias("later")
_same_job = and_(_later.c.batch_id == jobs.c.batch_id, _later.c.key == jobs.c.key)
_is_last = and_(_same_job, _later.c.superseded.is_(False), _later.c.withdrawn.is_(False))
_place_in_file = select(_later.c.position).where(_is_last).scalar_subquery()


def shown_job_ids(tx: Connection, batch_id: int, choice: RowChoice) -> array[int]:
    """Return the rows of the chosen jobs, in the order of the file: eight bytes for each."""
    shown = _last_good() if choice.last_good else is_current if choice.join else is_shown
    query = select(jobs.c.id).where(jobs.c.batch_id == batch_id, shown)
    if not choice.join:
        query = query.where(jobs.c.state.in_(FINAL_STATES))
    if choice.is_filtered:
        query = query.where(_chosen(choice))
    # An older revision stands where the job is in the file now.
    place = _place_in_file if choice.last_good else jobs.c.position
    found = tx.execute(query.order_by(place, jobs.c.id))
    return array("q", found.scalars())


def _chosen(choice: RowChoice) -> ColumnElement[bool]:
    for_reasons = exists().where(
        is_newest, attempts.c.outcome.in_([*choice.categories]), jobs.c.state == JobState.FAILED
    )
    with_verdicts = exists().where(
        is_newest,
        attempts.c.verdict.in_([*choice.verdicts]),
        jobs.c.state.in_([JobState.SUCCEEDED, JobState.FAILED]),
    )
    return or_(
        jobs.c.state.in_([*choice.states]),
        for_reasons if choice.categories else false(),
        with_verdicts if choice.verdicts else false(),
    )


def _last_good() -> ColumnElement[bool]:
    """Return what is true for the newest good revision of a job, and for one without any."""
    good = and_(_same_job, _later.c.state == JobState.SUCCEEDED)
    newest_good = and_(
        jobs.c.state == JobState.SUCCEEDED,
        ~exists().where(good, _later.c.revision > jobs.c.revision),
        exists().where(_is_last),
    )
    return or_(newest_good, and_(is_current, ~exists().where(good)))
