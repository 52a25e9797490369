"""Serves the sandbox on a port of this machine: the API and the sample sites, on the real clock."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import anyio
import uvicorn
from anyio.abc import TaskStatus
from anyio.from_thread import start_blocking_portal
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from batchrunner.network.clients import http_client
from batchrunner.sandbox.agent import Agent
from batchrunner.sandbox.http.in_process import Loopback
from batchrunner.sandbox.journal import Journal
from batchrunner.sandbox.sandbox import Middleware, Sandbox, no_middleware
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.sites import sites_app

_ADDRESS = "127.0.0.1"
#: Any other Host means that a foreign page made its name resolve to this machine.
_HOSTS = (_ADDRESS, "localhost", "[::1]", "*.test")
#: Seconds between two updates, so that results are ready before a client reads them.
_TICK = 0.25
_WEBHOOK = {"User-Agent": "sandbox-webhook/1.0"}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A sandbox that is served: its url and its journal; `ended` is set when it stops."""

    url: str
    journal: Journal
    ended: threading.Event


@contextmanager
def serve(
    config: SandboxConfig,
    *,
    journal_path: Path | None = None,
    port: int = 0,
    middleware: Middleware = no_middleware,
) -> Iterator[Served]:
    """Serve a sandbox from a thread while the block runs; port 0 chooses a free one.

    Raises OSError if the port is taken. An error of the server is raised when the block ends.
    """
    with (
        _listening(port) as listener,
        closing(Journal(journal_path)) as journal,
        start_blocking_portal("asyncio") as portal,
    ):
        url = f"http://{_ADDRESS}:{listener.getsockname()[1]}"
        served = Served(url=url, journal=journal, ended=threading.Event())
        running, server = portal.start_task(_run, listener, config, journal, middleware)
        running.add_done_callback(lambda _: served.ended.set())
        try:
            yield served
        finally:
            server.should_exit = True
            running.result()


def serve_forever(
    config: SandboxConfig, port: int, journal_path: Path | None, on_ready: Callable[[str], None]
) -> None:
    """Serve a sandbox until SIGINT or SIGTERM; call *on_ready* with its url. Main thread only."""
    with serve(config, journal_path=journal_path, port=port) as served:

        def end(number: int, frame: FrameType | None) -> None:
            served.ended.set()

        before = {each: signal.signal(each, end) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            on_ready(served.url)
            served.ended.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listening(port: int) -> socket.socket:
    # With the protocol named, asyncio knows that it is TCP, and does not delay parts of answers.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_ADDRESS, port))
        listener.listen(1024)  # from now on clients can connect, and wait
    except OSError as error:
        listener.close()
        message = f"port {port} cannot be used: {error.strerror}; name another, or 0 for a free one"
        raise OSError(error.errno, message) from error
    return listener


async def _run(
    listener: socket.socket,
    config: SandboxConfig,
    journal: Journal,
    middleware: Middleware,
    *,
    task_status: TaskStatus[uvicorn.Server],
) -> None:
    names = {"all://*.test": Loopback(listener.getsockname()[1])}
    async with (
        http_client(mounts=names, follow_redirects=True) as client,
        anyio.create_task_group() as tasks,
    ):
        home = f"http://{_ADDRESS}:{listener.getsockname()[1]}"
        sandbox = Sandbox(
            config=config,
            now=_now,
            agent=Agent(client),
            journal=journal,
            home=home,
            middleware=middleware,
        )
        server = _server(_Front(api=sandbox.app, sites=sites_app()))
        task_status.started(server)
        tasks.start_soon(_tick, sandbox)
        tasks.start_soon(_deliver, sandbox)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


def _server(app: ASGIApp) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").addFilter(_not_a_dropped_connection)
    return uvicorn.Server(
        uvicorn.Config(
            TrustedHostMiddleware(app, allowed_hosts=_HOSTS, www_redirect=False),
            log_level="warning",
            log_config=None,  # log as the program does
            access_log=False,
            date_header=False,  # the API sends this header itself
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
    )


async def _tick(sandbox: Sandbox) -> None:
    while True:
        await sandbox.settle()
        await anyio.sleep(_TICK)


async def _deliver(sandbox: Sandbox) -> None:
    # No proxy, no cookie, no other name: a webhook goes exactly to the address that was named.
    async with http_client(proxies=False, headers=_WEBHOOK) as client:
        while True:
            await sandbox.deliver(client)
            await anyio.sleep(_TICK)


class _Front:
    """Routes requests for sample sites to the sites, and all others to the API."""

    def __init__(self, *, api: ASGIApp, sites: ASGIApp) -> None:
        self._api = api
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = HTTPConnection(scope).url.hostname or ""
        is_site = host.endswith(".test") or scope["path"].startswith("/sites/")
        await (self._sites if is_site else self._api)(scope, receive, send)


def _not_a_dropped_connection(record: logging.LogRecord) -> bool:
    # A fault may drop a connection on purpose; uvicorn takes that for a bug.
    return not record.getMessage().startswith("ASGI callable returned without")


def _now() -> datetime:
    return datetime.now(UTC)
