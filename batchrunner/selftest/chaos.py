"""Kills and stops runners at random moments, and checks every promise at the end."""

from __future__ import annotations

import csv
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchrunner.model import BatchCounts, JobState
from batchrunner.sandbox import SandboxRun
from batchrunner.selftest.invariants import InvariantViolated, check_end, invariant, most_at_once
from batchrunner.selftest.sandbox_process import SandboxProcess, pages, sandbox_process, write_jobs
from batchrunner.selftest.summary import ProcessSummary
from batchrunner.selftest.worker_processes import WorkerProcesses, start_workers
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store

#: Seconds after which a batch counts as hung.
HUNG_AFTER_SECONDS = 900.0
#: Seconds between two checks of the runners.
CHAOS_POLL_SECONDS = 0.05
RATES = {"system_failure": 0.05, "dropped_after": 0.03}


@dataclass(frozen=True, kw_only=True)
class ChaosPlan:
    """The size of a batch and the number of faults; the same seed draws the same events."""

    jobs: int
    runners: int
    kills: int
    concurrency: int
    seed: int
    stops: int = 0
    aimed: bool = True  #: half of the kills hit a create, which may cost a minute of searches
    restart: bool = False  #: restart the database once, under load
    durations: tuple[float, float] = (0.2, 1.0)  #: of runs, in seconds


@dataclass(frozen=True, kw_only=True)
class ChaosSite:
    """An empty database, and a function that restarts its server."""

    address: str
    restart: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ChaosEvent:
    """A fault: when it happens, what it is, and which runner it hits."""

    at: int  #: the number of created runs at which it happens
    kind: str
    share: float  #: chooses one of the active runners
    pause: float = 0.0  #: seconds to wait before


