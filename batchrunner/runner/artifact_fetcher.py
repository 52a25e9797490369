"""Fetches what was captured of runs, beside the batch: a few at once, holding nothing up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

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
from batchrunner.artifacts.target_file import PartialFile, TargetExists
from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, FailureCategory, FaultKind
from batchrunner.model.artifacts import (
    ArtifactKind,
    ArtifactResult,
    ArtifactState,
    ListedArtifact,
    WantedArtifact,
)
from batchrunner.runner.context import DB_POLL_SECONDS, Offload
from batchrunner.runner.wakeup import WakeUp
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.console_views import RunDetails, Step

#: Artifacts that are fetched at once.
MAX_PARALLEL_DOWNLOADS = 4
#: Seconds to wait before the second, third, … try; after the last one the next process goes on.
DOWNLOAD_RETRY_WAITS = (2.0, 8.0, 32.0)
#: Looks at a run for an address that works, in one try.
MAX_LISTINGS = 2
#: Seconds for which nothing is tried when the database or the disk is away.
ARTIFACT_POLL_SECONDS = 10.0

T = TypeVar("T")
_Target = tuple[int, str, int]


@dataclass(frozen=True, kw_only=True)
class ArtifactSelection:
    """Which artifacts of a batch are fetched."""

    batch_id: int
    owner_id: str | None = None  #: its own and those of the dead; None: everybody's
    key: str | None = None  #: of one job; None: of all
    kinds: Collection[ArtifactKind] = ()  #: none: all


class ArtifactFetcher:
    """
    The loop that fetches artifacts; it never starts a run, and fails nobody's job.

    Crash-only: what is wanted stands in the ledger, a file appears whole, and is written down as
    stored when it is on disk.
    """

    def __init__(
        self,
        *,
        store: Store,
        reader: ConsoleClient,
        fetcher: ArtifactDownloader,
        folder: Path,
        choice: ArtifactSelection,
        offload: Offload,
        disk: Offload,
    ) -> None:
        self._store = store
        self._reader = reader
        self._fetcher = fetcher
        self._folder = folder
        self._choice = choice
        self._offload = offload
        self._disk = disk
        self._at_work: set[_Target] = set()
        self._tries: dict[_Target, int] = {}
        self._due: dict[_Target, float] = {}  # when what failed may be tried again
        self._news = WakeUp()
        self._held_until = 0.0
        self.trouble: str | None = None  #: what was last in the way of all
        self.barred = False  #: the key is refused: nothing is tried any more

    async def run(self) -> None:
        """Fetch what is wanted, for ever."""
        async with anyio.create_task_group() as tasks:
            while True:
                if not (self._is_held or self.barred):
                    await self._start(tasks)
                await self._news.wait(DB_POLL_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait until there is nothing left that `keep` can fetch, at most so many seconds."""
        with anyio.move_on_after(seconds):
            while not self.barred and await self._has_more():
                await self._news.wait(DB_POLL_SECONDS / 8)

    async def _has_more(self) -> bool:
        # In this order: where the database is away, asking it holds everything.
        return bool(self._at_work or await self._pick(waiting=True) or self._is_held)

    @property
    def _is_held(self) -> bool:
        return anyio.current_time() < self._held_until

    async def _start(self, tasks: TaskGroup) -> None:
        if len(self._at_work) == MAX_PARALLEL_DOWNLOADS:
            return
        for wanted in (await self._pick())[: MAX_PARALLEL_DOWNLOADS - len(self._at_work)]:
            self._at_work.add(_target_key(wanted))
            tasks.start_soon(self._fetch, wanted)

    async def _pick(self, *, waiting: bool = False) -> list[WantedArtifact]:
        """Return what can be tried now; with *waiting*, what can be tried later as well."""
        now, choice = anyio.current_time(), self._choice
        done = {at for at, tries in self._tries.items() if tries > len(DOWNLOAD_RETRY_WAITS)}
        late = set() if waiting else {at for at, due in self._due.items() if due > now}
        pick = partial(
            self._store.wanted_artifacts,
            choice.batch_id,
            MAX_PARALLEL_DOWNLOADS,
            owner_id=choice.owner_id,
            key=choice.key,
            kinds=choice.kinds,
            without=self._at_work | done | late,
        )
        return await self._ask(pick) or []

    async def _fetch(self, wanted: WantedArtifact) -> None:
        at = _target_key(wanted)
        try:
            await self._try(wanted)
        except DownloadFailed as error:
            await self._note(wanted, error)
        except TargetExists:
            self._again(at)
        except OSError as error:
            self._hold(f"the folder takes nothing: {error.strerror}")
        except ApiError as error:
            await self._note(wanted, _why(error))
        finally:
            self._at_work.discard(at)
            self._news.notify()

    async def _try(self, wanted: WantedArtifact) -> None:
        if wanted.kind is None:
            found = _found(await self._look(wanted), recorded=wanted.recorded)
            await self._ask(lambda: self._store.note_artifacts(wanted, found))
            return
        async with self._part(wanted) as part:
            brought = await self._bring(wanted, wanted.kind, part)
            path = await self._disk(
                lambda: part.keep(brought.suffix(wanted.kind or ArtifactKind.VIDEO))
            )
        await self._settle(
            wanted,
            ArtifactResult(
                state=ArtifactState.STORED,
                size=brought.size,
                sha256=brought.sha256,
                media=brought.media,
                path=path,
            ),
        )

    @asynccontextmanager
    async def _part(self, wanted: WantedArtifact) -> AsyncIterator[PartialFile]:
        part = await self._disk(lambda: PartialFile(self._folder, artifact_path(wanted)))
        try:
            yield part
        except BaseException:
            part.drop()  # at once, as who is cancelled cannot wait
            raise

    async def _bring(
        self, wanted: WantedArtifact, kind: ArtifactKind, part: PartialFile
    ) -> Downloaded:
        async def take(block: bytes) -> None:
            await self._disk(lambda: part.write(block))

        if kind is not ArtifactKind.VIDEO:
            return await self._fetcher.step(wanted.run_id, wanted.name, kind, take)
        for look in range(1, MAX_LISTINGS + 1):
            address = (await self._look(wanted)).more.get("video_url")
            if not isinstance(address, str):
                raise DownloadFailed(DownloadFailure.LATER, "the API has no recording (yet)")
            try:
                return await self._fetcher.address(address, kind, take)
            except DownloadFailed as error:
                if error.why is not DownloadFailure.STALE or look == MAX_LISTINGS:
                    raise
        raise DownloadFailed(DownloadFailure.LATER, "its address was always too old")

    async def _look(self, wanted: WantedArtifact) -> RunDetails:
        forms = "none" if wanted.kind else "url"
        return await self._reader.show(wanted.run_id, screenshots=forms, html=forms)

    async def _note(self, wanted: WantedArtifact, error: DownloadFailed) -> None:
        """Write down what another try cannot change; try the rest again."""
        match error.why:
            case DownloadFailure.REFUSED:
                await self._settle(
                    wanted, ArtifactResult(state=ArtifactState.REFUSED, why=error.message)
                )
            case DownloadFailure.GONE:
                await self._settle(
                    wanted, ArtifactResult(state=ArtifactState.GONE, why=error.message)
                )
            case DownloadFailure.BARRED:
                self.barred, self.trouble = True, error.message
            case DownloadFailure.STALE | DownloadFailure.LATER:
                self.trouble = error.message
                self._again(_target_key(wanted))
                await self._settle(
                    wanted, ArtifactResult(state=ArtifactState.WANTED, why=error.message)
                )

    async def _settle(self, wanted: WantedArtifact, fetched: ArtifactResult) -> None:
        await self._ask(lambda: self._store.settle_artifact(wanted, fetched))

    async def _ask(self, call: Callable[[], T]) -> T | None:
        """Run a call of the store's; where the database is away, another try follows."""
        try:
            return await self._offload(call)
        except StoreError as error:
            self._hold(error.message)
            return None

    def _again(self, at: _Target) -> None:
        tries = self._tries[at] = self._tries.get(at, 0) + 1
        self._due[at] = (
            anyio.current_time() + DOWNLOAD_RETRY_WAITS[min(tries, len(DOWNLOAD_RETRY_WAITS)) - 1]
        )

    def _hold(self, why: str) -> None:
        self.trouble = why
        self._held_until = anyio.current_time() + ARTIFACT_POLL_SECONDS


