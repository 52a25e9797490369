"""Searches for the values of results in the pages that their runs saw, while a batch goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from time import thread_time

import anyio

from batchrunner.artifacts.download import (
    ArtifactDownloader,
    DownloadFailed,
    DownloadFailure,
)
from batchrunner.grounding import Grounding, ground
from batchrunner.model import RequestFailed
from batchrunner.model.artifacts import ArtifactKind
from batchrunner.model.grounding_rule import GroundingTask
from batchrunner.runner.artifact_fetcher import DOWNLOAD_RETRY_WAITS, download_failure
from batchrunner.runner.context import DB_POLL_SECONDS
from batchrunner.runner.offload import Offload, T
from batchrunner.runner.wakeup import WakeUp
from batchrunner.store.database import StoreError
from batchrunner.store.grounding import (
    result_to_ground,
    results_to_ground,
    store_grounding,
)
from batchrunner.store.store import Store
from batchrunner.tinyfish.console_client import ConsoleClient

#: Results that are checked at once.
MAX_PARALLEL_CHECKS = 2
#: Newest pages of a run that are read, and their bytes together.
MAX_PAGES, MAX_BYTES = 20, 12_000_000
#: Seconds of a processor after which the values of a result that are left are not checked.
MAX_CHECK_SECONDS = 10.0
#: Seconds without any check after the database has failed.
PAUSE_SECONDS = 10.0


class GroundingChecker:
    """
    The loop that reads the pages of chosen runs, checks them, and keeps only what it found.

    It never starts a run, and never fails a job: what cannot be read or checked is not checked.
    """

    def __init__(
        self,
        *,
        store: Store,
        console: ConsoleClient,
        downloader: ArtifactDownloader,
        batch_id: int,
        owner_id: str,
        offload: Offload,
        offload_check: Offload,
    ) -> None:
        self._store = store
        self._console = console
        self._downloader = downloader
        self._which = (batch_id, owner_id)
        self._offload = offload
        self._offload_check = offload_check
        self._tries: dict[int, int] = {}  # attempts that could not be read yet
        self._retry_at: dict[int, float] = {}
        self._idle = False  # nothing was left at the newest look
        self._changed = WakeUp()

    async def run(self) -> None:
        """Check what is chosen as runs end; forever."""
        while True:
            tasks = await self._next()
            self._idle = not tasks and not self._retry_at
            async with anyio.create_task_group() as group:
                for task in tasks:
                    group.start_soon(self._check, task)
            self._changed.notify()
            if not tasks:
                await anyio.sleep(DB_POLL_SECONDS)

    async def finish(self, seconds: float) -> None:
        """Wait until nothing is left to check, at most for *seconds*."""
        self._idle = False
        with anyio.move_on_after(seconds):
            while not self._idle:
                await self._changed.wait(DB_POLL_SECONDS)

    async def _next(self) -> list[GroundingTask]:
        """Return results to check now."""
        now = anyio.current_time()
        self._retry_at = {each: at for each, at in self._retry_at.items() if at > now}
        read = partial(results_to_ground, without=[*self._retry_at])
        found = await self._call_store(
            partial(self._store.read, read, *self._which, MAX_PARALLEL_CHECKS)
        )
        return found or []

    async def _check(self, task: GroundingTask) -> None:
        """Check one result, and keep what was found; try again later where pages are missing."""
        try:
            pages = await self._pages(task)
        except (DownloadFailed, RequestFailed) as error:
            failed = download_failure(error) if isinstance(error, RequestFailed) else error
            if not self._is_final(task, failed):
                return
            found = Grounding(problem=f"a page of the run could not be read: {failed.message}")
        else:
            found = await self._ground(task, pages)
        await self._call_store(
            lambda: self._store.write(store_grounding, task.attempt_id, found.as_json())
        )

    def _is_final(self, task: GroundingTask, failed: DownloadFailed) -> bool:
        """Return whether a failure to read pages is the last one; else plan another attempt."""
        tries = self._tries[task.attempt_id] = self._tries.get(task.attempt_id, 0) + 1
        final = failed.kind in (DownloadFailure.REFUSED, DownloadFailure.GONE)
        if final or tries > len(DOWNLOAD_RETRY_WAITS):
            return True
        self._retry_at[task.attempt_id] = anyio.current_time() + DOWNLOAD_RETRY_WAITS[tries - 1]
        return False

    async def _pages(self, task: GroundingTask) -> list[bytes]:
        """Return the different pages that a run saw, the first ones first."""
        run = await self._console.show(task.run_id, html="url")
        steps = [step for step in run.steps if step.html][-MAX_PAGES:]
        pages: dict[bytes, bytes] = {}
        for step in steps:
            page = bytearray()

            async def take(block: bytes, page: bytearray = page) -> None:
                page.extend(block)

            await self._downloader.step(task.run_id, step.id or "", ArtifactKind.HTML, take)
            pages.setdefault(blake2b(page).digest(), bytes(page))
            if sum(map(len, pages.values())) > MAX_BYTES:
                message = f"the pages of the run are larger than {MAX_BYTES // 1_000_000} MB"
                raise DownloadFailed(DownloadFailure.REFUSED, message)
        return [*pages.values()]

    async def _ground(self, task: GroundingTask, pages: Sequence[bytes]) -> Grounding:
        result = await self._call_store(lambda: self._store.read(result_to_ground, task.attempt_id))
        if result is None:
            return Grounding(problem="the result is too large to be checked")
        check = partial(_check, result, pages, task)
        try:
            return await self._offload_check(check)
        except Exception as error:  # a check never ends a batch run
            return Grounding(problem=f"the check failed: {type(error).__name__}")

    async def _call_store(self, call: Callable[[], T]) -> T | None:
        """Run a store call; None if the database is unavailable, and a later attempt follows."""
        try:
            return await self._offload(call)
        except StoreError:
            await anyio.sleep(PAUSE_SECONDS)
            return None


def _check(result: str, pages: Sequence[bytes], task: GroundingTask) -> Grounding:
    """Search pages for the values of a result, in bounded time whatever they hold."""
    latest = thread_time() + MAX_CHECK_SECONDS
    named, is_late = task.named, lambda: thread_time() >= latest
    return ground(result, pages, url=task.url, named=named, is_late=is_late)
