"""A sandbox in a process of its own, the runs in its journal, and jobs for it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from batchrunner.api_facts.environment import API_KEY, BASE_URL
from batchrunner.sandbox import Journal, Sandbox, SandboxConfig, SandboxRun
from batchrunner.selftest.subprocesses import Program, started, wait_until

#: An API key for the sandbox; a test can find it where no key may be.
KEY = "sk-canary-8f3a51"


@dataclass
class RunCounter:
    """Counts the runs in a growing journal, and reads each line once."""

    journal: Path
    created: int = 0
    _read: int = 0

    def now(self) -> int:
        """Return how many runs have been created."""
        with self.journal.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # it is being written
                    break
                self._read += len(line)
                self.created += len(json.loads(line).get("runs", ()))
        return self.created


@dataclass(frozen=True)
class SandboxProcess:
    """A sandbox in a process of its own."""

    url: str
    count: RunCounter
    config: SandboxConfig
    program: Program

    @property
    def env(self) -> dict[str, str]:
        """The environment in which a command uses it."""
        return {API_KEY: KEY, BASE_URL: self.url}

    def runs(self) -> list[SandboxRun]:
        """Return all runs that it created, in their present state."""
        return runs_of(self.count.journal, self.config)

    def created(self) -> int:
        """Count the runs that it created."""
        return self.count.now()


@contextmanager
def sandbox_process(
    folder: Path,
    *,
    durations: tuple[float, float] = (0.2, 0.6),
    rates: Mapping[str, float] | None = None,
    script: Mapping[str, str] | None = None,
    seed: int = 0,
    apart: bool = False,
) -> Iterator[SandboxProcess]:
    """Serve a sandbox while the block runs; its journal is in *folder*."""
    config = SandboxConfig(
        seed=seed,
        durations=durations,
        rates=rates or {},
        script=script or {},
        retry_after=1.0,
        apart=apart,
    )
    args = ["--durations", f"{durations[0]}-{durations[1]}", "--seed", str(seed)]
    args += ["--apart"] if apart else []
    args += [part for name, rate in config.rates.items() for part in ("--rate", f"{name}={rate}")]
    args += [
        part for glob, fault in config.script.items() for part in ("--script", f"{glob}={fault}")
    ]
    journal = folder / "served.jsonl"
    with started("sandbox", "--port", "0", "--ledger", journal, *args, cwd=folder) as program:
        url = wait_until(lambda: "".join(program.out).strip(), "the sandbox prints its url")
        yield SandboxProcess(url=url, count=RunCounter(journal), config=config, program=program)


def runs_of(journal: Path, config: SandboxConfig) -> list[SandboxRun]:
    """Return the runs of a sandbox in their present state, by replaying a copy of its journal."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Journal(Path(shutil.copy(journal, folder)))) as copy,
    ):
        anyio.run(Sandbox.in_process(config, _now, journal=copy).settle)
        return list(copy.runs)


def _now() -> datetime:
    return datetime.now(UTC)  # the sandbox ran on the real clock


def pages(count: int) -> list[str]:
    """Return the urls of this many pages of the sandbox's shop."""
    return [f"http://shop.test/products/{1 + number % 16}?n={number}" for number in range(count)]


def write_jobs(
    folder: Path,
    urls: Sequence[str],
    *,
    name: str = "jobs",
    goal: str = "Read the page",
    **settings: Any,
) -> Path:
    """Write a job file in JSON, which is also YAML."""
    jobs = [{"id": f"job-{number}", "url": url} for number, url in enumerate(urls)]
    body = {"settings": settings, "defaults": {"goal": goal}, "jobs": jobs}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps({k: v for k, v in body.items() if v}, indent=1, ensure_ascii=False))
    return path
