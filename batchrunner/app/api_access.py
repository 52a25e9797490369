"""Which API to use and the key for it; serves the sandbox in this process where that is chosen."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batchrunner.app.api_key import api_key
from batchrunner.errors import CannotContinue, UsageError
from batchrunner.store.address import redacted
from batchrunner.tinyfish.client import DEFAULT_URL, TinyFishClient
from batchrunner.tinyfish.http import LOOPBACK, AddressError

#: Origin of every API on this machine: its runs cost nothing.
SANDBOX = "sandbox"
#: Key that a sandbox in this process takes, as it takes any other.
SANDBOX_KEY = "sandbox"
#: Seconds that a run takes in a sandbox in this process.
SANDBOX_DURATIONS = (1.0, 4.0)
URL_VARIABLE = "TINYFISH_BASE_URL"


@dataclass(frozen=True, kw_only=True, repr=False)
class ApiAccess:
    """An API's address and the key for it."""

    url: str
    key: str

    def __repr__(self) -> str:
        """Show the address; a key does not belong in a notebook's output."""
        return f"ApiAccess(url={self.url!r})"

    @property
    def origin(self) -> str:
        """What a batch is tied to: its runs are on this API and on no other."""
        parts = urlsplit(self.url)
        return SANDBOX if parts.hostname in LOOPBACK else f"{parts.scheme}://{parts.netloc}"


def api_access(url: str | None, key: str) -> ApiAccess:
    """
    Return the API at *url*, or the usual one, with this key.

    Raises:
        UsageError: The address cannot be used.
    """
    access = ApiAccess(url=url or DEFAULT_URL, key=key)
    try:
        TinyFishClient(access.url, access.key)
    except AddressError as error:
        hint = "name the API with --api-url https://…, or leave the option out"
        raise UsageError(str(error), next=hint) from error
    return access


def api_from_environment(url: str | None, key: str | None) -> ApiAccess:
    """
    Return the API that the arguments name, else the one that the environment names.

    Raises:
        BatchrunnerError: There is no key, or the key or the address cannot be used.
    """
    return api_access(url or os.environ.get(URL_VARIABLE), api_key(None, given=key))


@contextmanager
def open_api(
    *, sandboxed: bool, api_url: str | None, api_key_file: str | None, db: str
) -> Iterator[ApiAccess]:
    """Give the API to use; with *sandboxed* it is served while the block runs."""
    if not sandboxed:
        yield api_access(api_url, api_key(api_key_file))
        return
    if api_url is not None:
        raise UsageError(
            "--sandbox and --api-url name two different APIs",
            next="leave one of them out",
        )
    place = Path(db if Path(db).name and "://" not in db else "batchrunner.db")
    with ExitStack() as stack:
        journal = place.with_name(f"{place.name}.sandbox.jsonl")
        try:
            api = stack.enter_context(serve_sandbox(journal))
        except BlockingIOError as error:
            raise CannotContinue(
                f"another command works with the sandbox of {redacted(db)}",
                next="wait until it has ended, or let both use one: batchrunner sandbox --port "
                "8765, then --api-url http://127.0.0.1:8765 (and any key) in place of --sandbox",
            ) from error
        yield api


@contextmanager
def serve_sandbox(
    journal: Path | None = None,
    *,
    durations: tuple[float, float] = SANDBOX_DURATIONS,
    seed: int = 0,
    rates: Mapping[str, float] | None = None,
    script: Mapping[str, str] | None = None,
) -> Iterator[ApiAccess]:
    """
    Serve a sandbox from a thread of this process while the block runs.

    Its runs are kept in the file *journal*, or in memory. A journal in which nothing was begun is
    removed.

    Raises:
        BlockingIOError: Another sandbox uses the journal.
    """
    from batchrunner.sandbox import SandboxConfig
    from batchrunner.sandbox.http.server import serve

    config = SandboxConfig(
        seed=seed,
        durations=durations,
        rates=rates or {},
        script=script or {},
        retry_after=1.0,
        variants={"webhook_url": "http"},  # a webhook's receiver is on this machine
    )
    stack = ExitStack()
    with _interrupts_deferred():
        is_new = journal is not None and not journal.exists()
        served = stack.enter_context(serve(config, ledger_path=journal))
    try:
        yield ApiAccess(url=served.url, key=SANDBOX_KEY)
    finally:
        with _interrupts_deferred():
            if journal is not None and is_new and not served.ledger.requests:
                journal.unlink(missing_ok=True)
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
