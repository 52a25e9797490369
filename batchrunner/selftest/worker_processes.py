"""Runners of one batch in processes of their own, which can be killed, stopped and restarted."""

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

#: Seconds for which a kill waits for a create, and seconds between two checks for one.
CREATE_WAIT_SECONDS, CREATE_POLL_SECONDS = 3.0, 0.005
#: Seconds for which a runner is stopped: less than its lease.
STOP_SECONDS = 4.0
#: Exit codes of a runner: all jobs succeeded, or some failed; and: it could not continue.
FINISHED, GAVE_UP = (0, 1), 3


@dataclass
class WorkerProcesses:
    """Runners of one batch; each is started again when it was killed."""

    command: Sequence[str | Path]
    env: Mapping[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    kills: int = 0
    in_create: int = 0
    stops: int = 0
    gave_up: int = 0

    def start(self, number: int) -> subprocess.Popen[bytes]:
        """Start the runner of this number; its output is appended to its log."""
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
        """Return the log of all processes of a runner."""
        return self.folder / f"r{number}.log"

    def restart_given_up(self) -> bool:
        """
        Start the runners again that gave up; return whether any runner is active.

        Raises:
            InvariantViolated: A runner ended with another exit code.
        """
        for number, process in enumerate(self.processes):
            code = process.poll()
            if code == GAVE_UP:
                self.gave_up += 1
                self.processes[number] = self.start(number)
            elif code is not None and code not in FINISHED:
                raise InvariantViolated(
                    f"runner {number} ended with {code}:\n{self.log(number).read_text()}"
                )
        return bool(self.alive())

    def alive(self) -> list[int]:
        """Return the numbers of active runners."""
        return [n for n, process in enumerate(self.processes) if process.poll() is None]

    def kill(self, number: int) -> None:
        """Kill a runner (SIGKILL), and start it again at once."""
        self.processes[number].kill()
        self.processes[number].wait(PROCESS_SECONDS)
        self.kills += 1
        self.processes[number] = self.start(number)

    def kill_sender(self, address: str) -> int | None:
        """Kill the next runner that is sending a create; return its number, None if none did."""
        pids = {self.processes[number].pid: number for number in self.alive()}
        try:
            with closing(Store.open(address)) as store:
                for _ in range(int(CREATE_WAIT_SECONDS / CREATE_POLL_SECONDS)):
                    if found := sorted(pids[pid] for pid in senders(store) if pid in pids):
                        self.kill(found[0])
                        self.in_create += 1
                        return found[0]
                    threading.Event().wait(CREATE_POLL_SECONDS)
        except StoreError:  # the server is away: runners survive that, this check need not
            pass
        return None

    def stop(self, number: int) -> None:
        """Stop a runner (SIGSTOP), and continue it after a while."""
        self.processes[number].send_signal(SIGSTOP)
        threading.Event().wait(STOP_SECONDS)
        self.processes[number].send_signal(SIGCONT)
        self.stops += 1

    def output(self) -> str:
        """Return the output of all runners."""
        return "".join(self.log(number).read_text() for number in range(len(self.processes)))


@contextmanager
def start_workers(
    count: int, command: Sequence[str | Path], env: Mapping[str, str], folder: Path
) -> Iterator[WorkerProcesses]:
    """Start this many runners; they end with the block."""
    workers = WorkerProcesses(command, env, folder)
    try:
        for number in range(count):
            workers.processes.append(workers.start(number))
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.wait(PROCESS_SECONDS)


def senders(store: Store) -> list[int]:
    """Return the process ids of runners with a create whose answer is not recorded."""
    intended = select(owners.c.pid).join(submissions, submissions.c.owner_id == owners.c.id)
    with store._database.read() as tx:
        found = tx.execute(intended.where(submissions.c.state == SubmissionState.INTENDED))
        return list(found.scalars())
