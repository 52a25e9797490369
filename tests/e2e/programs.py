"""The real program in real processes: batchrunner commands, and a sandbox on a socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import anyio

from batchrunner.cli.report import batch_as_json
from batchrunner.model import Batch
from batchrunner.proof.promises import check_end
from batchrunner.sandbox import Ledger, Run, Sandbox, World
from batchrunner.store import Store

PROGRAM = [sys.executable, "-m", "batchrunner"]
REPOSITORY = Path(__file__).parents[2]
#: Longest time that anything may take before it counts as hung.
PATIENCE = 90.0
#: A key that must never be seen anywhere.
CANARY = "sk-canary-8f3a51"

T = TypeVar("T")


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which nothing but *more* is set for us."""
    ours = ("TINYFISH_", "BATCHRUNNER_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**inherited, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(REPOSITORY), **more}


def eventually(check: Callable[[], T], what: str) -> T:
    """Return the first truth that *check* gives."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if found := check():
            return found
        pause.wait(0.05)
    raise AssertionError(f"never happened: {what}")


# ---- commands ----


@dataclass(frozen=True)
class Ended:
    """How a command ended, and all that it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it printed, wherever to."""
        return self.out + self.err

    def json(self) -> Any:
        """Read its standard output, which must be one JSON value."""
        return json.loads(self.out)


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


@dataclass
class Program:
    """A command at work, whose output can be waited for."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        pipes = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._readers = [threading.Thread(target=self._read, args=pipe) for pipe in pipes]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until *times* lines hold *text*."""

        def heard() -> bool:
            return sum(text in line for line in [*self.out, *self.err]) >= times

        def silent() -> bool:
            return not any(reader.is_alive() for reader in self._readers)

        with self._news:
            self._news.wait_for(lambda: heard() or silent(), PATIENCE)
            assert heard(), f"never said {text!r}:\n{''.join([*self.out, *self.err])}"

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        ended = Ended(code, "".join(self.out), "".join(self.err))
        assert "Traceback" not in ended.said, ended.said
        return ended

    def kill(self) -> None:
        """End it the hard way, if it has not ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)


@contextmanager
def started(
    *args: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Start a command; it does not outlive the block."""
    program = Program(
        subprocess.Popen(
            [*PROGRAM, *map(str, args)],
            cwd=cwd,
            env=environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    try:
        yield program
    finally:
        program.kill()


# ---- the sandbox ----


@dataclass(frozen=True)
class Remote:
    """A sandbox in a process of its own."""

    url: str
    ledger: Path
    world: World
    program: Program

    @property
    def env(self) -> dict[str, str]:
        """What a command needs to use it."""
        return {"TINYFISH_API_KEY": CANARY, "TINYFISH_BASE_URL": self.url}

    def runs(self) -> list[Run]:
        """Return all runs that it created, as they are now."""
        return runs_of(self.ledger, self.world)

    def created(self) -> int:
        """Count the runs that it created."""
        return created_in(self.ledger)


@contextmanager
def served(
    folder: Path,
    *,
    durations: tuple[float, float] = (0.2, 0.6),
    rates: Mapping[str, float] | None = None,
    script: Mapping[str, str] | None = None,
) -> Iterator[Remote]:
    """Serve a sandbox while the block runs; its ledger stands in *folder*."""
    world = World(durations=durations, rates=rates or {}, script=script or {}, retry_after=1.0)
    args = ["--durations", f"{durations[0]}-{durations[1]}"]
    args += [part for name, rate in world.rates.items() for part in ("--rate", f"{name}={rate}")]
    args += [part for glob, fate in world.script.items() for part in ("--script", f"{glob}={fate}")]
    ledger = folder / "served.jsonl"
    with started("sandbox", "--port", "0", "--ledger", ledger, *args, cwd=folder) as program:
        url = eventually(lambda: "".join(program.out).strip(), "the sandbox tells its url")
        yield Remote(url=url, ledger=ledger, world=world, program=program)


def created_in(ledger: Path) -> int:
    """Count the runs that a sandbox created, by the file of its ledger."""
    lines = ledger.read_text().splitlines(keepends=True) if ledger.exists() else []
    # The last line may be half there: its writer is at work.
    whole = [line for line in lines if line.endswith("\n")]
    return sum(len(json.loads(line).get("runs", ())) for line in whole)


def runs_of(ledger: Path, world: World) -> list[Run]:
    """Return the runs of a sandbox as they are now, by playing a copy of its ledger again."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Ledger(Path(shutil.copy(ledger, folder)))
        try:
            sandbox = Sandbox.in_process(world, _now, ledger=copy)
            anyio.run(sandbox.settle)
            return list(copy.runs)
        finally:
            copy.close()


def most_at_once(runs: Sequence[Run]) -> int:
    """Count the runs that were open at the busiest instant."""
    changes = [(run.created_at, 1) for run in runs]
    changes += [(run.finished_at, -1) for run in runs if run.finished_at]
    opened = most = 0
    for _, change in sorted(changes):
        opened += change
        most = max(most, opened)
    return most


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the sandbox lived on the real clock


# ---- batches ----


def write_jobs(
    folder: Path,
    urls: Sequence[str],
    *,
    name: str = "jobs",
    goal: str = "Read the page",
    **settings: Any,
) -> Path:
    """Write a job file; as YAML is a superset of JSON, it is one."""
    jobs = [{"id": f"job-{number}", "url": url} for number, url in enumerate(urls)]
    body = {"settings": settings, "defaults": {"goal": goal}, "jobs": jobs}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({k: v for k, v in body.items() if v}, indent=1, ensure_ascii=False))
    return path


def pages(count: int) -> list[str]:
    """Return urls of that many pages of the sandbox's shop."""
    return [f"http://shop.test/products/{1 + number % 16}?n={number}" for number in range(count)]


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
    """Return how a batch stands: what `status --json` prints, without starting it each time."""
    with batch_in(folder, name) as (store, batch):
        return batch_as_json(store, batch)


def check_books(folder: Path, loaded: int, runs: Sequence[Run], name: str = "jobs") -> None:
    """Check that a finished batch and the sandbox tell the same of what was run and charged."""
    with batch_in(folder, name) as (store, batch):
        check_end(store, batch.id, loaded, runs)
        assert store.tally(batch.id).steps == sum(run.steps for run in runs)
