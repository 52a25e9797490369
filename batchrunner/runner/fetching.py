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

from batchrunner.api.reader import Reader
from batchrunner.api.viewing import Shown, Step
from batchrunner.artifacts.fetching import Brought, Fetcher, NotBrought, Why, is_id
from batchrunner.artifacts.folder import Part, Taken
from batchrunner.artifacts.names import place
from batchrunner.classify import classify_fault
from batchrunner.model import ApiError, FailureCategory, FaultKind
from batchrunner.model.artifacts import ArtifactState, Fetched, Found, Kind, Wanted
from batchrunner.runner.bell import Bell
from batchrunner.runner.shift import GLANCE, Offload
from batchrunner.store import Store, StoreError

#: Artifacts that are fetched at once.
AT_ONCE = 4
#: Seconds to wait before the second, third, … try; after the last one the next process goes on.
WAITS = (2.0, 8.0, 32.0)
#: Looks at a run for an address that works, in one try.
MOST_LOOKS = 2
#: Seconds for which nothing is tried when the database or the disk is away.
PAUSE = 10.0

T = TypeVar("T")
_Place = tuple[int, str, int]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which artifacts of a batch are fetched."""

    batch_id: int
    owner_id: str | None = None  #: its own and those of the dead; None: everybody's
    key: str | None = None  #: of one job; None: of all
    kinds: Collection[Kind] = ()  #: none: all


class Fetching:
    """
    The loop that fetches artifacts; it never starts a run, and fails nobody's job.

    Crash-only: what is wanted stands in the ledger, a file appears whole, and is written down as
    stored when it is on disk.
    """

    def __init__(
        self,
        *,
        store: Store,
        reader: Reader,
        fetcher: Fetcher,
        folder: Path,
        choice: Choice,
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
        self._at_work: set[_Place] = set()
        self._tries: dict[_Place, int] = {}
        self._due: dict[_Place, float] = {}  # when what failed may be tried again
        self._news = Bell()
        self._held_until = 0.0
        self.trouble: str | None = None  #: what was last in the way of all
        self.barred = False  #: the key is refused: nothing is tried any more

    async def keep(self) -> None:
        """Fetch what is wanted, for ever."""
        async with anyio.create_task_group() as tasks:
            while True:
                if not (self._is_held or self.barred):
                    await self._start(tasks)
                await self._news.wait(GLANCE)

    async def finish(self, seconds: float) -> None:
        """Wait until there is nothing left that `keep` can fetch, at most so many seconds."""
        with anyio.move_on_after(seconds):
            while not self.barred and await self._has_more():
                await self._news.wait(GLANCE / 8)

    async def _has_more(self) -> bool:
        # In this order: where the database is away, asking it holds everything.
        return bool(self._at_work or await self._pick(waiting=True) or self._is_held)

    @property
    def _is_held(self) -> bool:
        return anyio.current_time() < self._held_until

    async def _start(self, tasks: TaskGroup) -> None:
        if len(self._at_work) == AT_ONCE:
            return
        for wanted in (await self._pick())[: AT_ONCE - len(self._at_work)]:
            self._at_work.add(_place(wanted))
            tasks.start_soon(self._fetch, wanted)

    async def _pick(self, *, waiting: bool = False) -> list[Wanted]:
        """Return what can be tried now; with *waiting*, what can be tried later as well."""
        now, choice = anyio.current_time(), self._choice
        done = {at for at, tries in self._tries.items() if tries > len(WAITS)}
        late = set() if waiting else {at for at, due in self._due.items() if due > now}
        pick = partial(
            self._store.wanted_artifacts,
            choice.batch_id,
            AT_ONCE,
            owner_id=choice.owner_id,
            key=choice.key,
            kinds=choice.kinds,
            without=self._at_work | done | late,
        )
        return await self._ask(pick) or []

    async def _fetch(self, wanted: Wanted) -> None:
        at = _place(wanted)
        try:
            await self._try(wanted)
        except NotBrought as error:
            await self._note(wanted, error)
        except Taken:
            self._again(at)
        except OSError as error:
            self._hold(f"the folder takes nothing: {error.strerror}")
        except ApiError as error:
            await self._note(wanted, _why(error))
        finally:
            self._at_work.discard(at)
            self._news.ring()

    async def _try(self, wanted: Wanted) -> None:
        if wanted.kind is None:
            found = _found(await self._look(wanted), recorded=wanted.recorded)
            await self._ask(lambda: self._store.note_artifacts(wanted, found))
            return
        async with self._part(wanted) as part:
            brought = await self._bring(wanted, wanted.kind, part)
            path = await self._disk(lambda: part.keep(brought.suffix(wanted.kind or Kind.VIDEO)))
        await self._settle(
            wanted,
            Fetched(
                state=ArtifactState.STORED,
                size=brought.size,
                sha256=brought.sha256,
                media=brought.media,
                path=path,
            ),
        )

    @asynccontextmanager
    async def _part(self, wanted: Wanted) -> AsyncIterator[Part]:
        part = await self._disk(lambda: Part(self._folder, place(wanted)))
        try:
            yield part
        except BaseException:
            part.drop()  # at once, as who is cancelled cannot wait
            raise

    async def _bring(self, wanted: Wanted, kind: Kind, part: Part) -> Brought:
        async def take(block: bytes) -> None:
            await self._disk(lambda: part.write(block))

        if kind is not Kind.VIDEO:
            return await self._fetcher.step(wanted.run_id, wanted.name, kind, take)
        for look in range(1, MOST_LOOKS + 1):
            address = (await self._look(wanted)).more.get("video_url")
            if not isinstance(address, str):
                raise NotBrought(Why.LATER, "the API has no recording (yet)")
            try:
                return await self._fetcher.address(address, kind, take)
            except NotBrought as error:
                if error.why is not Why.STALE or look == MOST_LOOKS:
                    raise
        raise NotBrought(Why.LATER, "its address was always too old")

    async def _look(self, wanted: Wanted) -> Shown:
        forms = "none" if wanted.kind else "url"
        return await self._reader.show(wanted.run_id, screenshots=forms, html=forms)

    async def _note(self, wanted: Wanted, error: NotBrought) -> None:
        """Write down what another try cannot change; try the rest again."""
        match error.why:
            case Why.REFUSED:
                await self._settle(wanted, Fetched(state=ArtifactState.REFUSED, why=error.message))
            case Why.GONE:
                await self._settle(wanted, Fetched(state=ArtifactState.GONE, why=error.message))
            case Why.BARRED:
                self.barred, self.trouble = True, error.message
            case Why.STALE | Why.LATER:
                self.trouble = error.message
                self._again(_place(wanted))
                await self._settle(wanted, Fetched(state=ArtifactState.WANTED, why=error.message))

    async def _settle(self, wanted: Wanted, fetched: Fetched) -> None:
        await self._ask(lambda: self._store.settle_artifact(wanted, fetched))

    async def _ask(self, call: Callable[[], T]) -> T | None:
        """Run a call of the store's; where the database is away, another try follows."""
        try:
            return await self._offload(call)
        except StoreError as error:
            self._hold(error.message)
            return None

    def _again(self, at: _Place) -> None:
        tries = self._tries[at] = self._tries.get(at, 0) + 1
        self._due[at] = anyio.current_time() + WAITS[min(tries, len(WAITS)) - 1]

    def _hold(self, why: str) -> None:
        self.trouble = why
        self._held_until = anyio.current_time() + PAUSE


