"""Commands in the tests' own folders, and the books of their batches; processes are the proof's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchrunner.cli.report import batch_as_json
from batchrunner.model import Batch
from batchrunner.proof.processes.programs import (
    PATIENCE,
    PROGRAM,
    Ended,
    Program,
    environment,
    eventually,
    started,
)
from batchrunner.proof.processes.remote import KEY as CANARY
from batchrunner.proof.processes.remote import Remote, pages, runs_of, served, write_jobs
from batchrunner.proof.promises import check_end, most_at_once
from batchrunner.sandbox import Run
from batchrunner.store import Store

__all__ = [
    "CANARY",
    "PATIENCE",
    "PROGRAM",
    "Ended",
    "Program",
    "Remote",
    "batchrunner",
    "environment",
    "eventually",
    "most_at_once",
    "pages",
    "runs_of",
    "served",
    "started",
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
        timeout=PATIENCE,
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


def check_books(folder: Path, loaded: int, runs: Sequence[Run], name: str = "jobs") -> None:
    """Check that a finished batch and the sandbox tell the same of what was run and charged."""
    with batch_in(folder, name) as (store, batch):
        check_end(store, batch.id, loaded, runs)
        assert store.tally(batch.id).steps == sum(run.steps for run in runs)
