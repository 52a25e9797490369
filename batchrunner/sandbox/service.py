"""Drives the run engine on each request, and sends the agent out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

import anyio

from batchrunner.sandbox.agent import Findings
from batchrunner.sandbox.faults import Status
from batchrunner.sandbox.http.response_bodies import View
from batchrunner.sandbox.journal import RunPerformed, SandboxRun
from batchrunner.sandbox.media.urls import ArtifactUrls
from batchrunner.sandbox.run_engine import RunEngine
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.webhooks import WebhookSender

#: Returns the time, aware and in UTC.
Clock = Callable[[], datetime]

#: Most pages that the agent reads at the same time.
_MAX_PARALLEL_PAGES = 16


class Performer(Protocol):
    """Reads a page and returns what the goal asks for, as the result of a run."""

    async def perform(
        self, url: str, goal: str, output_schema: Mapping[str, Any] | None
    ) -> Findings:
        """Return what was found; never raise for a bad page."""
        ...


class Service:
    """One account, its agent and its webhooks, on one clock."""

    def __init__(
        self, *, config: SandboxConfig, account: RunEngine, agent: Performer, now: Clock, home: str
    ) -> None:
        self.config = config
        self.account = account
        self.now = now
        self.addresses = ArtifactUrls(home=home, config=config, now=now)
        self.view = View(config, self.addresses, account.artifact_fault)
        self.webhook_sender = WebhookSender(now)
        self._agent = agent
        self._lock = anyio.Lock()
        self._changed = anyio.Event()

    async def settle(self) -> None:
        """Give every run that is due its result.

        The result of a run is taken exactly once, however many callers ask for it. Nothing can
        happen between the last check and the return, so the caller sees the settled state.
        """
        self.account.advance(self.now())
        while self.account.unperformed:
            async with self._lock:
                await self._perform(list(self.account.unperformed.values()))
        if self.account.to_report:
            self._report()

    def notify(self) -> None:
        """Wake every task that waits for a run: a run changed before it was due."""
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_for(
        self, run_id: str, *, running: bool = False, seconds: float | None = None
    ) -> SandboxRun | None:
        """Wait until a run has ended (with *running*: has started); None after *seconds*."""
        reached = None
        with anyio.move_on_after(seconds):
            while reached is None:
                await self.settle()
                run = self.account.journal.find(run_id)
                is_there = run is not None and (
                    run.status.is_final or (running and run.status is Status.RUNNING)
                )
                if is_there:
                    reached = run
                else:
                    await self._pause()
        return reached

    async def _pause(self) -> None:
        """Wait until the next run ends, or until a run changes."""
        end, pause = self.account.next_end, None
        if end is not None:
            pause = max((end - self.now()).total_seconds(), 0.001)
        with anyio.move_on_after(pause):
            await self._changed.wait()

    def _report(self) -> None:
        ended, self.account.to_report = self.account.to_report, []
        for run in ended:
            self.webhook_sender.take(run.body["webhook_url"], self.view.event(run))

    async def _perform(self, runs: list[SandboxRun]) -> None:
        due = iter(runs)

        async def work() -> None:
            for run in due:
                await self._perform_one(run)

        async with anyio.create_task_group() as tasks:
            for _ in range(min(_MAX_PARALLEL_PAGES, len(runs))):
                tasks.start_soon(work)

    async def _perform_one(self, run: SandboxRun) -> None:
        findings = await self._agent.perform(run.url, run.goal, run.body.get("output_schema"))
        self.account.take_result(
            RunPerformed(
                at=run.finished_at or run.created_at,
                run_id=run.run_id,
                result=findings.result,
                actions=findings.actions,
                html=findings.html if self._keeps_html(run) else "",
                schema_errors=tuple(map(asdict, findings.schema_errors)),
            )
        )

    def _keeps_html(self, run: SandboxRun) -> bool:
        """Return whether the page is needed again, for itself or for a screenshot."""
        return self.config.answers("captures") == "screenshots" or any(
            run.body.get("capture_config", {}).values()
        )
