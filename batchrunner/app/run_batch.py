"""Runs a batch in this process until its end: signals, display, sandbox."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio

from batchrunner.api_facts.endpoints import DEFAULT_URL
from batchrunner.app.account_check import admit_key
from batchrunner.app.api_key import api_key
from batchrunner.app.clock import now
from batchrunner.app.fetch_artifacts import ARTIFACT_WAIT_SECONDS, fetching
from batchrunner.app.process_identity import exited_owners, this_process
from batchrunner.app.webhook_listener import WebhookOptions, listen_for_webhooks
from batchrunner.cli.exit_codes import (
    ALL_SUCCEEDED,
    CANARY_FAILED,
    CANNOT_GO_ON,
    HOSTS_PARKED,
    INTERRUPTED,
    OUT_OF_BUDGET,
    OUT_OF_TIME,
    SOME_FAILED,
    TERMINATED,
)
from batchrunner.cli.output.progress import Display
from batchrunner.errors import CannotContinue, LeftEarly, UsageError
from batchrunner.model import Batch, BatchCounts, Failed, JobState
from batchrunner.policy.schedule import Window
from batchrunner.runner.artifact_fetcher import ArtifactFetcher, ArtifactSelection
from batchrunner.runner.runner import ExitReason, Runner, in_thread, innermost
from batchrunner.store.address import redacted
from batchrunner.store.database import StoreError
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.http import LOOPBACK, AddressError

#: Seconds in which a second SIGINT is still the first one.
SIGNAL_ECHO_SECONDS = 0.3
#: How the runs of any API on this machine are labelled: they are none that were paid for.
SANDBOX = "sandbox"


@dataclass(frozen=True, kw_only=True)
class ApiAccess:
    """Which API to use, and the key that opens it."""

    url: str
    key: str

    @property
    def origin(self) -> str:
        """What a batch is tied to: its runs are on this API and on no other."""
        parts = urlsplit(self.url)
        return SANDBOX if parts.hostname in LOOPBACK else f"{parts.scheme}://{parts.netloc}"


@contextmanager
def open_api(
    *, sandboxed: bool, api_url: str | None, api_key_file: str | None, db: str
) -> Iterator[ApiAccess]:
    """Give the API to use; with *sandboxed* it is served while the block runs."""
    if not sandboxed:
        given = ApiAccess(url=api_url or DEFAULT_URL, key=api_key(api_key_file))
        with _address_checked():
            TinyFishClient(given.url, given.key)
        yield given
        return
    if api_url is not None:
        raise UsageError(
            "--sandbox and --api-url name two different APIs",
            next="leave one of them out",
        )
    from batchrunner.sandbox import SandboxConfig
    from batchrunner.sandbox.http.server import serve

    place = Path(db if Path(db).name and "://" not in db else "batchrunner.db")
    ledger = place.with_name(f"{place.name}.sandbox.jsonl")
    # Whom it tells that a run ended is on this machine, where there is no https.
    world = SandboxConfig(durations=(1.0, 4.0), retry_after=1.0, variants={"webhook_url": "http"})
    stack = ExitStack()
    try:
        with _uninterrupted():
            is_new = not ledger.exists()
            served = stack.enter_context(serve(world, journal_path=ledger))
    except BlockingIOError as error:
        raise CannotContinue(
            f"another command works with the sandbox of {redacted(db)}",
            next="wait until it has ended, or let both use one: batchrunner sandbox --port 8765, "
            "then --api-url http://127.0.0.1:8765 (and any key) in place of --sandbox",
        ) from error
    try:
        yield ApiAccess(url=served.url, key="sandbox")
    finally:
        with _uninterrupted():
            if is_new and not served.journal.requests:
                ledger.unlink(missing_ok=True)  # nothing was begun: nothing is left
            stack.close()


@contextmanager
def _address_checked() -> Iterator[None]:
    try:
        yield
    except AddressError as error:
        hint = "name the API with --api-url https://…, or leave the option out"
        raise UsageError(
            str(error),
            next=hint,
        ) from error


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back while the block runs: a server that half began would wait for ever."""
    missed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: missed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if missed:
        raise KeyboardInterrupt


def bind(store: Store, batch: Batch, api: ApiAccess, *, leave_runs: bool = False) -> str:
    """
    Tie the batch to the API and the account that its runs are on; return the key's digest.

    With *leave_runs*, runs of another account are given up for it.

    Raises:
        UsageError: It is tied to another one, where its runs would not be found.
    """
    check_origin(batch, store.bind(batch.id, api.origin), api)
    return admit_key(store, batch, api, leave_runs=leave_runs)


def check_origin(batch: Batch, bound: str | None, api: ApiAccess) -> None:
    """Refuse another API than the one that a batch is tied to; None: it is tied to none yet."""
    if bound not in (None, api.origin):
        raise UsageError(
            f"batch {batch.name!r} was run on {bound}, and this is {api.origin}",
            next="results of the two do not mix; name another database: --db other.db",
        )


@dataclass(frozen=True, kw_only=True)
class BatchRunEnded:
    """How a runner's work ended."""

    ending: ExitReason | None  #: None: it was cut off by a signal
    tally: BatchCounts
    exit_code: int
    failure: Failed | None = None  #: why it stopped early