def _target_key(wanted: WantedArtifact) -> _Target:
    return wanted.attempt_id, wanted.kind or "listing", wanted.step


def _why(error: ApiError) -> DownloadFailed:
    """Return what it means for artifacts that a run could not be looked at."""
    fault = error.fault
    if fault.kind is FaultKind.STATUS and fault.status == 404:
        return DownloadFailed(
            DownloadFailure.GONE, f"the API does not know the run: {fault.message}"
        )
    refused = classify_fault(fault).category is FailureCategory.UNAUTHORIZED
    return DownloadFailed(
        DownloadFailure.BARRED if refused else DownloadFailure.LATER, fault.message
    )


def _found(shown: RunDetails, *, recorded: bool) -> list[ListedArtifact]:
    """Return the artifacts that a run shows, and the recording where it was asked for."""
    found = []
    for number, step in enumerate(shown.steps, start=1):
        if step.screenshot:
            found.append(_of_step(ArtifactKind.SCREENSHOTS, number, step))
        if step.html:
            found.append(_of_step(ArtifactKind.HTML, number, step))
    if recorded or shown.more.get("video_url"):
        found.append(ListedArtifact(kind=ArtifactKind.VIDEO))
    return found


def _of_step(kind: ArtifactKind, number: int, step: Step) -> ListedArtifact:
    if step.id is not None and is_id(step.id):
        return ListedArtifact(kind=kind, step=number, name=step.id)
    return ListedArtifact(
        kind=kind, step=number, why="the id of its step is a path, or no id at all"
    )
