"""A database that is removed, moved, replaced, restored or damaged under a runner."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchrunner.app.open_database import open_store
from batchrunner.app.run_observer import say_nothing
from batchrunner.model import Settings, Submission
from batchrunner.runner.events import AttemptsRescued, StoreUnavailable
from batchrunner.runner.heartbeat import HEARTBEAT_SECONDS
from batchrunner.runner.runner import ExitReason
from batchrunner.runner.submitter import newest_attempt
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.store.claims import claim_jobs
from batchrunner.store.damage import Damaged
from batchrunner.store.database import Database, StoreError
from batchrunner.store.errors import LeaseLost, OwnerForgotten
from batchrunner.store.leases import rescue_attempts
from batchrunner.store.store import Store
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Planter
from tests.simulator import simulated_batch
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, pages, simulate
from tests.sweeps import some

SETTINGS = Settings(concurrency=4)
LONG_RUNS = SandboxConfig(durations=(600, 600))
#: Seconds after the start at which the database is lost: all slots are filled, nothing is due.
LOST_AT = 31.0


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "batchrunner.db"
    Store.open(str(path)).close()
    return path


@pytest.fixture
def path(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let simulated batches use a file."""
    path = tmp_path / "batchrunner.db"
    shutil.copyfile(empty, path)
    opened: list[Store] = []

    def open_file() -> Store:
        opened.append(Store.open(str(path)))
        return opened[-1]

    monkeypatch.setattr(simulated_batch, "open_memory_store", open_file)
    yield path
    for store in opened:
        store.close()


def replaced(path: Path) -> None:
    other = path.with_name("new.db")
    shutil.copyfile(path, other)
    os.replace(other, path)


LOSSES = {
    "removed": Path.unlink,
    "moved": lambda path: path.rename(path.with_name("old.db")),
    "replaced": replaced,
}


async def lose_while_running(path: Path, lose: Callable[[Path], Any]) -> None:
    """Lose the file of a batch that only waits for its runs, and check how the runner ends."""
    shared = CheckedBatch.of(pages(8), LONG_RUNS, SETTINGS)
    ended_at: list[float] = []

    async def work() -> None:
        try:
            with pytest.raises(StoreError, match="while in use: nothing more is submitted"):
                await shared.run()
        finally:
            ended_at.append(anyio.current_time())

    with anyio.move_on_after(300):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep(LOST_AT)
            lose(path)
            files = sorted(path.parent.iterdir())
    assert ended_at, "the runner goes on without its database"
    assert ended_at[0] <= LOST_AT + HEARTBEAT_SECONDS, "the runner noticed it late"
    assert sorted(path.parent.iterdir()) == files, "the runner made a new file"
    assert len(shared.sandbox.journal.runs) == 4
    assert not [each for each in shared.requests if "cancel" in each], "it cancelled what it leaves"


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_runner_whose_database_is_lost_stops_within_a_heartbeat(
    path: Path, lose: Callable[[Path], Any]
) -> None:
    simulate(partial(lose_while_running, path, lose))


def look_away(planter: Planter) -> None:
    planter.replace(Database.check_file, lambda _: None)


