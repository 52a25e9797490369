"""Downloads the artifacts of runs while the batch goes on: a few at once, delaying nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from batchrunner.artifacts.download import (
    ArtifactDownloader,
    Downloaded,
    DownloadFailed,
    DownloadFailure,
    is_id,
)
from batchrunner.artifacts.file_names import artifact_path
from batchrunner.artifacts.target_file import (
    BadPath,
    PartialFile,
    TargetExists,
)
from batchrunner.classify import classify_fault
from batchrunner.model import ApiFaultKind, FailureCategory, RequestFailed
from batchrunner.model.artifacts import (
    LISTING,
    ArtifactKind,
    ArtifactResult,
    ArtifactState,
    ListedArtifact,
    WantedArtifact,
)
from batchrunner.runner.context import DB_POLL_SECONDS
from batchrunner.runner.offload import Offload, T
from batchrunner.runner.wakeup import WakeUp
from batchrunner.store.artifacts import record_listing, settle_artifact, wanted_artifacts
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.console_views import RunDetails, Step

#: Artifacts that are downloaded at once.
MAX_PARALLEL_DOWNLOADS = 4
#: Seconds to wait before the second, third, … attempt; the next process goes on after the last.
DOWNLOAD_RETRY_WAITS = (2.0, 8.0, 32.0)
#: Reads of a run for an address that works, in one attempt.
MAX_LISTINGS = 2
#: Seconds without any download after the database or the disk has failed.
ARTIFACT_POLL_SECONDS = 10.0

_Target = tuple[int, str, int]


@dataclass(frozen=True, kw_only=True)
class ArtifactSelection:
    """Which artifacts of a batch to download."""

    batch_id: int
    owner_id: str | None = None  #: artifacts of this owner and of dead owners; None: of all owners
    key: str | None = None  #: of one job; None: of all
    kinds: Collection[ArtifactKind] = ()  #: empty: all


class ArtifactFetcher:
    """
    The loop that downloads artifacts; it never starts a run, and never fails a job.

    Crash-only: the store lists the wanted artifacts. A file appears complete, and the store says
    so only after the file is on disk.
    """

    def __init__(
        self,
        *,
        store: Store,
        console: ConsoleClient,
        downloader: ArtifactDownloader,
        folder: Path,
        selection: ArtifactSelection,
        offload: Offload,
        offload_disk: Offload,
    ) -> None:
        self._store = store
        self._console = console
        self._downloader = downloader
        self._folder = folder
        self._selection = selection
        self._offload = offload
        self._offload_disk = offload_disk
        self._in_progress: set[_Target] = set()
        self._tries: dict[_Target, int] = {}
        self._retry_at: dict[_Target, float] = {}  # after a failed attempt
        self._changed = WakeUp()
        self._paused_until = 0.0
        self.last_problem: str | None = None  #: why the newest attempt failed
        self.key_refused = False  #: no more attempts

    async def run(self) -> None:
        """Download wanted artifacts; forever."""
        async with anyio.create_task_group() as tasks:
            while True:
                if not (self._is_paused or self.key_refused):
                    await self._start_downloads(tasks)
                await self._changed.wait(DB_POLL_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait until nothing is left that `run` can download, at most for *seconds*."""
        with anyio.move_on_after(seconds):
            while not self.key_refused and await self._has_more():
                await self._changed.wait(DB_POLL_SECONDS / 8)

    async def _has_more(self) -> bool:
        # In this order: `_pick` pauses everything if the database is unavailable.
        return bool(self._in_progress or await self._pick(or_later=True) or self._is_paused)

    @property
    def _is_paused(self) -> bool:
        return anyio.current_time() < self._paused_until

    async def _start_downloads(self, tasks: TaskGroup) -> None:
        if len(self._in_progress) == MAX_PARALLEL_DOWNLOADS:
            return
        for wanted in (await self._pick())[: MAX_PARALLEL_DOWNLOADS - len(self._in_progress)]:
            self._in_progress.add(_target_key(wanted))
            tasks.start_soon(self._attempt, wanted)

    async def _pick(self, *, or_later: bool = False) -> list[WantedArtifact]:
        """Return artifacts to try now; with *or_later*, those to try again later as well."""
        now, selection = anyio.current_time(), self._selection
        given_up = {at for at, tries in self._tries.items() if tries > len(DOWNLOAD_RETRY_WAITS)}
        later = set() if or_later else {at for at, due in self._retry_at.items() if due > now}
        pick = partial(
            self._store.read,
            wanted_artifacts,
            selection.batch_id,
            MAX_PARALLEL_DOWNLOADS,
            owner_id=selection.owner_id,
            key=selection.key,
            kinds=selection.kinds,
            without=self._in_progress | given_up | later,
        )
        return await self._call_store(pick) or []

    async def _attempt(self, wanted: WantedArtifact) -> None:
        at = _target_key(wanted)
        try:
            await self._download(wanted)
        except DownloadFailed as error:
            await self._record_failure(wanted, error)
        except TargetExists:
            self._retry_later(at)
        except BadPath as error:
            await self._record_failure(wanted, DownloadFailed(DownloadFailure.REFUSED, str(error)))
        except OSError as error:
            self._pause(f"the folder takes nothing: {error.strerror}")
        except RequestFailed as error:
            await self._record_failure(wanted, download_failure(error))
        finally:
            self._in_progress.discard(at)
            self._changed.notify()

    async def _download(self, wanted: WantedArtifact) -> None:
        if wanted.kind is None:
            found = _listed(await self._read_run(wanted), recorded=wanted.recorded)
            await self._call_store(lambda: self._store.write(record_listing, wanted, found))
            return
        kind = wanted.kind
        async with self._partial_file(wanted) as part:
            downloaded = await self._write_to(part, wanted, kind)
            path = await self._offload_disk(lambda: part.keep(downloaded.suffix(kind)))
        await self._record_result(
            wanted,
            ArtifactResult(
                state=ArtifactState.STORED,
                size=downloaded.size,
                sha256=downloaded.sha256,
                media=downloaded.media,
                path=path,
            ),
        )

    @asynccontextmanager
    async def _partial_file(self, wanted: WantedArtifact) -> AsyncIterator[PartialFile]:
        part = await self._offload_disk(lambda: PartialFile(self._folder, artifact_path(wanted)))
        try:
            yield part
        except BaseException:
            part.drop()  # without await: this task may be cancelled
            raise

    async def _write_to(
        self, part: PartialFile, wanted: WantedArtifact, kind: ArtifactKind
    ) -> Downloaded:
        async def write(block: bytes) -> None:
            await self._offload_disk(lambda: part.write(block))

        if kind is not ArtifactKind.VIDEO:
            return await self._downloader.step(wanted.run_id, wanted.name, kind, write)
        for reading in range(1, MAX_LISTINGS + 1):
            address = (await self._read_run(wanted)).more.get("video_url")
            if not isinstance(address, str):
                raise DownloadFailed(DownloadFailure.LATER, "the API has no recording (yet)")
            try:
                return await self._downloader.address(address, kind, write)
            except DownloadFailed as error:
                if error.kind is not DownloadFailure.STALE or reading == MAX_LISTINGS:
                    raise
        raise DownloadFailed(DownloadFailure.LATER, "its address was always too old")

    async def _read_run(self, wanted: WantedArtifact) -> RunDetails:
        content = "none" if wanted.kind else "url"
        return await self._console.show(wanted.run_id, screenshots=content, html=content)

    async def _record_failure(self, wanted: WantedArtifact, error: DownloadFailed) -> None:
        """Store a failure that is final; try again later after any other."""
        match error.kind:
            case DownloadFailure.REFUSED:
                await self._record_result(
                    wanted, ArtifactResult(state=ArtifactState.REFUSED, reason=error.message)
                )
            case DownloadFailure.GONE:
                await self._record_result(
                    wanted, ArtifactResult(state=ArtifactState.GONE, reason=error.message)
                )
            case DownloadFailure.BARRED:
                self.key_refused, self.last_problem = True, error.message
            case DownloadFailure.STALE | DownloadFailure.LATER:
                self.last_problem = error.message
                self._retry_later(_target_key(wanted))
                await self._record_result(
                    wanted, ArtifactResult(state=ArtifactState.WANTED, reason=error.message)
                )

    async def _record_result(self, wanted: WantedArtifact, result: ArtifactResult) -> None:
        await self._call_store(lambda: self._store.write(settle_artifact, wanted, result))

    async def _call_store(self, call: Callable[[], T]) -> T | None:
        """Run a store call; None if the database is unavailable, and a later attempt follows."""
        try:
            return await self._offload(call)
        except StoreError as error:
            self._pause(error.message)
            return None

    def _retry_later(self, at: _Target) -> None:
        tries = self._tries[at] = self._tries.get(at, 0) + 1
        self._retry_at[at] = (
            anyio.current_time() + DOWNLOAD_RETRY_WAITS[min(tries, len(DOWNLOAD_RETRY_WAITS)) - 1]
        )

    def _pause(self, reason: str) -> None:
        self.last_problem = reason
        self._paused_until = anyio.current_time() + ARTIFACT_POLL_SECONDS


