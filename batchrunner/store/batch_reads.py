"""Reads batches, what holds them back, and who works on them: statements of text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from batchrunner.model import Batch, Owner, ParkedHost
from batchrunner.model.artifacts import LISTING, ArtifactCounts, ArtifactState
from batchrunner.model.hosts import MAX_PROBES
from batchrunner.model.quality import QualityWord
from batchrunner.model.time_and_cost import Hold
from batchrunner.store.batch_rows import batch_of
from batchrunner.store.instants import instant_of, stored_instant
from batchrunner.store.plain_sql import FileTransaction, rows, text_only
from batchrunner.store.store_time import LEASE, store_time

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BATCHES = """
SELECT id, name, settings, api_origin, concurrency, budget, paused_at, pause_reason, step_price,
    series, edition, quality_stop
FROM batches WHERE pruned_at IS NULL ORDER BY id
"""


@text_only
def list_batches(tx: Connection | FileTransaction) -> list[Batch]:
    """Return every batch, oldest first."""
    found = rows(tx, _BATCHES)
    for row in found:
        row.paused_at = instant_of(row.paused_at)
    return [batch_of(row) for row in found]


_IN_FLIGHT = """
SELECT batches.name, count(*) AS in_flight
FROM batches JOIN attempts ON attempts.batch_id = batches.id
WHERE attempts.closed_at IS NULL
GROUP BY batches.id, batches.name ORDER BY batches.id
"""


@text_only
def batches_in_flight(tx: Connection | FileTransaction) -> dict[str, int]:
    """Return the batches that have runs in flight by name, and how many each has."""
    return {row.name: row.in_flight for row in rows(tx, _IN_FLIGHT)}


@text_only
def recorded_quality(tx: Connection | FileTransaction, batch_id: int) -> QualityWord | None:
    """Return how good the rows of a batch were at the end of its last run; None: unknown."""
    (row,) = rows(tx, "SELECT quality_word AS word FROM batches WHERE id = :batch", batch=batch_id)
    return QualityWord(row.word) if row.word else None


# ---- processes ----


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """An owner that has not ended."""

    owner: Owner
    since: datetime
    silent: timedelta  #: time since it last renewed its lease
    leased: bool  #: whether its lease still runs
    in_flight: int  #: its open attempts


_WORKERS = """
SELECT owners.id, machine, pid, process_started_at, started_at, lease_until,
    coalesce(held.open, 0) AS in_flight
FROM owners LEFT JOIN (
    SELECT owner_id, count(*) AS open FROM attempts WHERE closed_at IS NULL {of_batch}
    GROUP BY owner_id
) AS held ON held.owner_id = owners.id
WHERE owners.ended_at IS NULL AND (owners.lease_until > :at OR coalesce(held.open, 0) > 0)
ORDER BY owners.started_at, owners.id
"""
_ALL_WORKERS = _WORKERS.format(of_batch="")
_WORKERS_OF_BATCH = _WORKERS.format(of_batch="AND batch_id = :batch")


@text_only
def active_workers(
    tx: Connection | FileTransaction, now: datetime, batch_id: int | None = None
) -> list[Worker]:
    """
    Return the owners that have not ended, with their runs in flight in a batch, or in all.

    An owner whose lease has expired is included while it has open attempts.
    """
    at = store_time(tx, now)
    if batch_id is None:
        found = rows(tx, _ALL_WORKERS, at=stored_instant(at))
    else:
        found = rows(tx, _WORKERS_OF_BATCH, at=stored_instant(at), batch=batch_id)
    return [
        Worker(
            owner=Owner(
                id=row.id,
                machine=row.machine,
                pid=row.pid,
                process_started_at=row.process_started_at,
            ),
            since=datetime.fromisoformat(row.started_at),
            silent=max(at - (lease_until - LEASE), timedelta(0)),
            leased=lease_until > at,
            in_flight=row.in_flight,
        )
        for row in found
        for lease_until in [datetime.fromisoformat(row.lease_until)]
    ]


# ---- what holds a batch back ----

_HOLD = """
SELECT min(holds.since) AS since, min(holds.check_at) AS check_at, max(holds.message) AS message
FROM holds JOIN owners ON owners.id = holds.owner_id
WHERE holds.batch_id = :batch AND holds.ended_at IS NULL
    AND owners.ended_at IS NULL AND owners.lease_until > :at
"""


@text_only
def current_hold(tx: Connection | FileTransaction, batch_id: int, now: datetime) -> Hold | None:
    """Return since when and why living owners lack credits, and until when; None if none does."""
    (row,) = rows(tx, _HOLD, batch=batch_id, at=stored_instant(now))
    if row.since is None:
        return None
    return Hold(
        since=datetime.fromisoformat(row.since),
        check_at=datetime.fromisoformat(row.check_at),
        reason=row.message or "",
    )


_PARKED = """
SELECT host, consecutive_failures, parked_at, probe_at, failed_probes, (
    SELECT count(*) FROM jobs
    WHERE batch_id = :batch AND state = 'available' AND jobs.host = host_breakers.host
) AS waiting
FROM host_breakers WHERE batch_id = :batch AND parked_at IS NOT NULL
"""


@text_only
def parked_hosts(tx: Connection | FileTransaction, batch_id: int) -> list[ParkedHost]:
    """Return the parked hosts, and how many jobs wait for each."""
    return [
        ParkedHost(
            host=row.host,
            since=datetime.fromisoformat(row.parked_at),
            failures=row.consecutive_failures,
            probe_at=datetime.fromisoformat(row.probe_at),
            failed_probes=row.failed_probes,
            given_up=row.failed_probes >= MAX_PROBES,
            waiting=row.waiting,
        )
        for row in rows(tx, _PARKED, batch=batch_id)
    ]


# ---- artifacts ----

_ARTIFACTS = """
SELECT state, kind, count(*) AS number, coalesce(sum(size), 0) AS bytes
FROM artifacts WHERE batch_id = :batch GROUP BY state, kind
"""


@text_only
def artifact_counts(tx: Connection | FileTransaction, batch_id: int) -> ArtifactCounts:
    """Count a batch's artifacts."""
    states: Counter[ArtifactState] = Counter()
    size = unlisted = 0
    for row in rows(tx, _ARTIFACTS, batch=batch_id):
        size += int(row.bytes)
        if row.kind != LISTING:
            states[ArtifactState(row.state)] += row.number
        elif row.state == ArtifactState.WANTED:
            unlisted = row.number
    return ArtifactCounts(states=states, bytes=size, unlisted=unlisted)
