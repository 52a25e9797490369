"""How a batch stands: its jobs in numbers, its cost, its failures, and what holds it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from batchrunner.app.clock import now, store_now
from batchrunner.app.process_identity import exited_owners
from batchrunner.model import (
    AdviceCount,
    Batch,
    BatchCounts,
    BudgetStatus,
    ClosedAttempt,
    FailureCategory,
    JobState,
    ParkedHost,
    Pause,
    Rate,
    RunErrorBeside,
    SuspectResults,
)
from batchrunner.model.artifacts import ArtifactCounts
from batchrunner.model.quality import QualityStop, QualityWord
from batchrunner.model.time_and_cost import Hold
from batchrunner.store.batch_reads import (
    Worker,
    active_workers,
    artifact_counts,
    current_hold,
    parked_hosts,
    recorded_quality,
)
from batchrunner.store.count_reads import read_counts
from batchrunner.store.failure_reads import (
    advice_counts,
    failed_attempts,
    run_errors,
    suspect_results,
)

if TYPE_CHECKING:
    from batchrunner.store.store import Store

#: Failed attempts that are read to be reported.
MAX_ATTEMPTS_SHOWN = 1000
#: Different advice of the API that is read to be reported.
MAX_ADVICE_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class RunnerProcess:
    """A process that works on the database, or worked on it and has not retired."""

    worker: Worker
    is_running: bool  #: it is not known to have exited

    @property
    def is_alive(self) -> bool:
        """Whether it runs and renews its lease."""
        return self.is_running and self.worker.leased

    @property
    def machine(self) -> str:
        """The name of its machine."""
        return self.worker.owner.machine.partition(" ")[0]


@dataclass(frozen=True, kw_only=True)
class BatchStatus:
    """How a batch stands at one moment."""

    name: str
    series: str | None  #: the series of which it is an edition; None: it is none
    edition: str | None
    api_origin: str | None  #: the API that its runs are on; None before the first run
    concurrency: int  #: runs in flight at most; 0: as many as the account has slots
    counts: BatchCounts
    quality_stop: QualityStop | None  #: why its data stopped it
    paused: Pause | None
    no_credits: Hold | None
    parked: tuple[ParkedHost, ...]
    rate: Rate | None  #: price of a step; None where nothing says it
    budget: BudgetStatus | None
    artifacts: ArtifactCounts
    suspects: tuple[SuspectResults, ...]  #: delivered results that look wrong, by rule
    failures: tuple[ClosedAttempt, ...]  #: attempts that ended their jobs
    retries: tuple[ClosedAttempt, ...]  #: failed attempts that were followed by others
    quality: QualityWord | None = None  #: of its rows at the end of its last run; None: unknown
    advice: tuple[AdviceCount, ...]  #: what the API advised about the newest runs of failed jobs
    run_errors: tuple[RunErrorBeside, ...]  #: errors that runs reported beside their results

    @property
    def finished(self) -> bool:
        """Whether every job is final."""
        return not self.counts.open

    @property
    def succeeded(self) -> int:
        """Jobs that succeeded."""
        return self.counts.jobs[JobState.SUCCEEDED]

    @property
    def suspect(self) -> int:
        """Succeeded jobs whose results look wrong."""
        return sum(self.counts.suspect.values())

    @property
    def failed(self) -> Mapping[FailureCategory, int]:
        """Failed jobs by category."""
        return self.counts.failed

    @property
    def cost(self) -> Decimal | None:
        """What the batch has cost so far, in dollars; None where the price of a step is unknown."""
        return None if self.rate is None else self.counts.steps * self.rate.amount


def batch_status(store: Store, batch: Batch) -> BatchStatus:
    """Read how a batch stands."""
    time, most = store_now(store), MAX_ATTEMPTS_SHOWN
    return BatchStatus(
        name=batch.name,
        series=batch.series,
        edition=batch.edition,
        api_origin=batch.api_origin,
        concurrency=batch.settings.concurrency,
        counts=store.read(read_counts, batch.id),
        quality_stop=batch.quality_stop,
        paused=batch.pause,
        no_credits=store.read(current_hold, batch.id, time),
        parked=tuple(store.read(parked_hosts, batch.id)),
        rate=batch.step_price,
        budget=batch_budget(store, batch, time),
        artifacts=store.read(artifact_counts, batch.id),
        suspects=tuple(store.read(suspect_results, batch.id)),
        failures=tuple(store.read(failed_attempts, batch.id, final=True, most=most)),
        retries=tuple(store.read(failed_attempts, batch.id, final=False, most=most)),
        quality=store.read(recorded_quality, batch.id),
        advice=tuple(store.read(advice_counts, batch.id, most=MAX_ADVICE_SHOWN)),
        run_errors=tuple(store.read(run_errors, batch.id, most=most)),
    )


def batch_budget(store: Store, batch: Batch, now: datetime) -> BudgetStatus | None:
    """Return how much of a batch's budget is used; None where it has none."""
    if batch.settings.budget is None:
        return None
    from batchrunner.store.claims import budget_status  # imports SQLAlchemy

    return store.read(budget_status, batch.id, now)


def watched_elsewhere(store: Store, batch: Batch) -> int:
    """Return how many runs in flight of a batch live runners watch."""
    found = runner_processes(store, batch)
    return sum(process.worker.in_flight for process in found if process.is_alive)


def runner_processes(store: Store, batch: Batch) -> list[RunnerProcess]:
    """Return the processes that work on the database, with their runs of this batch."""
    workers = store.read(active_workers, now(), batch.id)
    exited = exited_owners([worker.owner for worker in workers])
    return [
        RunnerProcess(worker=worker, is_running=worker.owner.id not in exited) for worker in workers
    ]
