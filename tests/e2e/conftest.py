"""What takes long and mostly waits is begun at once, and awaited by the tests that look at it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import outages
from tests.e2e.outages import Outage
from tests.e2e.programs import REPOSITORY, Ended, Program, started


@dataclass(frozen=True)
class Begun:
    """A command that was started before all tests that look at it, in a folder of its own."""

    folder: Path
    program: Program

    def ended(self) -> Ended:
        """Wait for its end."""
        return self.program.end()


#: Fixture → what it awaits the end of.
OUTAGES: Mapping[str, Callable[[Path], Outage | None]] = {
    "disk_full": outages.full,
    "unlocked": outages.locked,
    "overslept": outages.overslept,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process have all that is begun, and look last at what takes longest."""
    for item in items:
        if not {"_begun", "_met"}.isdisjoint(_fixtures(item)):
            item.add_marker(pytest.mark.xdist_group("begun"))
    items.sort(key=lambda item: not {*OUTAGES, "proved"}.isdisjoint(_fixtures(item)))


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def _needed(request: pytest.FixtureRequest) -> set[str]:
    return {name for item in request.session.items for name in _fixtures(item)}


@pytest.fixture(scope="session")
def _met(
    _needed: set[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Outage | None]]]:
    with ThreadPoolExecutor(len(OUTAGES)) as pool:
        yield {
            name: pool.submit(meet, tmp_path_factory.mktemp(name))
            for name, meet in OUTAGES.items()
            if name in _needed
        }


@pytest.fixture(scope="session")
def _begun(
    _needed: set[str], _met: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Begun]]:
    with ExitStack() as stack:
        begun: dict[str, Begun] = {}
        for name in sorted({"example", "failures", "locked", "proved"} & _needed):
            folder = tmp_path_factory.mktemp(name)
            command = _commands(name, folder, stack)
            begun[name] = Begun(folder, stack.enter_context(started(*command, cwd=folder)))
        yield begun


def _commands(name: str, folder: Path, stack: ExitStack) -> list[str]:
    if name == "locked":
        stack.callback(_lock(folder / "other.db").close)
        return ["status", "--db", "other.db"]
    if name == "proved":
        (folder / "mine.db").write_text("the user's own")
        return ["selftest", "--db", "mine.db", "--nights", "0", "--json"]
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
def proved(_begun: dict[str, Begun]) -> Begun:
    """A self-test in real processes, beside a file."""
    return _begun["proved"]


@pytest.fixture
def finished(example: Begun, tmp_path: Path) -> Path:
    """A folder with a batch of twelve jobs that has come to its end."""
    example.ended()
    return shutil.copytree(example.folder, tmp_path / "finished")


def _outage(met: Mapping[str, Future[Outage | None]], name: str) -> Outage:
    outage = met[name].result()
    if outage is None:
        pytest.skip("no file system may be mounted here")
    return outage


@pytest.fixture
def disk_full(_met: dict[str, Future[Outage | None]]) -> Outage:
    """A batch whose disk was full for a while."""
    return _outage(_met, "disk_full")


@pytest.fixture
def unlocked(_met: dict[str, Future[Outage | None]]) -> Outage:
    """A batch whose database another program locked for a while."""
    return _outage(_met, "unlocked")


@pytest.fixture
def overslept(_met: dict[str, Future[Outage | None]]) -> Outage:
    """A batch of which one runner slept until the other took its jobs over."""
    return _outage(_met, "overslept")