def _target_key(wanted: WantedArtifact) -> _Target:
    return wanted.attempt_id, wanted.kind or LISTING, wanted.step


def download_failure(error: RequestFailed) -> DownloadFailed:
    """Return what a failed read of a run means for its artifacts."""
    fault = error.fault
    if fault.kind is ApiFaultKind.STATUS and fault.status == 404:
        return DownloadFailed(
            DownloadFailure.GONE, f"the API does not know the run: {fault.message}"
        )
    refused = classify_fault(fault).category is FailureCategory.UNAUTHORIZED
    return DownloadFailed(
        DownloadFailure.BARRED if refused else DownloadFailure.LATER, fault.message
    )


def _listed(run: RunDetails, *, recorded: bool) -> list[ListedArtifact]:
    """Return the artifacts that a run shows, and the recording if the job asked for it."""
    found = []
    for number, step in enumerate(run.steps, start=1):
        if step.screenshot:
            found.append(_step_artifact(ArtifactKind.SCREENSHOTS, number, step))
        if step.html:
            found.append(_step_artifact(ArtifactKind.HTML, number, step))
    if recorded or run.more.get("video_url"):
        found.append(ListedArtifact(kind=ArtifactKind.VIDEO))
    return found


def _step_artifact(kind: ArtifactKind, number: int, step: Step) -> ListedArtifact:
    if step.id is not None and is_id(step.id):
        return ListedArtifact(kind=kind, step=number, name=step.id)
    return ListedArtifact(
        kind=kind, step=number, reason="the id of its step is a path, or no id at all"
    )
