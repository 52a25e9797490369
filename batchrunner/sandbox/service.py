"""An account and the agent that works for it, on one clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

import anyio

from batchrunner.sandbox.agent import Findings
from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.http.response_bodies import View
from batchrunner.sandbox.journal import Performed, Run
from batchrunner.sandbox.media.urls import ArtifactUrls
from batchrunner.sandbox.run_engine import RunEngine
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.webhooks import WebhookSender

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

    def __init__(
        self, *, world: SandboxConfig, account: RunEngine, agent: Performer, now: Clock, home: str
    ) -> None:
        self.world = world
        self.account = account
        self.now = now
        self.addresses = ArtifactUrls(home=home, world=world, now=now)
        self.view = View(world, self.addresses, account.artifact_fate)
        self.courier = WebhookSender(now)
        self._agent = agent
        self._lock = anyio.Lock()
        self._bell = anyio.Event()

    async def settle(self) -> None:
        """Let every run that is due by now have its result.

        The result of a run is taken exactly once, whoever asks for it and however many do. There
        is no pause between the last check and the return, so a caller sees what was settled.
        """
        self.account.advance(self.now())
        while self.account.unperformed:
            async with self._lock:
                await self._perform(list(self.account.unperformed.values()))
        if self.account.told:
            self._tell()

    def ring(self) -> None:
        """Wake whoever waits for a run: something happened before its time."""
        self._bell.set()
        self._bell = anyio.Event()

    async def reach(
        self, run_id: str, *, running: bool = False, patience: float | None = None
    ) -> Run | None:
        """Wait until a run ended, or runs at least; None once patience is at its end."""
        reached = None
        with anyio.move_on_after(patience):
            while reached is None:
                await self.settle()
                run = self.account.ledger.find(run_id)
                is_there = run is not None and (
                    run.status.is_final or (running and run.status is Status.RUNNING)
                )
                if is_there:
                    reached = run
                else:
                    await self._pause()
        return reached

    async def _pause(self) -> None:
        """Wait until a run may end, or somebody rings."""
        end, pause = self.account.next_end, None
        if end is not None:
            pause = max((end - self.now()).total_seconds(), 0.001)
        with anyio.move_on_after(pause):
            await self._bell.wait()

    def _tell(self) -> None:
        ended, self.account.told = self.account.told, []
        for run in ended:
            self.courier.take(run.body["webhook_url"], self.view.event(run))

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
        self.account.bring(
            Performed(
                at=run.finished_at or run.created_at,
                run_id=run.run_id,
                result=findings.result,
                actions=findings.actions,
                html=findings.html if self._keeps(run) else "",
                schema_errors=tuple(map(asdict, findings.schema_errors)),
            )
        )

    def _keeps(self, run: Run) -> bool:
        """Tell whether the page is needed again: for itself, or for a picture of it."""
        return self.world.answers("captures") == "screenshots" or any(
            run.body.get("capture_config", {}).values()
        )
