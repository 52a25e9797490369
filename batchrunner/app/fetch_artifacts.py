"""Fetches what runs captured: into a folder, or to search it for the values of results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from batchrunner.app.account_check import bind
from batchrunner.app.run_observer import Say, say_nothing
from batchrunner.artifacts.download import ArtifactDownloader
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.model.artifacts import ArtifactKind
from batchrunner.runner.artifact_fetcher import (
    MAX_PARALLEL_DOWNLOADS,
    ArtifactFetcher,
    ArtifactSelection,
)
from batchrunner.runner.grounding_checker import GroundingChecker
from batchrunner.runner.offload import Offload
from batchrunner.runner.runner import in_thread, innermost
from batchrunner.store.artifacts import want_artifacts, wanted_artifacts
from batchrunner.store.store import Store
from batchrunner.tinyfish.console_client import ConsoleClient

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess

T = TypeVar("T")

#: Seconds that a run waits for artifacts after its last job.
ARTIFACT_WAIT_SECONDS = 300.0
#: Seconds that a command waits for artifacts if it does nothing else.
FETCH_ONLY_SECONDS = 12 * 3600.0


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What fetching has left."""

    is_complete: bool  #: nothing that was chosen is left
    trouble: str | None  #: why the last one that failed was not fetched


def fetch_artifacts(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    folder: Path,
    *,
    key: str | None = None,
    kinds: Collection[ArtifactKind] = (),
    say: Say = say_nothing,
) -> FetchResult:
    """
    Fetch what ended runs of a batch have captured and what is not in the database yet.

    *key* chooses one job, and no *kinds* mean all kinds.

    Raises:
        BatchrunnerError: The batch belongs to another API or account.
    """
    bind(store, batch, access, say=say)
    store.write(want_artifacts, batch.id, key, lasting=False)
    trouble = fetch(store, batch, access, folder, key=key, kinds=kinds)
    left = store.read(wanted_artifacts, batch.id, 1, key=key, kinds=kinds)
    return FetchResult(is_complete=not left, trouble=trouble)


def checked_folder(path: Path) -> Path:
    """
    Make a folder unless it exists, and return its absolute path.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.resolve(strict=True)
    except OSError as error:
        raise UsageError(
            f"artifacts cannot be put into {path}: {error.strerror}",
            next="name another folder",
        ) from error


@asynccontextmanager
async def fetching(
    store: Store, access: ApiAccess, folder: Path, offload: Offload, choice: ArtifactSelection
) -> AsyncIterator[ArtifactFetcher]:
    """Open a fetcher with its own connections, so that it takes none of the runner's."""
    limiter = anyio.CapacityLimiter(MAX_PARALLEL_DOWNLOADS)

    async def disk(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    async with (
        ConsoleClient(access.url, access.key) as client,
        ArtifactDownloader(access.url, access.key) as downloader,
    ):
        yield ArtifactFetcher(
            store=store,
            console=client,
            downloader=downloader,
            folder=folder,
            selection=choice,
            offload=offload,
            offload_disk=disk,
        )


@asynccontextmanager
async def checking(
    store: Store, access: ApiAccess, offload: Offload, batch_id: int, owner_id: str
) -> AsyncIterator[GroundingChecker]:
    """Open a checker of pages with its own connections, and a thread for its work."""
    limiter = anyio.CapacityLimiter(1)

    async def thread(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter, abandon_on_cancel=True)

    async with (
        ConsoleClient(access.url, access.key) as client,
        ArtifactDownloader(access.url, access.key) as downloader,
    ):
        yield GroundingChecker(
            store=store,
            console=client,
            downloader=downloader,
            batch_id=batch_id,
            owner_id=owner_id,
            offload=offload,
            offload_check=thread,
        )


def check_pages(store: Store, batch: Batch, access: ApiAccess, owner_id: str) -> None:
    """Search for the values of results whose pages an earlier run did not come to read."""
    try:
        anyio.run(_check_pages, store, batch, access, owner_id)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _check_pages(store: Store, batch: Batch, access: ApiAccess, owner_id: str) -> None:
    async with (
        checking(store, access, in_thread(), batch.id, owner_id) as checker,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(checker.run)
        await checker.finish(ARTIFACT_WAIT_SECONDS)
        tasks.cancel_scope.cancel()


def fetch(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    folder: Path,
    *,
    key: str | None = None,
    kinds: Collection[ArtifactKind] = (),
) -> str | None:
    """Fetch the wanted artifacts of a batch; return why the last failure happened."""
    choice = ArtifactSelection(batch_id=batch.id, key=key, kinds=kinds)
    try:
        return anyio.run(_fetch, store, access, folder, choice)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _fetch(
    store: Store, access: ApiAccess, folder: Path, choice: ArtifactSelection
) -> str | None:
    async with (
        fetching(store, access, folder, in_thread(), choice) as fetcher,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(fetcher.run)
        await fetcher.finish(FETCH_ONLY_SECONDS)
        tasks.cancel_scope.cancel()
    return fetcher.last_problem
