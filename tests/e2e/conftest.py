"""The two example batches, which many tests check: each process of tests runs them once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.programs import REPOSITORY, Ended, batchrunner


@dataclass(frozen=True)
class Ran:
    """A batch that was run to its end, in a folder of its own."""

    folder: Path
    ended: Ended


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The batch of jobs.example.yaml, run as the README says."""
    return _run(tmp_path_factory.mktemp("example"), "jobs.example.yaml")


@pytest.fixture(scope="session")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The batch of jobs.failures.yaml."""
    return _run(tmp_path_factory.mktemp("failures"), "jobs.failures.yaml")


def _run(folder: Path, jobs: str) -> Ran:
    shutil.copy(REPOSITORY / jobs, folder)
    outputs = ["-o", "results.csv", "-o", "results.jsonl"]
    return Ran(folder, batchrunner("run", jobs, "--sandbox", *outputs, cwd=folder))


@pytest.fixture
def finished(example: Ran, tmp_path: Path) -> Path:
    """A folder with a finished batch of twelve jobs."""
    return shutil.copytree(example.folder, tmp_path / "finished")
