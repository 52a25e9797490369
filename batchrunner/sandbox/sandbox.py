"""A complete sandbox: the API, one account with its journal, and the agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Self, TypeAlias

import httpx
from starlette.types import ASGIApp

from batchrunner.network.clients import http_client
from batchrunner.sandbox.agent import Agent
from batchrunner.sandbox.http.app import api_app
from batchrunner.sandbox.http.in_process import InProcess, Offline
from batchrunner.sandbox.journal import Journal
from batchrunner.sandbox.run_engine import RunEngine
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.service import Clock, Performer, Service
from batchrunner.sandbox.sites import sites_app

#: The API's own address, with which the addresses in its answers begin.
HOME = "https://agent.tinyfish.ai"

#: Wraps the API of a sandbox: sees every request, and may change every answer.
Middleware: TypeAlias = Callable[[ASGIApp, SandboxConfig], ASGIApp]


def no_middleware(app: ASGIApp, config: SandboxConfig) -> ASGIApp:
    """Return the API as it is."""
    return app


class Sandbox:
    """A stand-in for the API, with everything in memory or in the journal's file.

    It starts no tasks, and sleeps only where a client waits for a run or a slow artifact. Time is
    what `now` says, so it runs on a virtual clock as well as on a real one. The addresses in its
    answers begin with `home`.
    """

    app: ASGIApp  #: the API; it accepts any Host
    journal: Journal  #: as of the last request or `settle`

    def __init__(
        self,
        *,
        config: SandboxConfig,
        now: Clock,
        agent: Performer,
        journal: Journal | None = None,
        keys: frozenset[str] | None = None,
        home: str = HOME,
        middleware: Middleware = no_middleware,
    ) -> None:
        self.journal = Journal() if journal is None else journal
        account = RunEngine(config=config, journal=self.journal, now=now())
        self._service = Service(config=config, account=account, agent=agent, now=now, home=home)
        self.app = middleware(api_app(self._service, keys=keys), config)

    @classmethod
    def in_process(
        cls,
        config: SandboxConfig,
        now: Clock,
        *,
        journal: Journal | None = None,
        keys: frozenset[str] | None = None,
        middleware: Middleware = no_middleware,
    ) -> Self:
        """Return a sandbox whose agent reads the sample sites in this process, and nothing else."""
        sites = InProcess(sites_app())
        client = http_client(
            transport=Offline(), mounts={"all://*.test": sites}, follow_redirects=True
        )
        agent = Agent(client)
        return cls(
            config=config, now=now, agent=agent, journal=journal, keys=keys, middleware=middleware
        )

    @property
    def visibility_faults(self) -> Counter[str]:
        """How often each fault of visibility hid something."""
        return self._service.account.visible.fired

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return a transport with which an httpx client reaches the API in this process."""
        return InProcess(self.app)

    async def settle(self) -> None:
        """Bring the journal up to date: give every run that is due its result and charge."""
        await self._service.settle()

    async def deliver(self, client: httpx.AsyncClient) -> None:
        """Send the webhooks that are due, with *client*."""
        await self._service.webhook_sender.deliver(client)