def _place(wanted: Wanted) -> _Place:
    return wanted.attempt_id, wanted.kind or "listing", wanted.step


def _why(error: ApiError) -> NotBrought:
    """Return what it means for artifacts that a run could not be looked at."""
    fault = error.fault
    if fault.kind is FaultKind.STATUS and fault.status == 404:
        return NotBrought(Why.GONE, f"the API does not know the run: {fault.message}")
    refused = classify_fault(fault).category is FailureCategory.UNAUTHORIZED
    return NotBrought(Why.BARRED if refused else Why.LATER, fault.message)


def _found(shown: Shown, *, recorded: bool) -> list[Found]:
    """Return the artifacts that a run shows, and the recording where it was asked for."""
    found = []
    for number, step in enumerate(shown.steps, start=1):
        if step.screenshot:
            found.append(_of_step(Kind.SCREENSHOTS, number, step))
        if step.html:
            found.append(_of_step(Kind.HTML, number, step))
    if recorded or shown.more.get("video_url"):
        found.append(Found(kind=Kind.VIDEO))
    return found


def _of_step(kind: Kind, number: int, step: Step) -> Found:
    if step.id is not None and is_id(step.id):
        return Found(kind=kind, step=number, name=step.id)
    return Found(kind=kind, step=number, why="the id of its step is a path, or no id at all")
