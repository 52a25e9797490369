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
from batchrunner.store.store import Store

#: Longest time in seconds that a batch may take before it counts as hung.
HUNG_AFTER_SECONDS = 900.0
#: Seconds between two looks at the runners.
CHAOS_POLL_SECONDS = 0.05
RATES = {"system_failure": 0.05, "dropped_after": 0.03}


@dataclass(frozen=True, kw_only=True)
class ChaosPlan:
    """How much work, and how much trouble; the same seed draws the same trouble."""

    jobs: int
    runners: int
    kills: int
    concurrency: int
    seed: int
    stops: int = 0
    aimed: bool = True  #: let half of the kills fall into a create; it may cost a minute's search
    restart: bool = False  #: restart the database once, under load
    durations: tuple[float, float] = (0.2, 1.0)  #: of runs, in seconds


@dataclass(frozen=True, kw_only=True)
class ChaosSite:
    """A database in which nothing is, and what restarts its server."""

    address: str
    restart: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class ChaosEvent:
    """One piece of trouble: when, what, and whom it meets."""

    at: int  #: runs that are created before it
    kind: str
    lot: float  #: chooses among those at work
    pause: float = 0.0


def draw_events(plan: ChaosPlan) -> list[ChaosEvent]:
    """Draw all the trouble of a plan, spread over the first two thirds of its runs."""
    draw = random.Random(plan.seed)
    aimed = plan.kills // 2 if plan.aimed else 0
    kinds = ["create"] * aimed + ["kill"] * (plan.kills - aimed) + ["stop"] * plan.stops
    draw.shuffle(kinds)
    share = plan.jobs * 2 / 3 / max(len(kinds), 1)
    found = [
        ChaosEvent(
            at=1 + int((number + draw.random()) * share),
            kind=kind,
            lot=draw.random(),
            pause=draw.uniform(0, 0.4),
        )
        for number, kind in enumerate(kinds)
    ]
    if plan.restart:
        found.append(
            ChaosEvent(at=draw.randint(plan.jobs // 4, plan.jobs // 2), kind="restart", lot=0)
        )
    return sorted(found, key=lambda blow: blow.at)


@dataclass
class ChaosInjector:
    """Deals blows to a fleet, and says so."""

    fleet: WorkerProcesses
    site: ChaosSite
    tell: Callable[[str], None]
    restarts: int = 0

    def deal(self, blow: ChaosEvent) -> str:
        """Deal one, and return what it was."""
        if blow.kind == "restart" and self.site.restart:
            self.site.restart()
            self.restarts += 1
            return "restarted the database"
        if blow.kind == "create":
            sender = self.fleet.kill_sender(self.site.address)
            if sender is not None:
                return f"killed runner {sender} in the middle of a create"
        threading.Event().wait(blow.pause)
        return self._meet(blow)

    def _meet(self, blow: ChaosEvent) -> str:
        alive = self.fleet.alive()
        if not alive:
            return "nobody was left to meet"
        number = alive[int(blow.lot * len(alive))]
        if blow.kind == "stop":
            self.fleet.stop(number)
            return f"stopped runner {number} for a while"
        self.fleet.kill(number)
        return f"killed runner {number}"

    def go_on(self, left: list[ChaosEvent], created: Callable[[], int]) -> None:
        """Deal every blow at its moment, until all runners have ended by themselves."""
        deadline = time.monotonic() + HUNG_AFTER_SECONDS
        while self.fleet.tend():
            if time.monotonic() > deadline:
                raise InvariantViolated(f"a batch comes to its end:\n{self.fleet.said()[-4000:]}")
            if left and (count := created()) >= left[0].at:
                self.tell(f"{count:>6,} runs created: {self.deal(left.pop(0))}")
                if not left:
                    self.tell("       that was the last; a create that was cut off is searched for")
            threading.Event().wait(CHAOS_POLL_SECONDS)


# ---- the verdict ----


def play(
    plan: ChaosPlan, site: ChaosSite, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> ProcessSummary:
    """
    Run a batch through all that trouble, and check every promise at its end.

    Raises:
        Broken: A promise did not hold; the message names it.
    """
    jobs = write_jobs(
        folder, pages(plan.jobs), concurrency=plan.concurrency, max_attempts=8, backoff="1s"
    )
    with sandbox_process(folder, durations=plan.durations, rates=RATES, seed=plan.seed) as remote:
        begun = time.monotonic()
        torment = _tormented(plan, site, folder, jobs, remote, tell)
        seconds = time.monotonic() - begun
        runs = remote.runs()
    check_runners(torment, plan)
    check_runs(plan, runs)
    tally = check_books(plan, site.address, runs)
    return drawn_up(plan, torment, tally, runs, seconds)


def _tormented(
    plan: ChaosPlan,
    site: ChaosSite,
    folder: Path,
    jobs: Path,
    remote: SandboxProcess,
    tell: Callable[[str], None],
) -> ChaosInjector:
    # Not in argv: an address may hold a password, and anybody can list processes.
    env = {**remote.env, "BATCHRUNNER_DB": site.address}
    with start_workers(plan.runners, ("run", jobs, "-q"), env, folder) as fleet:
        torment = ChaosInjector(fleet, site, tell)
        torment.go_on(draw_events(plan), remote.created)
    return torment


def drawn_up(
    plan: ChaosPlan,
    torment: ChaosInjector,
    tally: BatchCounts,
    runs: Sequence[SandboxRun],
    seconds: float,
) -> ProcessSummary:
    """Put what happened into figures."""
    fleet, completed = torment.fleet, succeeded(runs)
    return ProcessSummary(
        jobs=plan.jobs,
        runners=plan.runners,
        kills=fleet.kills,
        in_a_create=fleet.in_create,
        stops=fleet.stops,
        restarts=torment.restarts,
        gave_up=fleet.gave_up,
        runs_created=len(runs),
        attempts=tally.attempts,
        orphans=tally.orphans,
        most_in_flight=most_at_once(runs),
        concurrency=plan.concurrency,
        lost=plan.jobs - tally.jobs[JobState.SUCCEEDED],
        paid_twice=len(completed) - len(set(completed)),
        seconds=round(seconds, 1),
    )


def check_runners(torment: ChaosInjector, plan: ChaosPlan) -> None:
    """Check how the runners ended, and what each of them exported."""
    fleet = torment.fleet
    said = fleet.said()
    invariant("Traceback" not in said, f"no runner crashes:\n{said}")
    invariant(plan.restart or not fleet.gave_up, f"no runner gives up:\n{said}")
    for number in range(plan.runners):
        with (fleet.folder / f"r{number}.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = sum(1 for _ in csv.reader(file)) - 1
        invariant(rows == plan.jobs, f"runner {number} exports every job, not {rows}")


def succeeded(runs: Sequence[SandboxRun]) -> list[str]:
    """Return the url of each run that reached its goal."""
    done = [run for run in runs if run.status == "COMPLETED"]
    return [run.url for run in done if (run.result or {}).get("status") != "failure"]


def check_runs(plan: ChaosPlan, runs: Sequence[SandboxRun]) -> None:
    """Check the sandbox's side: what was completed how often, and how much at once."""
    completed = Counter(succeeded(runs))
    twice = [url for url, times in completed.items() if times > 1]
    lost = [url for url in pages(plan.jobs) if url not in completed]
    invariant(not twice, f"nothing is paid twice: {twice}")
    invariant(not lost, f"nothing is lost: {lost}")
    most = most_at_once(runs)
    invariant(most <= plan.concurrency, f"at most {plan.concurrency} are in flight, not {most}")


def check_books(plan: ChaosPlan, address: str, runs: Sequence[SandboxRun]) -> BatchCounts:
    """Check that the ledger tells the same as the sandbox, and return its figures."""
    with closing(Store.open(address)) as store:
        (batch,) = store.batches()
        check_end(store, batch.id, plan.jobs, runs)
        tally = store.tally(batch.id)
    billed = sum(run.steps for run in runs)
    invariant(tally.steps == billed, f"the bills are equal: {tally.steps} here, {billed} there")
    return tally
