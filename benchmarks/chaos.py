"""Many runners of one batch are killed at random; nothing is lost, nothing is paid twice.

python -m benchmarks.chaos [--postgresql | --sqlite] [--jobs N] [--runners N] [--kills N]
                           [--concurrency N] [--restart] [--seed S]
"""

from __future__ import annotations

import argparse
import csv
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import select

from batchrunner.model import JobState, Tally
from batchrunner.proof.promises import check_end
from batchrunner.sandbox import Run
from batchrunner.schema import SubmissionState, owners, submissions
from batchrunner.store import Store, StoreError
from tests.e2e.programs import (
    PROGRAM,
    Remote,
    environment,
    most_at_once,
    pages,
    served,
    write_jobs,
)

#: Longest time in seconds that a batch may take before it counts as hung.
PATIENCE = 900.0
#: Seconds between two looks at the runners.
GLANCE = 0.05
#: Seconds for which a kill waits for a create, and between two looks for one.
HUNT, TRIGGER = 3.0, 0.005
DURATIONS = (0.2, 1.0)
RATES = {"system_failure": 0.05, "dropped_after": 0.03}
#: How a runner ends by itself: all succeeded, some failed; and when it cannot go on.
ENDED, GAVE_UP = (0, 1), 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much work, and how much trouble; the same seed draws the same trouble."""

    jobs: int
    runners: int
    kills: int
    concurrency: int
    seed: int
    aimed: bool = True  #: let half of the kills fall into a create; it may cost a minute's search
    restart: bool = False  #: restart the database once, under load


@dataclass(frozen=True, kw_only=True)
class Site:
    """A database in which nothing is, and what restarts its server."""

    address: str
    restart: Callable[[], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a batch whose promises all held."""

    jobs: int
    runners: int
    kills: int
    in_a_create: int  #: kills between the intent to create runs and its recorded answer
    restarts: int  #: of the database
    gave_up: int  #: runners that the database's restart ended; they were started again
    runs_created: int
    attempts: int
    orphans: int
    most_in_flight: str
    lost: int
    paid_twice: int
    seconds: float
    seed: int

    def __str__(self) -> str:
        """Write one line for each figure."""
        return "\n".join(
            f"{name.replace('_', ' '):<16}{value:>12}" for name, value in asdict(self).items()
        )


class Broken(AssertionError):
    """A promise did not hold."""


def promise(held: bool, words: str) -> None:
    """Raise Broken with the promise in words unless it held."""
    if not held:
        raise Broken(words)


# ---- databases ----


@contextmanager
def postgresql(folder: Path) -> Iterator[Site]:
    """Start a PostgreSQL server of its own in *folder* while the block runs."""
    with warnings.catch_warnings():
        # It says where it keeps its files where the session has no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        from pgserver._commands import POSTGRES_BIN_PATH  # noqa: PLC0415  # SQLite needs none
        from pgserver.postgres_server import get_server  # noqa: PLC0415

        server = get_server(folder / "postgresql")

    def restart() -> None:
        args = ["-D", str(server.pgdata), "-l", str(server.log), "-w", "-m", "immediate", "restart"]
        command = [str(POSTGRES_BIN_PATH / "pg_ctl"), *args]
        subprocess.run(command, user=server.system_user, stdout=subprocess.DEVNULL, check=True)
        server.ensure_postgres_running()  # it has another process id now

    try:
        yield Site(address=server.get_uri(), restart=restart)
    finally:
        server.cleanup()


@contextmanager
def sqlite(folder: Path) -> Iterator[Site]:
    """Name an SQLite file in *folder*."""
    yield Site(address=str(folder / "batchrunner.db"))


# ---- runners ----


