"""Brings artifacts of a batch into a folder: beside its runner, or by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from batchrunner.artifacts.download import ArtifactDownloader
from batchrunner.errors import UsageError
from batchrunner.model import Batch
from batchrunner.model.artifacts import ArtifactKind
from batchrunner.runner.artifact_fetcher import (
    MAX_PARALLEL_DOWNLOADS,
    ArtifactFetcher,
    ArtifactSelection,
)
from batchrunner.runner.offload import Offload
from batchrunner.runner.runner import in_thread, innermost
from batchrunner.store.store import Store
from batchrunner.tinyfish.console_client import ConsoleClient

if TYPE_CHECKING:
    from batchrunner.app.run_batch import ApiAccess

T = TypeVar("T")

#: Seconds after the last job for which artifacts are waited for.
ARTIFACT_WAIT_SECONDS = 300.0
#: The same where nothing but artifacts is fetched.
ALONE = 12 * 3600.0


def checked_folder(path: Path) -> Path:
    """
    Return a folder that is there now, by its whole path.

    Raises:
        BatchrunnerError: It cannot be.
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
    """Give what fetches artifacts, with connections of its own: it takes none of the runner's."""
    limiter = anyio.CapacityLimiter(MAX_PARALLEL_DOWNLOADS)

    async def disk(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    async with (
        ConsoleClient(access.url, access.key) as reader,
        ArtifactDownloader(access.url, access.key) as fetcher,
    ):
        yield ArtifactFetcher(
            store=store,
            console=reader,
            downloader=fetcher,
            folder=folder,
            selection=choice,
            offload=offload,
            offload_disk=disk,
        )


def fetch(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    folder: Path,
    *,
    key: str | None = None,
    kinds: Collection[ArtifactKind] = (),
) -> str | None:
    """Fetch what is wanted of a batch; return what was in the way of the last that was not."""
    choice = ArtifactSelection(batch_id=batch.id, key=key, kinds=kinds)
    try:
        return anyio.run(_fetch, store, access, folder, choice)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _fetch(
    store: Store, access: ApiAccess, folder: Path, choice: ArtifactSelection
) -> str | None:
    async with (
        fetching(store, access, folder, in_thread(), choice) as work,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(work.run)
        await work.finish(ALONE)
        tasks.cancel_scope.cancel()
    return work.last_problem
