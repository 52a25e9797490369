"""A batch through drawn kills and stops, and every promise checked at its end."""

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

from batchrunner.model import JobState, Tally
from batchrunner.proof.processes.fleet import Fleet, fleet_of
from batchrunner.proof.processes.remote import Remote, pages, served, write_jobs
from batchrunner.proof.promises import Broken, check_end, most_at_once, promise
from batchrunner.proof.verdict import Processes
from batchrunner.sandbox import Run
from batchrunner.store import Store

#: Longest time in seconds that a batch may take before it counts as hung.
HUNG = 900.0
#: Seconds between two looks at the runners.
GLANCE = 0.05
RATES = {"system_failure": 0.05, "dropped_after": 0.03}


@dataclass(frozen=True, kw_only=True)
class Plan:
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
class Site:
    """A database in which nothing is, and what restarts its server."""

    address: str
    restart: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Blow:
    """One piece of trouble: when, what, and whom it meets."""

    at: int  #: runs that are created before it
    kind: str
    lot: float  #: chooses among those at work
    pause: float = 0.0


def blows(plan: Plan) -> list[Blow]:
    """Draw all the trouble of a plan, spread over the first two thirds of its runs."""
    draw = random.Random(plan.seed)
    aimed = plan.kills // 2 if plan.aimed else 0
    kinds = ["create"] * aimed + ["kill"] * (plan.kills - aimed) + ["stop"] * plan.stops
    draw.shuffle(kinds)
    share = plan.jobs * 2 / 3 / max(len(kinds), 1)
    found = [
        Blow(
            at=1 + int((number + draw.random()) * share),
            kind=kind,
            lot=draw.random(),
            pause=draw.uniform(0, 0.4),
        )
        for number, kind in enumerate(kinds)
    ]
    if plan.restart:
        found.append(Blow(at=draw.randint(plan.jobs // 4, plan.jobs // 2), kind="restart", lot=0))
    return sorted(found, key=lambda blow: blow.at)


@dataclass
class Torment:
    """Deals blows to a fleet, and says so."""

    fleet: Fleet
    site: Site
    tell: Callable[[str], None]
    restarts: int = 0

    def deal(self, blow: Blow) -> str:
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

    def _meet(self, blow: Blow) -> str:
        alive = self.fleet.alive()
        if not alive:
            return "nobody was left to meet"
        number = alive[int(blow.lot * len(alive))]
        if blow.kind == "stop":
            self.fleet.stop(number)
            return f"stopped runner {number} for a while"
        self.fleet.kill(number)
        return f"killed runner {number}"

    def go_on(self, left: list[Blow], created: Callable[[], int]) -> None:
        """Deal every blow at its moment, until all runners have ended by themselves."""
        deadline = time.monotonic() + HUNG
        while self.fleet.tend():
            if time.monotonic() > deadline:
                raise Broken(f"a batch comes to its end:\n{self.fleet.said()[-4000:]}")
            if left and (count := created()) >= left[0].at:
                self.tell(f"{count:>6,} runs created: {self.deal(left.pop(0))}")
                if not left:
                    self.tell("       that was the last; a create that was cut off is searched for")
            threading.Event().wait(GLANCE)


# ---- the verdict ----


def play(
    plan: Plan, site: Site, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> Processes:
    """
    Run a batch through all that trouble, and check every promise at its end.

    Raises:
        Broken: A promise did not hold; the message names it.
    """
    jobs = write_jobs(
        folder, pages(plan.jobs), concurrency=plan.concurrency, max_attempts=8, backoff="1s"
    )
    with served(folder, durations=plan.durations, rates=RATES, seed=plan.seed) as remote:
        begun = time.monotonic()
        torment = _tormented(plan, site, folder, jobs, remote, tell)
        seconds = time.monotonic() - begun
        runs = remote.runs()
    check_runners(torment, plan)
    check_runs(plan, runs)
    tally = check_books(plan, site.address, runs)
    return drawn_up(plan, torment, tally, runs, seconds)


def _tormented(
    plan: Plan, site: Site, folder: Path, jobs: Path, remote: Remote, tell: Callable[[str], None]
) -> Torment:
    # Not in argv: an address may hold a password, and anybody can list processes.
    env = {**remote.env, "BATCHRUNNER_DB": site.address}
    with fleet_of(plan.runners, ("run", jobs, "-q"), env, folder) as fleet:
        torment = Torment(fleet, site, tell)
        torment.go_on(blows(plan), remote.created)
    return torment


def drawn_up(
    plan: Plan, torment: Torment, tally: Tally, runs: Sequence[Run], seconds: float
) -> Processes:
    """Put what happened into figures."""
    fleet, completed = torment.fleet, succeeded(runs)
    return Processes(
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


def check_runners(torment: Torment, plan: Plan) -> None:
    """Check how the runners ended, and what each of them exported."""
    fleet = torment.fleet
    said = fleet.said()
    promise("Traceback" not in said, f"no runner crashes:\n{said}")
    promise(plan.restart or not fleet.gave_up, f"no runner gives up:\n{said}")
    for number in range(plan.runners):
        with (fleet.folder / f"r{number}.csv").open(newline="", encoding="utf-8-sig") as file:
            rows = sum(1 for _ in csv.reader(file)) - 1
        promise(rows == plan.jobs, f"runner {number} exports every job, not {rows}")


def succeeded(runs: Sequence[Run]) -> list[str]:
    """Return the url of each run that reached its goal."""
    done = [run for run in runs if run.status == "COMPLETED"]
    return [run.url for run in done if (run.result or {}).get("status") != "failure"]


def check_runs(plan: Plan, runs: Sequence[Run]) -> None:
    """Check the sandbox's side: what was completed how often, and how much at once."""
    completed = Counter(succeeded(runs))
    twice = [url for url, times in completed.items() if times > 1]
    lost = [url for url in pages(plan.jobs) if url not in completed]
    promise(not twice, f"nothing is paid twice: {twice}")
    promise(not lost, f"nothing is lost: {lost}")
    most = most_at_once(runs)
    promise(most <= plan.concurrency, f"at most {plan.concurrency} are in flight, not {most}")


def check_books(plan: Plan, address: str, runs: Sequence[Run]) -> Tally:
    """Check that the ledger tells the same as the sandbox, and return its figures."""
    with closing(Store.open(address)) as store:
        (batch,) = store.batches()
        check_end(store, batch.id, plan.jobs, runs)
        tally = store.tally(batch.id)
    billed = sum(run.steps for run in runs)
    promise(tally.steps == billed, f"the bills are equal: {tally.steps} here, {billed} there")
    return tally