def test_a_runner_that_does_not_look_at_its_file_is_caught(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planter = Planter(monkeypatch)
    look_away(planter)
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        simulate(partial(lose_while_running, path, Path.unlink))
    assert not planter.uncalled


# ---- an older copy in its place ----


async def restore_while_running(path: Path, *, taken_at: float, restored_at: float) -> None:
    """Write an older copy over the file, as `cp` does, and check that nothing is paid twice."""
    shared = CheckedBatch.of(pages(24), SandboxConfig(durations=(10, 20)), SETTINGS)
    copy = path.with_name("backup.db")

    async def work() -> None:
        with pytest.raises(OwnerForgotten):
            await shared.run()

    async with anyio.create_task_group() as tasks:
        if not taken_at:
            shutil.copyfile(path, copy)
        tasks.start_soon(work)
        if taken_at:
            await anyio.sleep(taken_at)
            shutil.copyfile(path, copy)
        await anyio.sleep_until(restored_at)
        shutil.copyfile(copy, path)
    most = Counter(run.url for run in shared.sandbox.journal.runs).most_common(1)[0][1]
    assert most == 1, "runs were paid twice"


@pytest.mark.sweep
@pytest.mark.parametrize("taken_at", some([12.0, 0.0], 1))
def test_a_copy_that_is_restored_under_a_runner_pays_for_nothing_twice(
    path: Path, taken_at: float
) -> None:
    simulate(partial(restore_while_running, path, taken_at=taken_at, restored_at=41.0))


def trust_a_copy(planter: Planter) -> None:
    def forget(claimed: Sequence[Submission], before: int, owner_id: str) -> int:
        del claimed, owner_id
        return before

    planter.replace(newest_attempt, forget)


@pytest.mark.sweep
def test_a_runner_that_trusts_an_older_copy_is_caught(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planter = Planter(monkeypatch)
    trust_a_copy(planter)
    with pytest.raises((AssertionError, BaseExceptionGroup, pytest.fail.Exception)):
        simulate(partial(restore_while_running, path, taken_at=12.0, restored_at=41.0))
    assert not planter.uncalled


# ---- damage ----


def test_takeovers_without_progress_stop_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a damaged index does: what is taken over is there again the next time."""

    def without_effect(*args: Any) -> list[int]:
        return rescue_attempts(*args) or [1, 2, 3, 4]

    Planter(monkeypatch).replace(rescue_attempts, without_effect)

    async def scenario() -> None:
        shared = CheckedBatch.of(pages(4), LONG_RUNS, SETTINGS)
        with anyio.fail_after(60), pytest.raises(Damaged, match="again and again"):
            await shared.run()
        assert len([event for event in shared.events if isinstance(event, AttemptsRescued)]) == 1

    simulate(scenario)


def damage(path: Path, seed: int) -> None:
    """Overwrite up to four places of a file."""
    size = path.stat().st_size
    with path.open("r+b") as content:
        for place in range(1 + seed % 4):
            content.seek(int(seeded_share(seed, "place", place) * (size - 64)))
            length = [1, 8, 64][int(seeded_share(seed, "length", place) * 3)]
            content.write(bytes(int(seeded_share(seed, place, n) * 256) for n in range(length)))


async def damaged_batch(path: Path, seed: int) -> str:
    """Kill a runner, damage some pages, and start again: return how that ended."""
    shared = CheckedBatch.of(pages(12), SandboxConfig(durations=(10, 40)), SETTINGS)
    kill_switch = KillSwitch(kill_at=300)
    with pytest.raises(ProcessKilled):
        await shared.run(kill_switch)
    shared.store.close()
    damage(path, seed)
    try:
        with closing(open_store(str(path), say_nothing)) as shared.store:
            with anyio.fail_after(3600):
                return await shared.run()
    except (StoreError, LeaseLost) as error:
        return type(error).__name__


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(range(40), 1))
def test_a_damaged_file_ends_in_words_or_does_no_harm(path: Path, seed: int) -> None:
    assert simulate(partial(damaged_batch, path, seed)) in (
        "Damaged",
        "StoreError",
        ExitReason.FINISHED,
    )


# ---- a disk that has no room for claims ----


def test_a_disk_that_is_full_for_claims_only_is_reported_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused: list[float] = []

    def claim(*args: Any, **kwargs: Any) -> list[Submission]:
        if 5 < anyio.current_time() < 60:
            refused.append(anyio.current_time())
            raise StoreError("the database cannot grow", next="make room", passing=True)
        return claim_jobs(*args, **kwargs)

    Planter(monkeypatch).replace(claim_jobs, claim)

    async def scenario() -> None:
        shared = CheckedBatch.of(pages(8), SandboxConfig(durations=(10, 20)), SETTINGS)
        assert await shared.run() is ExitReason.FINISHED
        told = [event for event in shared.events if isinstance(event, StoreUnavailable)]
        assert told == [StoreUnavailable(reason="the database cannot grow")]

    simulate(scenario)
    assert len(refused) > 2
