"""What takes long and mostly waits is started first, and awaited by the tests that look at it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.programs import REPOSITORY, Ended, Program, started


@dataclass(frozen=True)
class Begun:
    """A command that was started before all tests, in a folder of its own."""

    folder: Path
    program: Program

    def ended(self) -> Ended:
        """Wait for its end."""
        return self.program.end()


@pytest.fixture(scope="session", autouse=True)
def _begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Begun]]:
    needed = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ExitStack() as stack:
        begun: dict[str, Begun] = {}
        for name in sorted({"example", "failures", "locked"} & needed):
            folder = tmp_path_factory.mktemp(name)
            command = _commands(name, folder, stack)
            begun[name] = Begun(folder, stack.enter_context(started(*command, cwd=folder)))
        yield begun


def _commands(name: str, folder: Path, stack: ExitStack) -> list[str]:
    if name == "locked":
        stack.callback(_lock(folder / "other.db").close)
        return ["status", "--db", "other.db"]
    shutil.copy(REPOSITORY / f"jobs.{name}.yaml", folder)
    outputs = ["-o", "results.csv", "-o", "results.jsonl"]
    return ["run", f"jobs.{name}.yaml", "--sandbox", *outputs]


def _lock(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE anything (column)")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


@pytest.fixture
def example(_begun: dict[str, Begun]) -> Begun:
    """The batch of jobs.example.yaml, run as the README says."""
    return _begun["example"]


@pytest.fixture
def failures(_begun: dict[str, Begun]) -> Begun:
    """The batch of jobs.failures.yaml."""
    return _begun["failures"]


@pytest.fixture
def locked(_begun: dict[str, Begun]) -> Begun:
    """A command on a database that another program keeps locked."""
    return _begun["locked"]


@pytest.fixture
def finished(example: Begun, tmp_path: Path) -> Path:
    """A folder with a batch of twelve jobs that has come to its end."""
    example.ended()
    return shutil.copytree(example.folder, tmp_path / "finished")
