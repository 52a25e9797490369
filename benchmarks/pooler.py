"""Runners behind PgBouncer in transaction mode: one is killed every ten seconds, twice the server.

python -m benchmarks.pooler [--jobs N] [--runners N] [--every SECONDS] [--restarts N] [--seed S]

It needs PostgreSQL's server from the package `pgserver`, and the program `pgbouncer`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from batchrunner.selftest.chaos import (
    RATES,
    ChaosEvent,
    ChaosInjector,
    ChaosPlan,
    ChaosSite,
    check_database,
    check_runners,
    check_runs,
    summary_of,
)
from batchrunner.selftest.sandbox_process import pages, sandbox_process, write_jobs
from batchrunner.selftest.summary import ProcessSummary
from batchrunner.selftest.worker_processes import start_workers
from benchmarks import chaos

#: Where Debian puts it, which is not on every user's path.
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
#: Connections from the pooler to the server: fewer than the runners together may have.
POOL_SIZE = 6
_CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
admin_users = admin
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
server_login_retry = 1
"""


def program() -> str | None:
    """Return the path of PgBouncer; None if it is not installed."""
    return shutil.which("pgbouncer", path=PLACES)


@dataclass
class Pooler:
    """A running PgBouncer, and what its console says."""

    address: str
    port: int
    most_clients: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self, question: str) -> list[dict[str, Any]]:
        """Return the answer of its console."""
        import psycopg  # noqa: PLC0415  # SQLite needs none
        from psycopg.rows import dict_row  # noqa: PLC0415

        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="admin",
            dbname="pgbouncer",
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
        ) as console:
            return list(console.execute(question))

    def transactions(self) -> int:
        """Return how many transactions went through it."""
        return sum(int(row["total_xact_count"]) for row in self.ask("SHOW STATS"))

    def clients(self) -> int:
        """Return how many connections it has to clients, without that of its console."""
        return sum(row["database"] != "pgbouncer" for row in self.ask("SHOW CLIENTS"))

    def watch(self) -> None:
        """Note the most connections that clients had at once, until it is over."""
        while not self._over.wait(0.2):
            self.most_clients = max(self.most_clients, self.clients())

    def end(self) -> None:
        """Stop watching."""
        self._over.set()


@contextmanager
def pgbouncer(server: str, folder: Path) -> Iterator[Pooler]:
    """Start PgBouncer in transaction mode before a server, while the block runs."""
    url, listen = make_url(server), _free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(
        _CONFIG.format(
            host=url.query["host"],
            port=url.port or 5432,
            user=url.username,
            listen=listen,
            size=POOL_SIZE,
        )
    )
    # It refuses to run as root, and only the server's own user may enter the folder of its socket.
    owner = Path(str(url.query["host"])).owner()
    as_user = ["-u", owner] if os.geteuid() == 0 else []
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [program() or "pgbouncer", *as_user, str(config)], stdout=log, stderr=log
        )
    try:
        _wait_for(listen, process)
        address = f"postgresql://{url.username}@127.0.0.1:{listen}/{url.database}"
        yield Pooler(address=address, port=listen)
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("PgBouncer did not start")


@dataclass(frozen=True, kw_only=True)
class PoolerPlan(ChaosPlan):
    """A batch whose runners are killed at fixed intervals."""

    every: float = 10.0  #: seconds between two kills
    restarts: int = 2

    def events(self) -> list[ChaosEvent]:
        """Return kills and restarts; they happen by the clock, not by the number of runs."""
        draw = random.Random(self.seed)
        kills = [
            ChaosEvent(at=round(self.every * (number + 1)), kind="kill", share=draw.random())
            for number in range(self.kills)
        ]
        step = self.every * self.kills / (self.restarts + 1)
        restarts = [
            ChaosEvent(at=round(step * (number + 1)) + 1, kind="restart", share=0)
            for number in range(self.restarts)
        ]
        return sorted([*kills, *restarts], key=lambda event: event.at)


def _print_event(line: str) -> None:
    print(line.replace("runs created", "seconds"), flush=True)


@dataclass(frozen=True, kw_only=True)
class PoolerFigures:
    """What a batch behind a pooler took."""

    summary: ProcessSummary
    most_clients: int
    transactions: int

    @property
    def per_job(self) -> float:
        """Transactions per job."""
        return self.transactions / self.summary.jobs


def run_behind_pooler(plan: PoolerPlan, folder: Path) -> PoolerFigures:
    """
    Run a batch behind a pooler, kill runners and restart the server, and check every invariant.

    Raises:
        InvariantViolated: A promise was broken; the message says which one.
    """
    jobs = write_jobs(
        folder, pages(plan.jobs), concurrency=plan.concurrency, max_attempts=8, backoff="1s"
    )
    with (
        chaos.postgresql(folder) as server,
        pgbouncer(server.address, folder) as pooler,
        sandbox_process(folder, durations=plan.durations, rates=RATES, seed=plan.seed) as remote,
    ):
        began = time.monotonic()
        watching = threading.Thread(target=pooler.watch)
        watching.start()
        site = ChaosSite(address=pooler.address, restart=server.restart)
        env = {**remote.env, "BATCHRUNNER_DB": pooler.address}
        try:
            with start_workers(plan.runners, ("run", jobs, "-q"), env, folder) as workers:
                injector = ChaosInjector(workers, site, _print_event)
                injector.run(plan.events(), lambda: int(time.monotonic() - began))
        finally:
            pooler.end()
            watching.join()
        seconds, runs = time.monotonic() - began, remote.runs()
        transactions = pooler.transactions()
        check_runners(injector, plan)
        check_runs(plan, runs)
        counts = check_database(plan, pooler.address, runs)
    return PoolerFigures(
        summary=summary_of(plan, injector, counts, runs, seconds),
        most_clients=pooler.most_clients,
        transactions=transactions,
    )


def main() -> None:
    """Print the figures, or the promise that broke."""
    parser = argparse.ArgumentParser(description="Eight runners behind PgBouncer.")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--runners", type=int, default=8)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--every", type=float, default=10.0)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if program() is None:
        sys.exit("PgBouncer is not installed: apt-get install pgbouncer")
    plan = PoolerPlan(
        jobs=given.jobs,
        runners=given.runners,
        kills=given.kills,
        every=given.every,
        restarts=given.restarts,
        seed=given.seed,
        concurrency=40,
        restart=True,
    )
    folder = Path(tempfile.mkdtemp(prefix="pooler-"))
    folder.chmod(0o755)  # the server and PgBouncer run as other users
    figures = run_behind_pooler(plan, folder)
    for name, value in asdict(figures.summary).items():
        print(f"{name.replace('_', ' '):<24}{value:>12}")
    print(f"{'most connections':<24}{figures.most_clients:>12}")
    print(f"{'transactions per job':<24}{figures.per_job:>12.1f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
