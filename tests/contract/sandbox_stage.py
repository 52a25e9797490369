"""A sandbox on a clock that the test moves, with an agent that reads nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import anyio
import httpx
import trio
import trio.testing
from openapi import Checked, judging

from batchrunner.sandbox import Journal, Sandbox, SandboxConfig
from batchrunner.sandbox.agent import Findings

T = TypeVar("T")
DAWN = datetime(2026, 9, 2, 21, 0, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = DAWN

    def __call__(self) -> datetime:
        return self.at

    def tick(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Flowing:
    """The time of the event loop, which is virtual in `played`."""

    def __init__(self) -> None:
        self._begin = anyio.current_time()

    def __call__(self) -> datetime:
        return DAWN + timedelta(seconds=anyio.current_time() - self._begin)


def played(main: Callable[[], Awaitable[T]]) -> T:
    """Run something on a clock that jumps to whatever is waited for."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@dataclass
class Reader:
    """Find the same on every page, in two steps, and remember where it was sent."""

    sent: list[str] = field(default_factory=list)

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        self.sent.append(url)
        return Findings(
            result={"price": 18.5},
            actions=(f"Open {url}", "Read the price"),
            html="<p>18.50</p>",
            schema_errors=(),
        )


class Stage:
    """Put a sandbox, its clock and a client whose traffic is checked into one place."""

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        clock: Any = None,
        keys: frozenset[str] | None = None,
        tolerated: frozenset[int] = frozenset(),
        **config: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.agent = Reader()
        self.sandbox = Sandbox(
            config=SandboxConfig(**{"durations": (10.0, 10.0), **config}),
            now=self.clock,
            agent=self.agent,
            journal=journal,
            keys=keys,
            home="https://sandbox",
            middleware=judging,
        )
        self.client = httpx.AsyncClient(
            transport=Checked(self.sandbox.transport(), tolerated=tolerated),
            base_url="https://sandbox",
            headers={"X-API-Key": "sk-test"},
            timeout=None,
        )

    async def create(self, *urls: str, **options: Any) -> list[str]:
        runs = [{"url": url, "goal": f"Read the price ({i})"} for i, url in enumerate(urls)]
        body = {"runs": [{**run, **options} for run in runs]}
        return (await self.post("/v1/automation/run-batch", body))["run_ids"]

    async def post(self, path: str, body: Any = None) -> Any:
        response = await self.client.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.client.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def ask(self, path: str, method: str = "GET", **kwargs: Any) -> httpx.Response:
        """Ask past the contract, which does not know everything that the sandbox has."""
        async with httpx.AsyncClient(
            transport=self.sandbox.transport(),
            base_url=self.client.base_url,
            headers=self.client.headers,
            timeout=None,
        ) as client:
            return await client.request(method, path, **kwargs)

    async def bare(self, path: str, method: str = "GET", **kwargs: Any) -> Any:
        """Give the JSON that is answered past the contract."""
        return (await self.ask(path, method, **kwargs)).json()

    async def run(self, run_id: str) -> Any:
        return await self.get(f"/v1/runs/{run_id}")


def after(seconds: float) -> str:
    """Write the instant so many seconds after the beginning as the API does."""
    at = DAWN + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
