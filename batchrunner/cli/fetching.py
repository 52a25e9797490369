"""Brings artifacts of a batch into a folder: beside its runner, or by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from batchrunner.api.reader import Reader
from batchrunner.artifacts.fetching import Fetcher
from batchrunner.cli.errors import WRONG_USAGE, UserError
from batchrunner.model import Batch
from batchrunner.model.artifacts import Kind
from batchrunner.runner import in_thread, innermost
from batchrunner.runner.fetching import AT_ONCE, Choice, Fetching
from batchrunner.runner.shift import Offload
from batchrunner.store import Store

if TYPE_CHECKING:
    from batchrunner.cli.work import Access

T = TypeVar("T")

#: Seconds after the last job for which artifacts are waited for.
PATIENCE = 300.0
#: The same where nothing but artifacts is fetched.
ALONE = 12 * 3600.0


def checked_folder(path: Path) -> Path:
    """
    Return a folder that is there now, by its whole path.

    Raises:
        UserError: It cannot be.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.resolve(strict=True)
    except OSError as error:
        raise UserError(
            f"artifacts cannot be put into {path}: {error.strerror}",
            hint="name another folder",
            exit_code=WRONG_USAGE,
        ) from error


@asynccontextmanager
async def fetching(
    store: Store, access: Access, folder: Path, offload: Offload, choice: Choice
) -> AsyncIterator[Fetching]:
    """Give what fetches artifacts, with connections of its own: it takes none of the runner's."""
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def disk(call: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(call, limiter=limiter)

    async with (
        Reader(access.url, access.key) as reader,
        Fetcher(access.url, access.key) as fetcher,
    ):
        yield Fetching(
            store=store,
            reader=reader,
            fetcher=fetcher,
            folder=folder,
            choice=choice,
            offload=offload,
            disk=disk,
        )


def fetch(
    store: Store,
    batch: Batch,
    access: Access,
    folder: Path,
    *,
    key: str | None = None,
    kinds: Collection[Kind] = (),
) -> str | None:
    """Fetch what is wanted of a batch; return what was in the way of the last that was not."""
    choice = Choice(batch_id=batch.id, key=key, kinds=kinds)
    try:
        return anyio.run(_fetch, store, access, folder, choice)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _fetch(store: Store, access: Access, folder: Path, choice: Choice) -> str | None:
    async with (
        fetching(store, access, folder, in_thread(), choice) as work,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(work.keep)
        await work.finish(ALONE)
        tasks.cancel_scope.cancel()
    return work.trouble