@dataclass
class Fleet:
    """Runners of one batch, each of which is started again when it died."""

    command: Sequence[str | Path]
    remote: Remote
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0
    in_create: int = 0
    restarts: int = 0
    gave_up: int = 0

    def start(self, number: int) -> subprocess.Popen[bytes]:
        """Start the runner of that number; what it says is appended to its log."""
        with self.log(number).open("ab") as log:
            return subprocess.Popen(
                [*PROGRAM, *map(str, self.command), "-o", f"r{number}.csv"],
                cwd=self.folder,
                env=environment(**self.remote.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self, number: int) -> Path:
        """Name the file of what a runner said over all its lives."""
        return self.folder / f"r{number}.log"

    def tend(self) -> bool:
        """Start those again that gave up; tell whether any is still at work."""
        for number, process in enumerate(self.processes):
            code = process.poll()
            if code == GAVE_UP:
                self.gave_up += 1
                self.processes[number] = self.start(number)
            elif code is not None and code not in ENDED:
                raise Broken(f"runner {number} ended with {code}:\n{self.log(number).read_text()}")
        return bool(self.alive())

    def alive(self) -> list[int]:
        """Return the numbers of those at work."""
        return [n for n, process in enumerate(self.processes) if process.poll() is None]

    def kill(self, number: int) -> None:
        """Kill -9 a runner, and start it again at once."""
        self.processes[number].kill()
        self.processes[number].wait(PATIENCE)
        self.kills += 1
        self.processes[number] = self.start(number)

    def kill_sender(self, address: str) -> bool:
        """Kill the next one that is about to create runs; whether there was one in time."""
        pids = {self.processes[number].pid: number for number in self.alive()}
        try:
            with closing(Store.open(address)) as store:
                for _ in range(int(HUNT / TRIGGER)):
                    if found := sorted(pids[pid] for pid in senders(store) if pid in pids):
                        self.kill(found[0])
                        self.in_create += 1
                        return True
                    threading.Event().wait(TRIGGER)
        except StoreError:  # the runners are to outlive that their server is away, we are not
            pass
        return False

    def said(self) -> str:
        """Return all that all of them said."""
        return "".join(self.log(number).read_text() for number in range(len(self.processes)))


@contextmanager
def fleet_of(count: int, command: Sequence[str | Path], remote: Remote) -> Iterator[Fleet]:
    """Start that many runners; they do not outlive the block."""
    fleet = Fleet(command, remote, remote.ledger.parent)
    try:
        for number in range(count):
            fleet.processes.append(fleet.start(number))
        yield fleet
    finally:
        for process in fleet.processes:
            process.kill()
            process.wait(PATIENCE)


def senders(store: Store) -> list[int]:
    """Return the process ids of runners with a create of which no answer is recorded."""
    intended = select(owners.c.pid).join(submissions, submissions.c.owner_id == owners.c.id)
    with store._database.read() as tx:
        found = tx.execute(intended.where(submissions.c.state == SubmissionState.INTENDED))
        return list(found.scalars())


@dataclass
class Count:
    """Counts the runs in a growing ledger, and reads each of its lines once."""

    ledger: Path
    created: int = 0
    _read: int = 0

    def now(self) -> int:
        """Return how many runs were created so far."""
        with self.ledger.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # its writer is at work
                    break
                self._read += len(line)
                if line.startswith(b'{"event": "create"'):
                    self.created += line.count(b'"run_id": ')
        return self.created


def torment(fleet: Fleet, plan: Plan, site: Site) -> None:
    """Kill and restart at the drawn moments until every runner has ended by itself."""
    draw, count = random.Random(plan.seed), Count(fleet.remote.ledger)
    moments = sorted(draw.randint(1, max(1, plan.jobs * 9 // 10)) for _ in range(plan.kills))
    restart_at = draw.randint(plan.jobs // 4, plan.jobs // 2) if plan.restart else None
    deadline = time.monotonic() + PATIENCE
    while fleet.tend():
        promise(time.monotonic() < deadline, f"a batch comes to its end:\n{fleet.said()[-4000:]}")
        if moments and count.now() >= moments[0]:
            moments.pop(0)
            strike(fleet, draw, site.address if plan.aimed else None)
        if site.restart and restart_at is not None and count.now() >= restart_at:
            restart_at = None
            site.restart()
            fleet.restarts += 1
        threading.Event().wait(GLANCE)


def strike(fleet: Fleet, draw: random.Random, address: str | None) -> None:
    """Kill one: with an *address*, every other time in the middle of a create; else anyone."""
    aimed, pause, lot = draw.random() < 0.5, draw.uniform(0, 0.4), draw.random()
    if aimed and address and fleet.kill_sender(address):
        return
    threading.Event().wait(pause)
    if alive := fleet.alive():
        fleet.kill(alive[int(lot * len(alive))])


# ---- the verdict ----


def play(plan: Plan, site: Site, folder: Path) -> Verdict:
    """
    Run a batch through all that trouble, and check every promise at its end.

    Raises:
        AssertionError: A promise broke; the message names it.
    """
    urls, most = pages(plan.jobs), plan.concurrency
    jobs = write_jobs(folder, urls, concurrency=most, max_attempts=8, backoff="1s")
    with served(folder, durations=DURATIONS, rates=RATES) as remote:
        command = ("run", jobs, "--db", site.address, "--api-url", remote.url, "-q")
        begun = time.perf_counter()
        with fleet_of(plan.runners, command, remote) as fleet:
            torment(fleet, plan, site)
        seconds = time.perf_counter() - begun
        runs = remote.runs()
    check_runners(fleet, plan)
    check_runs(plan, runs)
    tally = check_books(plan, site.address, runs)
    return drawn_up(plan, fleet, tally, runs, seconds)


def drawn_up(
    plan: Plan, fleet: Fleet, tally: Tally, runs: Sequence[Run], seconds: float
) -> Verdict:
    """Put what happened into figures."""
    completed = succeeded(runs)
    return Verdict(
        jobs=plan.jobs,
        runners=plan.runners,
        kills=fleet.kills,
        in_a_create=fleet.in_create,
        restarts=fleet.restarts,
        gave_up=fleet.gave_up,
        runs_created=len(runs),
        attempts=tally.attempts,
        orphans=tally.orphans,
        most_in_flight=f"{most_at_once(runs)} of {plan.concurrency}",
        lost=plan.jobs - tally.jobs[JobState.SUCCEEDED],
        paid_twice=len(completed) - len(set(completed)),
        seconds=round(seconds, 1),
        seed=plan.seed,
    )


def check_runners(fleet: Fleet, plan: Plan) -> None:
    """Check how the runners ended, and what each of them exported."""
    said = fleet.said()
    promise("Traceback" not in said, f"no runner crashes:\n{said}")
    promise(plan.restart or not fleet.gave_up, f"no runner gives up:\n{said}")
    promise(fleet.kills == plan.kills, f"{plan.kills} runners are killed, not {fleet.kills}")
    promise(fleet.restarts == plan.restart, "the database is restarted while they work")
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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--postgresql", action="store_true", help="a server of its own: the default")
    kind.add_argument("--sqlite", action="store_true", help="one file instead of a server")
    parser.add_argument("--jobs", type=int, help="5000, or 1000 on SQLite")
    parser.add_argument("--runners", type=int, help="8, or 2 on SQLite")
    parser.add_argument("--concurrency", type=int, help="100, or 50 on SQLite")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--restart", action="store_true", help="restart PostgreSQL under load")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    given = parser.parse_args()
    if given.sqlite and given.restart:
        parser.error("--restart is for PostgreSQL: SQLite has no server")
    return given


def main() -> None:
    """Print the verdict, or the promise that broke, and exit with 1 in that case."""
    given = _arguments()
    plan = Plan(
        jobs=given.jobs or (1000 if given.sqlite else 5000),
        runners=given.runners or (2 if given.sqlite else 8),
        concurrency=given.concurrency or (50 if given.sqlite else 100),
        kills=given.kills,
        seed=given.seed,
        restart=given.restart,
    )
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    database = sqlite if given.sqlite else postgresql
    print(f"{database.__name__}, seed {plan.seed}", flush=True)
    try:
        with database(folder) as site:
            print(play(plan, site, folder))
    except AssertionError as broken:
        sys.exit(f"BROKEN: {broken}\nseed {plan.seed}; its files are kept in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
