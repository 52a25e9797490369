"""A whole sandbox: one account, its ledger, its agent and the API in front of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeAlias

import httpx
from starlette.types import ASGIApp

from batchrunner.sandbox.agent import Agent
from batchrunner.sandbox.http.app import api_app
from batchrunner.sandbox.http.in_process import InProcess, Offline
from batchrunner.sandbox.journal import Journal
from batchrunner.sandbox.run_engine import RunEngine
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.service import Clock, Performer, Service
from batchrunner.sandbox.sites import sites_app

#: Where the API is at home, as its addresses say.
HOME = "https://agent.tinyfish.ai"

#: Wraps the API of a sandbox of such a world: sees every request, and may change every answer.
Middleware: TypeAlias = Callable[[ASGIApp, SandboxConfig], ASGIApp]


def no_middleware(app: ASGIApp, world: SandboxConfig) -> ASGIApp:
    """Leave the API as it is."""
    return app


class Sandbox:
    """Stand in for the API with everything in memory, or in the ledger's file.

    It starts no tasks, and sleeps only where a client waits for a run or a slow artifact: all time
    is that of `now`, so it runs on a virtual clock as well as on a real one. Addresses that it
    gives begin with `home`.
    """

    app: ASGIApp  #: the API; it takes any Host
    ledger: Journal  #: as of the last request or `settle`

    def __init__(
        self,
        *,
        world: SandboxConfig,
        now: Clock,
        agent: Performer,
        ledger: Journal | None = None,
        keys: frozenset[str] | None = None,
        home: str = HOME,
        middleware: Middleware = no_middleware,
    ) -> None:
        self.ledger = Journal() if ledger is None else ledger
        account = RunEngine(world=world, ledger=self.ledger, now=now())
        self._service = Service(world=world, account=account, agent=agent, now=now, home=home)
        self.app = middleware(api_app(self._service, keys=keys), world)

    @classmethod
    def in_process(
        cls,
        world: SandboxConfig,
        now: Clock,
        *,
        ledger: Journal | None = None,
        keys: frozenset[str] | None = None,
        middleware: Middleware = no_middleware,
    ) -> Self:
        """Build a sandbox whose agent reads the sample sites in this process, and nothing else."""
        sites = InProcess(sites_app())
        client = httpx.AsyncClient(
            transport=Offline(), mounts={"all://*.test": sites}, follow_redirects=True
        )
        agent = Agent(client)
        return cls(
            world=world, now=now, agent=agent, ledger=ledger, keys=keys, middleware=middleware
        )

    def transport(self) -> httpx.AsyncBaseTransport:
        """Give a transport by which an httpx client reaches the API in this process."""
        return InProcess(self.app)

    async def settle(self) -> None:
        """Bring the ledger up to date: every run that is due by now has its result and charge."""
        await self._service.settle()

    async def deliver(self, client: httpx.AsyncClient) -> None:
        """Tell webhooks what is due to be told by now; `client` is what reaches them."""
        await self._service.courier.deliver(client)