def draw_events(plan: ChaosPlan) -> list[ChaosEvent]:
    """Draw the events of a plan, spread over the first two thirds of its runs."""
    draw = random.Random(plan.seed)
    aimed = plan.kills // 2 if plan.aimed else 0
    kinds = ["create"] * aimed + ["kill"] * (plan.kills - aimed) + ["stop"] * plan.stops
    draw.shuffle(kinds)
    share = plan.jobs * 2 / 3 / max(len(kinds), 1)
    found = [
        ChaosEvent(
            at=1 + int((number + draw.random()) * share),
            kind=kind,
            share=draw.random(),
            pause=draw.uniform(0, 0.4),
        )
        for number, kind in enumerate(kinds)
    ]
    if plan.restart:
        found.append(
            ChaosEvent(at=draw.randint(plan.jobs // 4, plan.jobs // 2), kind="restart", share=0)
        )
    return sorted(found, key=lambda event: event.at)


@dataclass
class ChaosInjector:
    """Injects events into the runners of a batch, and reports them."""

    workers: WorkerProcesses
    site: ChaosSite
    report: Callable[[str], None]
    restarts: int = 0

    def inject(self, event: ChaosEvent) -> str:
        """Inject an event; return what was done."""
        if event.kind == "restart" and self.site.restart:
            self.site.restart()
            self.restarts += 1
            return "restarted the database"
        if event.kind == "create":
            sender = self.workers.kill_sender(self.site.address)
            if sender is not None:
                return f"killed runner {sender} in the middle of a create"
        threading.Event().wait(event.pause)
        return self._hit_runner(event)

    def _hit_runner(self, event: ChaosEvent) -> str:
        alive = self.workers.alive()
        if not alive:
            return "no runner was active"
        number = alive[int(event.share * len(alive))]
        if event.kind == "stop":
            self.workers.stop(number)
            return f"stopped runner {number} for a while"
        self.workers.kill(number)
        return f"killed runner {number}"

    def run(self, events: list[ChaosEvent], created: Callable[[], int]) -> None:
        """
        Inject every event in its turn, until all runners have ended by themselves.

        Raises:
            InvariantViolated: The batch hung.
        """
        deadline = time.monotonic() + HUNG_AFTER_SECONDS
        while self.workers.restart_given_up():
            if time.monotonic() > deadline:
                output = self.workers.output()[-4000:]
                raise InvariantViolated(
                    f"the batch did not end in {HUNG_AFTER_SECONDS / 60:g} minutes:\n{output}"
                )
            if events and (count := created()) >= events[0].at:
                self.report(f"{count:>6,} runs created: {self.inject(events.pop(0))}")
                if not events:
                    self.report("       that was the last; unanswered creates are searched for")
            threading.Event().wait(CHAOS_POLL_SECONDS)


# ---- the whole self-test ----


def run_chaos(
    plan: ChaosPlan, site: ChaosSite, folder: Path, report: Callable[[str], None] = lambda _: None
) -> ProcessSummary:
    """
    Run a batch, inject the events of the plan, and check every invariant at the end.

    Raises:
        InvariantViolated: A promise was broken; the message says which one.
    """
    jobs = write_jobs(
        folder, pages(plan.jobs), concurrency=plan.concurrency, max_attempts=8, backoff="1s"
    )
    with sandbox_process(folder, durations=plan.durations, rates=RATES, seed=plan.seed) as remote:
        started_at = time.monotonic()
        injector = _run_batch(plan, site, folder, jobs, remote, report)
        seconds = time.monotonic() - started_at
        runs = remote.runs()
    check_runners(injector, plan)
    check_runs(plan, runs)
    counts = check_database(plan, site.address, runs)
    return summary_of(plan, injector, counts, runs, seconds)


def _run_batch(
    plan: ChaosPlan,
    site: ChaosSite,
    folder: Path,
    jobs: Path,
    remote: SandboxProcess,
    report: Callable[[str], None],
) -> ChaosInjector:
    # Not in argv: an address may contain a password, and everybody can list processes.
    env = {**remote.env, "BATCHRUNNER_DB": site.address}
    with start_workers(plan.runners, ("run", jobs, "-q"), env, folder) as workers:
        injector = ChaosInjector(workers, site, report)
        injector.run(draw_events(plan), remote.created)
    return injector


def summary_of(
    plan: ChaosPlan,
    injector: ChaosInjector,
    counts: BatchCounts,
    runs: Sequence[SandboxRun],
    seconds: float,
) -> ProcessSummary:
    """Return the figures of a self-test."""
    workers, completed = injector.workers, succeeded(runs)
    return ProcessSummary(
        jobs=plan.jobs,
        runners=plan.runners,
        kills=workers.kills,
        in_a_create=workers.in_create,
        stops=workers.stops,
        restarts=injector.restarts,
        gave_up=workers.gave_up,
        runs_created=len(runs),
        attempts=counts.attempts,
        orphans=counts.orphans,
        most_in_flight=most_at_once(runs),
        concurrency=plan.concurrency,
        lost=plan.jobs - counts.jobs[JobState.SUCCEEDED],
        paid_twice=len(completed) - len(set(completed)),
        seconds=round(seconds, 1),
    )


def check_runners(injector: ChaosInjector, plan: ChaosPlan) -> None:
    """Check that no runner crashed or gave up, and that each exported every job."""
    workers = injector.workers
    output = workers.output()
    invariant("Traceback" not in output, f"a runner crashed:\n{output}")
    invariant(plan.restart or not workers.gave_up, f"a runner gave up:\n{output}")
    for number in range(plan.runners):
        with (workers.folder / f"r{number}.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = sum(1 for _ in csv.reader(file)) - 1
        invariant(rows == plan.jobs, f"runner {number} exported {rows} jobs instead of {plan.jobs}")


def succeeded(runs: Sequence[SandboxRun]) -> list[str]:
    """Return the urls of the runs that reached their goals."""
    done = [run for run in runs if run.status == "COMPLETED"]
    return [run.url for run in done if (run.result or {}).get("status") != "failure"]


def check_runs(plan: ChaosPlan, runs: Sequence[SandboxRun]) -> None:
    """Check that each job was completed exactly once, within the concurrency."""
    completed = Counter(succeeded(runs))
    twice = [url for url, times in completed.items() if times > 1]
    lost = [url for url in pages(plan.jobs) if url not in completed]
    invariant(not twice, f"jobs were completed and paid for twice: {twice}")
    invariant(not lost, f"jobs were lost: no run completed them: {lost}")
    most = most_at_once(runs)
    invariant(
        most <= plan.concurrency,
        f"{most} runs were in flight, and the concurrency is {plan.concurrency}",
    )


def check_database(plan: ChaosPlan, address: str, runs: Sequence[SandboxRun]) -> BatchCounts:
    """Check that the database agrees with the sandbox; return its counts."""
    with closing(Store.open(address)) as store:
        (batch,) = store.read(list_batches)
        check_end(store, batch.id, plan.jobs, runs)
        counts = store.read(batch_counts, batch.id)
    charged = sum(run.steps for run in runs)
    invariant(
        counts.steps == charged,
        f"the database has a cost of {counts.steps} steps, and the sandbox charged {charged}",
    )
    return counts
