"""Cancels jobs of a batch: waiting ones at once, those in flight through the API."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchrunner.app.clock import store_now
from batchrunner.app.process_identity import running_owners
from batchrunner.app.run_batch import BatchRunEnded, work
from batchrunner.app.run_observer import RunObserver
from batchrunner.app.stop_control import StopControl
from batchrunner.errors import UsageError
from batchrunner.model import Batch, FailureCategory
from batchrunner.store import controls
from batchrunner.store.leases import live_owners
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which open jobs to cancel; an empty part chooses all."""

    keys: Collection[str] = ()
    hosts: Collection[str] = ()
    categories: Collection[FailureCategory] = ()  #: of the failure before the next try

    @property
    def chooses_all(self) -> bool:
        """Whether every open job is chosen."""
        return not (self.keys or self.hosts or self.categories)


@dataclass(frozen=True, kw_only=True)
class CancelResult:
    """What a request to cancel has done."""

    cancelled: int  #: jobs that were waiting
    in_flight: int  #: jobs whose runs are still to be cancelled on the API
    runner_at_work: bool  #: a runner of the batch will cancel these runs


def count_open_jobs(store: Store, batch: Batch) -> int:
    """Return how many jobs would be cancelled if all are chosen."""
    return store.read(batch_counts, batch.id).open


def cancel_jobs(store: Store, batch: Batch, chosen: JobFilter) -> CancelResult:
    """
    Cancel waiting jobs, and ask for the runs of the others to be cancelled.

    If no runner is at work, `finish_cancelling` has to cancel these runs.

    Raises:
        UsageError: No open job has one of the keys, or is on one of the hosts.
    """
    cancelled, in_flight = store.write(
        controls.cancel_jobs,
        batch.id,
        chosen.keys,
        store_now(store),
        chosen.hosts,
        chosen.categories,
    )
    _check_found(chosen, cancelled + in_flight)
    return CancelResult(
        cancelled=cancelled,
        in_flight=in_flight,
        runner_at_work=bool(running_owners(store.read(live_owners, store_now(store), batch.id))),
    )


def _check_found(chosen: JobFilter, count: int) -> None:
    if chosen.hosts and not count:
        raise UsageError(
            "no such job on such a host is waiting or running",
            next="name it as it stands in urls: shop.example.com, without https://",
        )
    if chosen.keys and not count:
        raise UsageError(
            "no job of such an id is waiting or running",
            next="the `id` column of the export names the jobs",
        )


def finish_cancelling(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    observer: RunObserver,
    *,
    key: str,
    control: StopControl | None = None,
) -> BatchRunEnded:
    """
    Cancel runs on the API, and poll them until it has confirmed that they are over.

    *key* is the key's digest, as `account_check.bind` returns it.
    """
    return work(store, batch, api, observer, key=key, submit=False, control=control)
