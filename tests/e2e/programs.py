"""Commands in the tests' own folders, and the books of their batches; processes are the proof's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchrunner.cli.output.batch_text import batch_as_json
from batchrunner.model import Batch
from batchrunner.sandbox import SandboxRun
from batchrunner.selftest.invariants import check_end, most_at_once
from batchrunner.selftest.sandbox_process import KEY as CANARY
from batchrunner.selftest.sandbox_process import (
    SandboxProcess,
    pages,
    runs_of,
    sandbox_process,
    write_jobs,
)
from batchrunner.selftest.subprocesses import (
    PROCESS_SECONDS,
    PROGRAM,
    Ended,
    Program,
    environment,
    started,
    wait_until,
)
from batchrunner.store.store import Store

__all__ = [
    "CANARY",
    "PROCESS_SECONDS",
    "PROGRAM",
    "Ended",
    "Program",
    "SandboxProcess",
    "batchrunner",
    "environment",
    "most_at_once",
    "pages",
    "runs_of",
    "sandbox_process",
    "started",
    "wait_until",
    "write_jobs",
]

REPOSITORY = Path(__file__).parents[2]


def batchrunner(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, given: str | None = None
) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [*PROGRAM, *map(str, args)],
        cwd=cwd,
        env=environment(**(env or {})),
        input=given,
        stdin=None if given is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def batch_in(folder: Path, name: str) -> Iterator[tuple[Store, Batch]]:
    """Open a batch of the database in *folder* from outside the program."""
    store = Store.open(str(folder / "batchrunner.db"))
    try:
        (batch,) = (each for each in store.batches() if each.name == name)
        yield store, batch
    finally:
        store.close()


def status_of(folder: Path, name: str = "jobs") -> dict[str, Any]:
    """Return how a batch stands, as `status --json` prints it, without starting it each time."""
    with batch_in(folder, name) as (store, batch):
        return batch_as_json(store, batch)


def check_books(folder: Path, loaded: int, runs: Sequence[SandboxRun], name: str = "jobs") -> None:
    """Check that a finished batch and the sandbox tell the same of what was run and charged."""
    with batch_in(folder, name) as (store, batch):
        check_end(store, batch.id, loaded, runs)
        assert store.tally(batch.id).steps == sum(run.steps for run in runs)
