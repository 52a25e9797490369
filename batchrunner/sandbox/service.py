"""An account and the agent that works for it, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

import anyio

from batchrunner.sandbox.account import Account
from batchrunner.sandbox.agent import Findings
from batchrunner.sandbox.ledger import Performed, Run
from batchrunner.sandbox.world import World

#: Gives the time, aware and in UTC.
Clock = Callable[[], datetime]

#: Most pages that the agent reads at the same time.
_HANDS = 16


class Performer(Protocol):
    """Read a page and give what the goal asks for, as a run's result."""

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Give what was found; never raises for a bad page."""
        ...


class Service:
    """Bring an account up to date: time passes, and the agent goes out for what is due."""

    def __init__(self, *, world: World, account: Account, agent: Performer, now: Clock) -> None:
        self.world = world
        self.account = account
        self.now = now
        self._agent = agent
        self._lock = anyio.Lock()

    async def settle(self) -> None:
        """Let every run that is due by now have its result.

        The result of a run is taken exactly once, whoever asks for it and however many do. There
        is no pause between the last check and the return, so a caller sees what was settled.
        """
        self.account.advance(self.now())
        while self.account.unperformed:
            async with self._lock:
                await self._perform(list(self.account.unperformed.values()))

    async def _perform(self, runs: list[Run]) -> None:
        due = iter(runs)

        async def hand() -> None:
            for run in due:
                await self._perform_one(run)

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_HANDS, len(runs))):
                tasks.start_soon(hand)

    async def _perform_one(self, run: Run) -> None:
        findings = await self._agent.perform(run.url, run.goal, run.body.get("output_schema"))
        keeps_html = run.body.get("capture_config", {}).get("html", False)
        self.account.bring(
            Performed(
                at=run.finished_at or run.created_at,
                run_id=run.run_id,
                result=findings.result,
                actions=findings.actions,
                html=findings.html if keeps_html else "",
                schema_errors=tuple(map(asdict, findings.schema_errors)),
            )
        )
