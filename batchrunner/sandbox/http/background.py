"""Serves a sandbox from a thread of this process, for a program that goes on meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchrunner.sandbox.http.server import serve
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
    path, stack = None if journal is None else Path(journal), ExitStack()
    with _interrupts_deferred():
        is_new = path is not None and not path.exists()
        served = stack.enter_context(serve(config, journal_path=path))
    try:
        yield BackgroundSandbox(url=served.url, key=KEY)
    finally:
        with _interrupts_deferred():
            if path is not None and is_new and not served.journal.requests:
                path.unlink(missing_ok=True)
            stack.close()


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Defer Ctrl-C to the block's end: a server that has half started would never end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    missed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: missed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if missed:
        raise KeyboardInterrupt
