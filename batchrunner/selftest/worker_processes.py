"""Runners of one batch in processes of their own, to be killed, stopped and started again."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from sqlalchemy import select

from batchrunner.selftest.child_main import lifeline
from batchrunner.selftest.invariants import InvariantViolated
from batchrunner.selftest.subprocesses import CHILD_PROGRAM, PROCESS_SECONDS, environment
from batchrunner.store.database import StoreError
from batchrunner.store.schema import SubmissionState, owners, submissions
from batchrunner.store.store import Store

#: Seconds for which a kill waits for a create, and between two looks for one.
HUNT, TRIGGER = 3.0, 0.005
#: Seconds for which a stopped runner sleeps: less than its lease.
STOP_SECONDS = 4.0
#: How a runner ends by itself: all succeeded, some failed; and when it cannot go on.
ENDED, GAVE_UP = (0, 1), 3


@dataclass
class WorkerProcesses:
    """Runners of one batch, each of which is started again when it died."""

    command: Sequence[str | Path]
    env: Mapping[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0
    in_create: int = 0
    stops: int = 0
    gave_up: int = 0

    def start(self, number: int) -> subprocess.Popen[bytes]:
        """Start the runner of that number; what it says is appended to its log."""
        with self.log(number).open("ab") as log:
            return subprocess.Popen(
                [*CHILD_PROGRAM, *map(str, self.command), "-o", f"r{number}.csv"],
                cwd=self.folder,
                env=environment(**self.env),
                stdin=lifeline(),
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
                raise InvariantViolated(
                    f"runner {number} ended with {code}:\n{self.log(number).read_text()}"
                )
        return bool(self.alive())

    def alive(self) -> list[int]:
        """Return the numbers of those at work."""
        return [n for n, process in enumerate(self.processes) if process.poll() is None]

    def kill(self, number: int) -> None:
        """Kill -9 a runner, and start it again at once."""
        self.processes[number].kill()
        self.processes[number].wait(PROCESS_SECONDS)
        self.kills += 1
        self.processes[number] = self.start(number)

    def kill_sender(self, address: str) -> int | None:
        """Kill the next one that is about to create runs; which one, if there was one in time."""
        pids = {self.processes[number].pid: number for number in self.alive()}
        try:
            with closing(Store.open(address)) as store:
                for _ in range(int(HUNT / TRIGGER)):
                    if found := sorted(pids[pid] for pid in senders(store) if pid in pids):
                        self.kill(found[0])
                        self.in_create += 1
                        return found[0]
                    threading.Event().wait(TRIGGER)
        except StoreError:  # the runners are to outlive that their server is away, we are not
            pass
        return None

    def stop(self, number: int) -> None:
        """Stop a runner in the middle of whatever it does, and wake it after a while."""
        self.processes[number].send_signal(SIGSTOP)
        threading.Event().wait(STOP_SECONDS)
        self.processes[number].send_signal(SIGCONT)
        self.stops += 1

    def said(self) -> str:
        """Return all that all of them said."""
        return "".join(self.log(number).read_text() for number in range(len(self.processes)))


@contextmanager
def start_workers(
    count: int, command: Sequence[str | Path], env: Mapping[str, str], folder: Path
) -> Iterator[WorkerProcesses]:
    """Start that many runners; they do not outlive the block."""
    fleet = WorkerProcesses(command, env, folder)
    try:
        for number in range(count):
            fleet.processes.append(fleet.start(number))
        yield fleet
    finally:
        for process in fleet.processes:
            process.kill()
            process.wait(PROCESS_SECONDS)


def senders(store: Store) -> list[int]:
    """Return the process ids of runners with a create of which no answer is recorded."""
    intended = select(owners.c.pid).join(submissions, submissions.c.owner_id == owners.c.id)
    with store._database.read() as tx:
        found = tx.execute(intended.where(submissions.c.state == SubmissionState.INTENDED))
        return list(found.scalars())
