"""Artifacts are fetched beside a batch, on virtual time: no create and no job waits for them."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest

from batchrunner.artifacts.download import ArtifactDownloader
from batchrunner.artifacts.file_names import safe_file_name
from batchrunner.model import JobState, Settings
from batchrunner.model.artifacts import Artifact, ArtifactKind, ArtifactState
from batchrunner.runner.artifact_fetcher import ArtifactFetcher, ArtifactSelection
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.artifacts import artifact_rows, want_artifacts
from batchrunner.store.batch_reads import artifact_counts
from batchrunner.store.database import StoreError
from batchrunner.store.reports import finished_jobs
from batchrunner.tinyfish.console_client import ConsoleClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

T = TypeVar("T")
ALL = {"capture_config": {"screenshots": True, "html": True, "recording": True}}
CONFIG = SandboxConfig(durations=(20, 40))
HOME = "http://127.0.0.1"


class Line(httpx.AsyncBaseTransport):
    """The way to the sandbox, for artifacts alone; refuses the first requests to some paths."""

    def __init__(self, inner: httpx.AsyncBaseTransport, refusals: dict[str, int]) -> None:
        self._inner = inner
        self._refusals = Counter(refusals)
        self.asked: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        self.asked[last] += 1
        if self._refusals[last] > 0:
            self._refusals[last] -= 1
            return httpx.Response(403)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._inner.handle_async_request(request)
        finally:
            self.at_once -= 1


@dataclass
class Beside:
    """A simulated, and what fetches its artifacts into a folder."""

    simulated: CheckedBatch
    folder: Path
    refusals: dict[str, int] = field(default_factory=dict)
    broken: list[Exception] = field(default_factory=list)  #: what the disk answers at first
    away: list[Exception] = field(default_factory=list)  #: what the database answers at first
    known: bool = True  #: name servers know the hosts of addresses
    owner_id: str | None = None
    line: Line = field(init=False)

    def __post_init__(self) -> None:
        self.simulated.store.write(want_artifacts, self.simulated.batch.id, lasting=True)
        self.line = Line(self.simulated.sandbox.transport(), self.refusals)

    @asynccontextmanager
    async def fetching(self) -> AsyncIterator[ArtifactFetcher]:
        async with (
            ConsoleClient(HOME, "key", self.line) as reader,
            ArtifactDownloader(
                HOME, "key", self.line, resolve=self._resolve, outside=self.line
            ) as fetcher,
            anyio.create_task_group() as tasks,
        ):
            work = ArtifactFetcher(
                store=self.simulated.store,
                console=reader,
                downloader=fetcher,
                folder=self.folder,
                selection=ArtifactSelection(
                    batch_id=self.simulated.batch.id, owner_id=self.owner_id
                ),
                offload=lambda call: _answered(call, self.away),
                offload_disk=lambda call: _answered(call, self.broken),
            )
            tasks.start_soon(work.run)
            yield work
            tasks.cancel_scope.cancel()

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        if not self.known:
            raise OSError(f"nobody knows {host}")
        return ("93.184.215.14",)

    async def run(self, patience: float = 300) -> ArtifactFetcher:
        """Run the batch to its end, and fetch for as long as the program would."""
        async with self.fetching() as work:
            assert await self.simulated.run() is ExitReason.FINISHED
            await work.finish(patience)
        return work

    @property
    def artifacts(self) -> list[Artifact]:
        return self.simulated.store.read(artifact_rows, self.simulated.batch.id)

    def states(self) -> set[ArtifactState]:
        return {each.state for each in self.artifacts}


async def _answered(call: Callable[[], T], first: list[Exception]) -> T:
    if first:
        raise first.pop()
    return call()


def batch_of(urls: Sequence[str], config: SandboxConfig = CONFIG) -> CheckedBatch:
    return CheckedBatch.of(urls, config, Settings(concurrency=4), options=ALL)


def files_in(folder: Path) -> list[str]:
    return sorted(str(each) for each in folder.rglob("*") if each.is_file())


def created_at(simulated: CheckedBatch) -> list[datetime]:
    return [run.created_at for run in simulated.sandbox.journal.runs]


@pytest.mark.sweep
@pytest.mark.parametrize("fate", some([None, "artifact_dripping", "artifact_expired"], 1))
def test_fetching_delays_no_create_and_no_end(tmp_path: Path, fate: str | None) -> None:
    config = SandboxConfig(durations=(20, 40), rates={fate: 0.7} if fate else {})

    async def alone() -> tuple[list[datetime], float]:
        simulated = batch_of(pages(12), config)
        assert await simulated.run() is ExitReason.FINISHED
        return created_at(simulated), anyio.current_time()

    async def beside() -> tuple[list[datetime], float]:
        both = Beside(batch_of(pages(12), config), tmp_path, owner_id="owner-1")
        async with both.fetching():
            assert await both.simulated.run() is ExitReason.FINISHED
            over = anyio.current_time()
        both.simulated.check_end()
        assert both.simulated.jobs() == {JobState.SUCCEEDED: 12}
        assert 0 < both.line.most_at_once <= 4
        return created_at(both.simulated), over

    assert simulate(beside) == simulate(alone)


@pytest.mark.sweep
def test_everything_is_there_when_the_batch_has_ended(tmp_path: Path) -> None:
    async def main() -> None:
        both = Beside(batch_of(pages(6)), tmp_path, owner_id="owner-1")
        await both.run()
        steps = sum(run.steps for run in both.simulated.sandbox.journal.runs)
        assert Counter(each.kind for each in both.artifacts) == {
            ArtifactKind.SCREENSHOTS: steps,
            ArtifactKind.HTML: steps,
            ArtifactKind.VIDEO: 6,
        }
        assert both.states() == {ArtifactState.STORED}
        assert files_in(tmp_path) == sorted(each.path or "" for each in both.artifacts)

    simulate(main)


@pytest.mark.sweep
def test_a_fetch_that_is_cut_off_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    async def main(seconds: float, folder: Path) -> None:
        both = Beside(batch_of(pages(4)), folder)
        with anyio.move_on_after(seconds):
            async with both.fetching():
                await both.simulated.run()
        while both.simulated.jobs() != {JobState.SUCCEEDED: 4}:
            await both.simulated.run()
        async with both.fetching() as work:
            await work.finish(300)
        assert both.states() == {ArtifactState.STORED}
        assert files_in(folder) == sorted(each.path or "" for each in both.artifacts)

    for seconds in (21, 30, 45):

        async def scenario(cut: float = seconds) -> None:
            await main(cut, tmp_path / str(cut))

        simulate(scenario)


def test_an_address_that_is_too_old_is_asked_for_again_and_no_run_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        both = Beside(batch_of(pages(1)), tmp_path, refusals={"recording.mp4": 1})
        await both.run()
        assert both.states() == {ArtifactState.STORED}
        assert both.line.asked["recording.mp4"] == 2
        assert len(both.simulated.sandbox.journal.runs) == 1

    simulate(main)


def test_what_cannot_be_had_is_tried_four_times_and_kept_as_wanted(tmp_path: Path) -> None:
    async def main() -> None:
        both = Beside(batch_of(pages(1)), tmp_path, known=False)
        work = await both.run()
        [video] = [each for each in both.artifacts if each.kind is ArtifactKind.VIDEO]
        assert (video.state, video.reason) == (
            ArtifactState.WANTED,
            "nobody knows the host agent.tinyfish.ai",
        )
        assert work.last_problem == video.reason
        both.known = True
        async with both.fetching() as again:
            await again.finish(300)
        assert both.states() == {ArtifactState.STORED}

    simulate(main)


@pytest.mark.sweep
def test_the_end_of_a_batch_waits_for_slow_artifacts_only_so_long(tmp_path: Path) -> None:
    async def main() -> None:
        urls = [f"http://faults.test/artifact_dripping?n={n}" for n in range(8)]
        both = Beside(batch_of(urls), tmp_path)
        async with both.fetching() as work:
            assert await both.simulated.run() is ExitReason.FINISHED
            over = anyio.current_time()
            await work.finish(300)
            assert anyio.current_time() - over <= 300
        assert ArtifactState.WANTED in both.states()
        assert files_in(tmp_path) == [], "what is not whole is not there"

    simulate(main)


def test_a_full_disk_and_an_absent_database_lose_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        gone = StoreError("the database is away", "wait", passing=True)
        simulated = batch_of(pages(4))
        both = Beside(simulated, tmp_path, broken=[full] * 3, away=[gone] * 3)
        await both.run()
        assert both.simulated.jobs() == {JobState.SUCCEEDED: 4}
        assert both.states() == {ArtifactState.STORED}

    simulate(main)


def test_a_key_that_is_refused_ends_the_fetching_and_not_the_batch(tmp_path: Path) -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            error: dict[str, Any] = {"code": "INVALID_API_KEY", "message": "Invalid API key"}
            return httpx.Response(401, json={"error": error})

    async def main() -> None:
        both = Beside(batch_of(pages(4)), tmp_path)
        both.line = Line(Refusing(), {})
        begun = both.line
        work = await both.run()
        assert work.key_refused
        assert work.last_problem == "Invalid API key"
        assert sum(begun.asked.values()) <= 4
        assert both.simulated.store.read(artifact_counts, both.simulated.batch.id).unlisted == 4

    simulate(main)


def test_a_bad_path_fails_its_artifact_and_holds_up_no_other(tmp_path: Path) -> None:
    async def main() -> None:
        both = Beside(batch_of(pages(4)), tmp_path)
        simulated = both.simulated
        assert await simulated.run() is ExitReason.FINISHED
        first = next(finished_jobs(simulated.store, simulated.batch.id)).key
        planted = tmp_path / simulated.batch.name / safe_file_name(first)
        planted.parent.mkdir(parents=True)
        planted.symlink_to("/nowhere")
        async with both.fetching() as work:
            await work.finish(300)
        ours = [each for each in both.artifacts if each.key == first]
        assert {each.state for each in ours} == {ArtifactState.REFUSED}
        assert all("its path cannot be used" in (each.reason or "") for each in ours)
        others = {each.state for each in both.artifacts if each.key != first}
        assert others == {ArtifactState.STORED}

    simulate(main)
