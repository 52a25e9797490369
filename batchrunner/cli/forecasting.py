"""What jobs may cost and how long they may take, by what others like them took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchrunner.cli.phrases import clock, counted

if TYPE_CHECKING:
    from batchrunner.model import Budget, JobFile, Rate, Wallet
    from batchrunner.model.forecast import Forecast, Plan
    from batchrunner.store import Store


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the open jobs of a file may cost and how long they may take."""

    jobs: int
    done: int
    first: int  #: most that the first of them may take in one run
    slots: int  #: runs in flight at most, where that is known; else 0
    once: int
    worst: int
    forecast: Forecast | None
    rate: Rate | None
    budget: Budget | None
    wallet: Wallet | None

    @property
    def most(self) -> int:
        """The upper end: what is foretold, else the worst that can be."""
        return self.forecast.steps[1] if self.forecast else self.worst


def without_past(job_file: JobFile, wallet: Wallet | None) -> Estimate:
    """Estimate where nothing is known."""
    return _of(job_file, set(), None, wallet)


def estimated(store: Store, job_file: JobFile, origin: str, wallet: Wallet | None) -> Estimate:
    """Estimate by what jobs of this database took on the same API."""
    from batchrunner.policy.capacity import bound
    from batchrunner.policy.estimate import forecast

    batch = store.batch(job_file.name)
    done = store.final_keys(batch.id) if batch else set()
    plans = _plans(job_file, done)
    found = forecast(plans, store.taken(origin), bound(job_file.settings.concurrency, None))
    return _of(job_file, done, found, wallet)


def _plans(job_file: JobFile, done: set[str]) -> list[Plan]:
    from batchrunner.model import Job
    from batchrunner.model.forecast import Plan
    from batchrunner.policy import Policy
    from batchrunner.policy.ladders import host_of
    from batchrunner.policy.money import most_steps

    policy, plans = Policy.of(job_file.settings), []
    for spec in job_file.specs:
        if spec.key not in done:
            job = Job(id=0, key=spec.key, attempt=0, failures=0, policy=spec.policy)
            once = most_steps(spec.options)
            worst = once * policy.bound(job)
            plans.append(Plan(host=host_of(spec.url), once=once, worst=worst))
    return plans


def _of(
    job_file: JobFile, done: set[str], found: Forecast | None, wallet: Wallet | None
) -> Estimate:
    from batchrunner.policy.money import rate_in_force

    plans = _plans(job_file, done)
    return Estimate(
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


def likely(found: Estimate) -> str | None:
    """Return the ranges in one line; None where nothing is known."""
    from batchrunner.cli.money import cost

    if found.forecast is None or not found.jobs:
        return None
    (low, high), (soonest, latest) = found.forecast.steps, found.forecast.time
    return (
        f"likely: {low} to {cost(high, found.rate)}, {clock(soonest)} to {clock(latest)} "
        f"(judged by {counted(found.forecast.past, 'finished job')})"
    )
