"""Commands in folders of the tests, in this process or another, and the databases they leave."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchrunner.cli import cli
from batchrunner.cli.output.batch_text import batch_as_json
from batchrunner.model import Batch
from batchrunner.sandbox import SandboxConfig, SandboxRun
from batchrunner.sandbox.http.server import serve
from batchrunner.selftest.invariants import check_end, most_at_once
from batchrunner.selftest.sandbox_process import KEY as CANARY
from batchrunner.selftest.sandbox_process import RunCounter, pages, runs_of, write_jobs
from batchrunner.selftest.subprocesses import (
    PROCESS_SECONDS,
    PROGRAM,
    Ended,
    Program,
    environment,
    started,
    wait_until,
)
from batchrunner.store.batch_reads import list_batches
from batchrunner.store.reports import batch_counts
from batchrunner.store.store import Store
from tests.contract.openapi import Judging

__all__ = [
    "CANARY",
    "PROCESS_SECONDS",
    "PROGRAM",
    "Ended",
    "Program",
    "Remote",
    "batchrunner",
    "batchrunner_process",
    "environment",
    "most_at_once",
    "pages",
    "runs_of",
    "served",
    "started",
    "wait_until",
    "write_jobs",
]

REPOSITORY = Path(__file__).parents[2]


def batchrunner(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None, given: str | None = None
) -> Ended:
    """Run a command to its end in this process, as if it had been started in *cwd*."""
    texts = [*map(str, args)]
    clean = environment(**(env or {}))
    changes = {name: clean.get(name) for name in {*os.environ, *clean}}
    runner = CliRunner(env=changes)
    with chdir(cwd), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["batchrunner", *texts])
        done = runner.invoke(cli, texts, input=given, prog_name="batchrunner")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ended(done.exit_code, done.stdout, done.stderr)


def batchrunner_process(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end in a process of its own, for tests about processes."""
    done = subprocess.run(
        [*PROGRAM, *map(str, args)],
        cwd=cwd,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROCESS_SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Remote:
    """A sandbox that this process serves; its journal has what it did."""

    url: str
    config: SandboxConfig
    count: RunCounter

    @property
    def env(self) -> dict[str, str]:
        """The environment in which a command uses it."""
        return {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": self.url}

    def runs(self) -> list[SandboxRun]:
        """Return all runs that it created, in their present state."""
        return runs_of(self.count.journal, self.config)

    def created(self) -> int:
        """Count the runs that it created."""
        return self.count.now()


@contextmanager
def served(folder: Path, **config: Any) -> Iterator[Remote]:
    """Serve a sandbox with this configuration while the block runs; its journal is in *folder*."""
    conditions = SandboxConfig(**{"durations": (0.2, 0.6), "retry_after": 1.0, **config})
    journal, judging = folder / "served.jsonl", Judging()
    with serve(conditions, journal_path=journal, middleware=judging) as sandbox:
        yield Remote(url=sandbox.url, config=conditions, count=RunCounter(journal))
    assert not judging.mistakes, judging.mistakes


@contextmanager
def batch_in(folder: Path, name: str) -> Iterator[tuple[Store, Batch]]:
    """Open a batch of the database in *folder* from outside the program."""
    usual, of_sandbox = folder / "batchrunner.db", folder / "batchrunner.sandbox.db"
    store = Store.open(str(usual if usual.exists() else of_sandbox))
    try:
        (batch,) = (each for each in store.read(list_batches) if each.name == name)
        yield store, batch
    finally:
        store.close()


def status_of(folder: Path, name: str = "jobs") -> dict[str, Any]:
    """Return what `status --json` prints, without starting a process each time."""
    with batch_in(folder, name) as (store, batch):
        return batch_as_json(store, batch)


def check_books(folder: Path, loaded: int, runs: Sequence[SandboxRun], name: str = "jobs") -> None:
    """Check that a finished batch and the sandbox agree about runs and cost."""
    with batch_in(folder, name) as (store, batch):
        check_end(store, batch.id, loaded, runs)
        assert store.read(batch_counts, batch.id).steps == sum(run.steps for run in runs)