def work(
    store: Store,
    batch: Batch,
    api: ApiAccess,
    display: Display,
    *,
    key: str,
    submitting: bool = True,
    window: Window | None = None,
    folder: Path | None = None,
    hook: WebhookOptions | None = None,
) -> BatchRunEnded:
    """
    Run the batch until its end or that of its *window*, or until a signal ends it.

    *key* is the digest by which the ledger knows the API key. Artifacts are fetched into *folder*,
    if there is one, and the API may tell at *hook* that runs ended.
    """
    make = partial(
        Runner,
        store=store,
        batch=batch,
        now=now,
        monotonic=time.monotonic,  # anyio's cannot be read in the thread of the store
        exited_owners=exited_owners,
        notify=display.tell,
        key_digest=key,
        submit=submitting,
        window=window,
    )
    try:
        with store.brief():  # who waits for a lock cannot hear that it is to leave
            return anyio.run(_work, store, batch, api, display, make, folder, hook)
    except BaseExceptionGroup as group:
        raise innermost(group) from group


async def _work(
    store: Store,
    batch: Batch,
    access: ApiAccess,
    display: Display,
    make: Callable[..., Runner],
    folder: Path | None,
    hook: WebhookOptions | None,
) -> BatchRunEnded:
    offload, owner = in_thread(), this_process()
    async with TinyFishClient(access.url, access.key) as api, AsyncExitStack() as stack:
        hints = await stack.enter_async_context(listen_for_webhooks(hook, api, display.say))
        runner = make(api=api, owner=owner, offload=offload, webhook_wakeup=hints)
        signals = _Signals(runner, display)
        beside: ArtifactFetcher | None = None
        if folder is not None:
            choice = ArtifactSelection(batch_id=batch.id, owner_id=owner.id)
            work = fetching(store, access, folder, offload, choice)
            beside = await stack.enter_async_context(work)
        ending = await _until_end(runner, signals, beside, lambda: _show(store, batch, display))
    tally = _tally(store, batch, signals if ending is None else None)
    return BatchRunEnded(
        ending=ending,
        tally=tally,
        exit_code=signals.exit_code if ending is None else _exit_code(ending, tally),
        failure=runner.stop_failure,
    )


async def _until_end(
    runner: Runner,
    signals: _Signals,
    beside: ArtifactFetcher | None,
    show: Callable[[], Coroutine[Any, Any, None]],
) -> ExitReason | None:
    """Run to the end, and fetch what was captured for a while longer; None: cut off."""
    ending: ExitReason | None = None
    async with anyio.create_task_group() as tasks, signals.heard():
        tasks.start_soon(show)
        if beside is not None:
            tasks.start_soon(beside.run)
        with signals.scope:
            ending = await runner.run()
            if beside is not None and ending in (ExitReason.FINISHED, ExitReason.BUDGET_USED_UP):
                signals.landed = True
                await beside.finish(ARTIFACT_WAIT_SECONDS)
        tasks.cancel_scope.cancel()
    return ending


def _tally(store: Store, batch: Batch, left: _Signals | None) -> BatchCounts:
    """Count the batch; who was told to leave does not wait for a database that is away."""
    try:
        return store.tally(batch.id)
    except StoreError as error:
        if left is None:
            raise
        raise LeftEarly(
            f"left while {error.message}: nothing is lost, and nothing was exported",
            next="the same command goes on; runs in flight go on meanwhile and may cost money",
        ) from error


async def _show(store: Store, batch: Batch, display: Display) -> None:
    """Keep the display up to date; through a thread of its own, so that it delays nothing."""
    while True:
        with suppress(StoreError):  # the runner waits for the database, and says so
            tally = await anyio.to_thread.run_sync(store.tally, batch.id)
            parked = await anyio.to_thread.run_sync(store.parked, batch.id)
            display.update(tally, now(), parked)
        await anyio.sleep(display.seconds)


class _Signals:
    """First Ctrl-C: submit nothing more. Second, or SIGTERM: leave; runs go on remotely."""

    def __init__(self, runner: Runner, display: Display) -> None:
        self._runner = runner
        self._display = display
        self._asked_at: float | None = None
        self.scope = anyio.CancelScope()
        self.exit_code = INTERRUPTED
        self.landed = False  #: no run is in flight: there is nothing to wait for

    @asynccontextmanager
    async def heard(self) -> AsyncIterator[None]:
        """Listen while the block runs."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, received)
                yield
                tasks.cancel_scope.cancel()

    async def _listen(self, received: AsyncIterator[signal.Signals]) -> None:
        async for number in received:
            if number == signal.SIGINT and self._asked_at is None and not self.landed:
                self._asked_at = anyio.current_time()
                self._runner.drain()
                self._display.say("stopping: nothing more is submitted; waiting for runs in flight")
                self._display.say(
                    "Ctrl-C again leaves at once: they go on, the next start adopts them"
                )
                self._display.stops(now())
            elif number != signal.SIGINT or not self._is_echo():
                self.exit_code = INTERRUPTED if number == signal.SIGINT else TERMINATED
                self.scope.cancel()

    def _is_echo(self) -> bool:
        # A process group is signalled twice by those who signal it and its leader.
        return (
            self._asked_at is not None
            and anyio.current_time() - self._asked_at < SIGNAL_ECHO_SECONDS
        )


def _exit_code(ending: ExitReason, tally: BatchCounts) -> int:
    if ending is ExitReason.DRAINED:
        return INTERRUPTED
    if ending is ExitReason.OUT_OF_TIME:
        return OUT_OF_TIME
    if ending is ExitReason.BUDGET_USED_UP:
        return OUT_OF_BUDGET
    if ending is ExitReason.CANARY_FAILED:
        return CANARY_FAILED
    if ending is ExitReason.PARKED:
        return HOSTS_PARKED
    if ending is ExitReason.STOPPED:
        return CANNOT_GO_ON
    return exit_code_of(tally)


def exit_code_of(tally: BatchCounts) -> int:
    """Return the verdict on a batch that has come to its end."""
    return ALL_SUCCEEDED if tally.jobs[JobState.SUCCEEDED] == tally.total else SOME_FAILED
