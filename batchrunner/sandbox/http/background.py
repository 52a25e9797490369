"""Serves a sandbox from a thread of this process, for a program that goes on meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchrunner.sandbox.http.server import Served, serve
from batchrunner.sandbox.scenario import SandboxConfig

#: A key that a sandbox takes, as it takes any other.
KEY = "sandbox"


@dataclass(frozen=True, kw_only=True)
class BackgroundSandbox:
    """The address of a sandbox in this process, and a key that it takes."""

    url: str
    key: str


@contextmanager
def serve_in_background(
    journal: str | Path | None = None,
    *,
    durations: tuple[float, float] = (1.0, 4.0),
    seed: int = 0,
    rates: Mapping[str, float] | None = None,
    script: Mapping[str, str] | None = None,
) -> Iterator[BackgroundSandbox]:
    """
    Serve a sandbox while the block runs: an API without an account, on which nothing costs money.

    Its runs are kept in the file *journal*, or in memory. A journal in which nothing was begun is
    removed. *durations* are the shortest and the longest run in seconds; *rates* and *script* make
    it misbehave.

    Raises:
        BlockingIOError: Another sandbox uses the journal.
    """
    config = SandboxConfig(
        seed=seed,
        durations=durations,
        rates=rates or {},
        script=script or {},
        retry_after=1.0,
        variants={"webhook_url": "http"},  # a webhook's receiver is on this machine
    )
    path = None if journal is None else Path(journal)
    is_new = path is not None and not path.exists()
    with ExitStack() as stack:
        with _interrupts_deferred():
            served = stack.enter_context(serve(config, journal_path=path))
            stack.callback(_remove_unused, path if is_new else None, served)
        try:
            yield BackgroundSandbox(url=served.url, key=KEY)
        finally:
            with _interrupts_deferred():
                stack.close()


def _remove_unused(journal: Path | None, served: Served) -> None:
    if journal is not None and not served.journal.requests:
        journal.unlink(missing_ok=True)


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer signals that a program handles: a server that has half started would never end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    missed: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: missed.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if callable(signal.getsignal(number))  # else it is ignored, or ends the process
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if missed:
        signal.raise_signal(missed[0])
