"""Estimates cost and duration from the history of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchrunner.model import Budget, JobFile, Rate, Wallet
    from batchrunner.model.estimate import Estimate, ExpectedRun
    from batchrunner.store.store import Store


@dataclass(frozen=True, kw_only=True)
class BatchEstimate:
    """What the open jobs of a file may cost and how long they may take."""

    jobs: int
    done: int
    first: int  #: most that the first of them may take in one run
    slots: int  #: runs in flight at most, where that is known; else 0
    once: int
    worst: int
    forecast: Estimate | None
    rate: Rate | None
    budget: Budget | None
    wallet: Wallet | None

    @property
    def most(self) -> int:
        """The upper end: what is estimated, else the worst that can be."""
        return self.forecast.steps[1] if self.forecast else self.worst


def estimate_without_history(job_file: JobFile, wallet: Wallet | None) -> BatchEstimate:
    """Estimate where nothing is known."""
    return _of(job_file, _plans(job_file, set()), None, wallet)


def estimate_jobs(
    store: Store, job_file: JobFile, origin: str, wallet: Wallet | None
) -> BatchEstimate:
    """Estimate by what jobs of this database took on the same API."""
    from batchrunner.policy.estimate import estimate
    from batchrunner.policy.slots import concurrency_limit
    from batchrunner.store.batches import find_batch
    from batchrunner.store.time_and_cost import final_job_keys, past_runs

    batch = store.read(find_batch, job_file.name)
    done = store.read(final_job_keys, batch.id) if batch else set()
    plans = _plans(job_file, done)
    found = estimate(
        plans, store.read(past_runs, origin), concurrency_limit(job_file.settings.concurrency, None)
    )
    return _of(job_file, plans, found, wallet)


def _plans(job_file: JobFile, done: set[str]) -> list[ExpectedRun]:
    from batchrunner.model import Job
    from batchrunner.model.estimate import ExpectedRun
    from batchrunner.model.hosts import host_of
    from batchrunner.policy.budget import max_steps
    from batchrunner.policy.retry_rules import Policy

    policy, plans = Policy.of(job_file.settings), []
    known: dict[tuple[str, int, int], ExpectedRun] = {}  # jobs that are alike share one
    for spec in job_file.specs:
        if spec.key not in done:
            job = Job(id=0, key=spec.key, attempt=0, failures=0, policy=spec.policy)
            once = max_steps(spec.options)
            worst = once * policy.max_failures(job)
            kind = host_of(spec.url), once, worst
            if kind not in known:
                known[kind] = ExpectedRun(host=kind[0], once=once, worst=worst)
            plans.append(known[kind])
    return plans


def _of(
    job_file: JobFile,
    plans: Sequence[ExpectedRun],
    found: Estimate | None,
    wallet: Wallet | None,
) -> BatchEstimate:
    from batchrunner.policy.budget import rate_in_force

    return BatchEstimate(
        jobs=len(plans),
        done=len(job_file.specs) - len(plans),
        first=plans[0].once if plans else 0,
        slots=min(job_file.settings.concurrency, len(plans)),
        once=sum(plan.once for plan in plans),
        worst=sum(plan.worst for plan in plans),
        forecast=found,
        rate=rate_in_force(job_file.settings, wallet.rate if wallet else None),
        budget=job_file.settings.budget,
        wallet=wallet,
    )
