"""A full disk, a locked database and a runner that is stopped: each takes a minute."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from threading import Event
from typing import Any

from batchrunner.sandbox import SandboxRun
from batchrunner.selftest.subprocesses import Ended, Program, started, wait_until
from tests.e2e.programs import Remote, batchrunner_process, pages, served, write_jobs

JOBS = 40
#: Seconds for which a database is locked; a statement waits for 30 of them.
LOCK_SECONDS = 35.0
#: Seconds after which requests under way have arrived.
REQUEST_SECONDS = 2.0
#: Bytes of a disk that holds a small database and little else.
DISK_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What a batch did while its database was away, and afterwards."""

    folder: Path
    ended: Ended  #: the runner that met the outage
    created: tuple[int, int]  #: runs, when the outage was known and when it was over
    runs: list[SandboxRun]
    besides: Ended | None = None  #: another command at the same time


# ---- a full disk ----


def full(folder: Path) -> Outage | None:
    """Fill the disk of a runner, and make room again; None if no disk can be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    with served(folder, durations=(0.5, 1.0)) as remote, _tiny(disk) as mounted:
        if not mounted:
            return None
        jobs = write_jobs(folder, pages(JOBS), concurrency=5)
        (disk / "older.csv").write_text("what was there\n")
        with started("run", jobs, cwd=disk, env=remote.env) as runner:
            runner.says("started", times=2)
            filler = disk / "filler"
            wait_until(lambda: _fill(filler) and _stalled(runner), "the runner meets a full disk")
            known = remote.created()
            export = batchrunner_process("export", "-o", "older.csv", cwd=disk)
            kept = (disk / "older.csv").read_text(), sorted(path.name for path in disk.iterdir())
            assert kept[0] == "what was there\n"
            assert not [name for name in kept[1] if name.startswith(".")], "half a file is left"
            over = remote.created()
            filler.unlink()
            ended = runner.end()
        for name in ("batchrunner.db", "jobs.results.csv"):
            (folder / name).write_bytes((disk / name).read_bytes())
        runs = remote.runs()
    return Outage(folder=folder, ended=ended, created=(known, over), runs=runs, besides=export)


@contextmanager
def _tiny(disk: Path) -> Iterator[bool]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    mounted = False
    with suppress(OSError):  # there is no such program
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(filler: Path) -> bool:
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    return True


def _stalled(runner: Program) -> bool:
    return any("waiting for the database" in line for line in runner.err)


# ---- a locked database ----


def locked(folder: Path) -> Outage:
    """Hold a lock on the database of a runner for longer than a statement waits for it."""
    with served(folder, durations=(0.5, 1.0)) as remote:
        jobs = write_jobs(folder, pages(JOBS), concurrency=5)
        with started("run", jobs, cwd=folder, env=remote.env) as runner:
            runner.says("started", times=2)
            with closing(_connected(folder)) as other:
                other.execute("BEGIN EXCLUSIVE")
                Event().wait(REQUEST_SECONDS)
                known = remote.created()
                Event().wait(LOCK_SECONDS - REQUEST_SECONDS)
                over = remote.created()
                other.execute("ROLLBACK")
            ended = runner.end()
        runs = remote.runs()
    return Outage(folder=folder, ended=ended, created=(known, over), runs=runs)


def _connected(folder: Path, timeout: float = 30.0) -> sqlite3.Connection:
    return sqlite3.connect(folder / "batchrunner.db", timeout=timeout, isolation_level=None)


# ---- a runner that is stopped for longer than its lease ----


def overslept(folder: Path) -> Outage:
    """Stop a runner until another one has taken over, and continue it while that one works."""
    stuck = "http://faults.test/stuck"
    with served(folder, durations=(0.5, 1.0)) as remote:
        jobs = write_jobs(folder, [stuck, *pages(JOBS - 1)], concurrency=5)
        here: Any = {"cwd": folder, "env": remote.env}
        with started("run", jobs, "-o", "sleeper.csv", **here) as sleeper:
            sleeper.says("started", times=2)
            wait_until(lambda: _stopped_outside_a_transaction(sleeper, folder), "it is stopped")
            with started("run", jobs, "-o", "other.csv", **here) as other:
                other.says("took over")
                known = _settled(remote)
                sleeper.send(SIGCONT)
                woken = sleeper.end()
                over = remote.created()
                batchrunner_process("cancel", cwd=folder)
                ended = other.end()
        runs = remote.runs()
    return Outage(folder=folder, ended=woken, created=(known, over), runs=runs, besides=ended)


def _stopped_outside_a_transaction(runner: Program, folder: Path) -> bool:
    """Stop a runner; if it holds a lock on the database, continue it and return False."""
    runner.send(SIGSTOP)
    with closing(_connected(folder, timeout=1.0)) as asking:
        try:
            asking.execute("BEGIN EXCLUSIVE")
            asking.execute("ROLLBACK")
        except sqlite3.OperationalError:
            runner.send(SIGCONT)
            return False
    return True


def _settled(remote: Remote) -> int:
    """Wait until only the stuck run is in flight, and count the runs."""

    def finished() -> bool:
        runs = remote.runs()
        alive = [run for run in runs if run.finished_at is None]
        return len(runs) >= JOBS and len(alive) == 1

    wait_until(finished, "all but the one that is stuck have ended")
    return remote.created()
