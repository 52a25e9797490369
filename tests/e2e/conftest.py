"""The two example batches, which many tests check: one process of tests runs each for all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from tests.e2e.programs import REPOSITORY, Ended, batchrunner
from tests.quick_migrations import quick_migrations


@dataclass(frozen=True)
class Ran:
    """A batch that was run to its end, in a folder of its own."""

    folder: Path
    ended: Ended


@pytest.fixture(scope="session", autouse=True)
def migrated() -> Iterator[None]:
    """Migrate the databases of commands in this process quickly."""
    with quick_migrations():
        yield


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The batch of jobs.example.yaml, run as the README says."""
    return _ran(_shared(tmp_path_factory) / "example", "jobs.example.yaml")


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The batch of jobs.failures.yaml."""
    return _ran(_shared(tmp_path_factory) / "failures", "jobs.failures.yaml")


def _shared(factory: pytest.TempPathFactory) -> Path:
    """Give a folder that all processes of a session share: it is above that of each."""
    own = factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def _ran(folder: Path, jobs: str) -> Ran:
    """Run a batch in a folder, unless another process has; which one runs it, a lock decides."""
    ending = folder.with_suffix(".json")
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not ending.exists():
            folder.mkdir()
            shutil.copy(REPOSITORY / jobs, folder)
            outputs = ["-o", "results.csv", "-o", "results.jsonl"]
            ended = batchrunner("run", jobs, "--sandbox", *outputs, cwd=folder)
            ending.write_text(json.dumps(asdict(ended)))
    return Ran(folder, Ended(**json.loads(ending.read_text())))


@pytest.fixture
def finished(example: Ran, tmp_path: Path) -> Path:
    """A folder with a finished batch of twelve jobs, in the usual database."""
    folder = shutil.copytree(example.folder, tmp_path / "finished")
    for path in folder.glob("batchrunner.sandbox.db*"):
        path.rename(folder / path.name.replace("sandbox.", "", 1))
    (folder / "batchrunner.sandbox.jsonl").rename(folder / "batchrunner.db.sandbox.jsonl")
    return folder
