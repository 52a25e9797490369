"""Webhooks bring polls forward and change nothing else: lost, late, doubled or in floods."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import JobState, Settings
from batchrunner.policy.poll_interval import MAX_SAVED_POLLS
from batchrunner.runner.events import WebhookDropped
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.sandbox import SandboxConfig
from batchrunner.selftest.invariants import StoreSnapshot
from tests.simulation.answer_changes import change_answers
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages, simulate
from tests.sweeps import some

SECRET = "c2VjcmV0LXBhdGgtb2YtYS1ydW4"
HOOK = f"https://hooks.test/{SECRET}"
LOOK = "POST /v1/runs/batch"

#: What happens to a webhook call on its way to the runner.
Way = Callable[[WebhookWakeUp], Awaitable[None]]


async def straight(hints: WebhookWakeUp) -> None:
    hints.notify()


async def lost(hints: WebhookWakeUp) -> None:
    pass


async def twice(hints: WebhookWakeUp) -> None:
    hints.notify()
    hints.notify()


async def late(hints: WebhookWakeUp) -> None:
    await anyio.sleep(45)
    hints.notify()


@dataclass(frozen=True)
class Story:
    """What happened to a batch."""

    simulated: CheckedBatch
    seconds: float
    delay: float  #: mean seconds from the end of a run until it was written down
    results: dict[str, Any]

    @property
    def looks(self) -> int:
        return self.simulated.requests[LOOK]


class Post(httpx.AsyncBaseTransport):
    """The way of webhooks to the runner."""

    def __init__(self, tasks: anyio.abc.TaskGroup, hints: WebhookWakeUp, way: Way) -> None:
        self._tasks = tasks
        self._hints = hints
        self._way = way

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == HOOK
        self._tasks.start_soon(self._way, self._hints)
        return httpx.Response(200)


def played(
    way: Way | None,
    *,
    jobs: int = 8,
    concurrency: int = 4,
    flood: bool = False,
    config: SandboxConfig | None = None,
    change: Any = None,
    lives: list[int] | None = None,
    **job: Any,
) -> Story:
    """Run a batch whose webhooks are delivered in this *way*, or that asks for none."""
    story: Story = simulate(
        lambda: _played(
            way, jobs, concurrency, flood, config or SandboxConfig(seed=1), change, lives, job
        )
    )
    return story


@cache
def without_webhooks() -> Story:
    """Run the batch without webhooks, to which others are compared."""
    return played(None)


async def _played(
    way: Way | None,
    jobs: int,
    concurrency: int,
    flood: bool,
    config: SandboxConfig,
    change: Any,
    lives: list[int] | None,
    job: Any,
) -> Story:
    settings = Settings(concurrency=concurrency)
    simulated = CheckedBatch.of(pages(jobs), config, settings, agent=FixtureAgent(), **job)
    simulated.webhook, begun = HOOK, now()
    hints = WebhookWakeUp(HOOK) if way else WebhookWakeUp()
    if change is not None:
        change_answers(simulated, change(hints))
    async with anyio.create_task_group() as tasks:
        client = httpx.AsyncClient(transport=Post(tasks, hints, way or lost))
        tasks.start_soon(_deliver, simulated, client)
        if flood:
            tasks.start_soon(_flood, hints)
        for fuse in lives or []:
            with pytest.raises(ProcessKilled):
                await simulated.run(KillSwitch(fuse), webhook_wakeup=hints)
        await simulated.run(webhook_wakeup=hints)
        tasks.cancel_scope.cancel()
    simulated.network = None  # who changed answers cannot tell which faults they are
    simulated.check_end()
    await client.aclose()
    return _told(simulated, (now() - begun).total_seconds())


async def _deliver(simulated: CheckedBatch, client: httpx.AsyncClient) -> None:
    while True:
        await simulated.sandbox.settle()
        await simulated.sandbox.deliver(client)
        await anyio.sleep(0.5)


async def _flood(hints: WebhookWakeUp) -> None:
    while True:
        for _ in range(100):
            hints.notify()
        await anyio.sleep(0.1)


def _told(simulated: CheckedBatch, seconds: float) -> Story:
    snapshot = StoreSnapshot.of(simulated.store, simulated.batch.id)
    runs = {run.run_id: run for run in simulated.sandbox.journal.runs}
    keys = {job.id: job.key for job in snapshot.jobs}
    delays = [
        (attempt.closed_at - (runs[attempt.run_id].finished_at or now())).total_seconds()
        for attempt in snapshot.attempts
        if attempt.run_id in runs
    ]
    # The agent's prices differ with the markers: what is whose shows in the names.
    results = {
        keys[attempt.job_id]: json.loads(snapshot.results[attempt.id])["name"]
        for attempt in snapshot.attempts
        if attempt.id in snapshot.results
    }
    return Story(simulated, seconds, sum(delays) / len(delays), results)


def all_text_in(simulated: CheckedBatch) -> str:
    """Return all rows of the database."""
    with simulated.store._database.read() as tx:
        connection: Any = tx.connection.driver_connection
        return "\n".join(connection.iterdump())


# ---- what they are good for ----


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("concurrency", "looks", "delay"),
    [(2, 0.65, 0.3), (10, 0.9, 0.3)],
)
def test_results_arrive_sooner_with_fewer_polls(
    concurrency: int, looks: float, delay: float
) -> None:
    without = played(None, concurrency=concurrency, jobs=15 * concurrency)
    with_webhooks = played(straight, concurrency=concurrency, jobs=15 * concurrency)
    assert with_webhooks.results == without.results
    assert with_webhooks.looks <= looks * without.looks
    assert with_webhooks.delay <= delay * without.delay
    assert with_webhooks.seconds <= without.seconds


@pytest.mark.sweep
def test_if_runs_end_all_the_time_there_are_no_more_polls_than_without_webhooks() -> None:
    without, with_webhooks = (played(way, concurrency=50, jobs=200) for way in (None, straight))
    assert with_webhooks.results == without.results
    assert with_webhooks.looks <= without.looks + MAX_SAVED_POLLS
    assert with_webhooks.delay <= without.delay


# ---- what they cannot do ----


@pytest.mark.sweep
def test_if_every_webhook_is_lost_the_batch_is_the_same_as_without() -> None:
    without, deaf = without_webhooks(), played(lost)
    assert deaf.results == without.results
    assert deaf.simulated.requests == without.simulated.requests
    assert (deaf.seconds, deaf.delay) == (without.seconds, without.delay)


@pytest.mark.sweep
@pytest.mark.parametrize("way", some([twice, late], 1))
def test_doubled_or_late_webhooks_change_no_result_and_add_no_polls(way: Way) -> None:
    without, with_webhooks = without_webhooks(), played(way)
    assert with_webhooks.results == without.results
    assert with_webhooks.looks <= without.looks + MAX_SAVED_POLLS


@pytest.mark.sweep
def test_a_flood_of_webhooks_adds_no_polls() -> None:
    without, flooded = without_webhooks(), played(lost, flood=True)
    assert flooded.results == without.results
    assert flooded.simulated.requests == without.simulated.requests


@pytest.mark.sweep
def test_a_webhook_before_the_answer_that_names_its_run_is_harmless() -> None:
    def early(hints: WebhookWakeUp) -> Any:
        async def change(request: httpx.Request, body: Any) -> Any:
            if "/automation/" in request.url.path:
                hints.notify()
                await anyio.sleep(20)  # the run may end meanwhile
            return body

        return change

    without, with_webhooks = without_webhooks(), played(lost, change=early)
    assert with_webhooks.results == without.results


@pytest.mark.sweep
def test_runners_that_die_with_webhooks_under_way_lose_and_repeat_nothing() -> None:
    story = played(straight, jobs=24, lives=[90, 150, 250])
    assert story.simulated.jobs() == {JobState.SUCCEEDED: 24}
    assert len(story.simulated.sandbox.journal.runs) == 24


# ---- the address ----


@pytest.mark.sweep
def test_a_job_that_names_a_webhook_keeps_its_own_and_no_row_tells_ours() -> None:
    own = "https://hooks.example.com/mine"
    mine = _bodies(options={"webhook_url": own})
    assert {body["webhook_url"] for body in mine} == {own}
    others = _bodies(options={"api_integration": "batch"})
    assert {body["webhook_url"] for body in others} == {HOOK}


def _bodies(**job: Any) -> list[Any]:
    async def scenario() -> list[Any]:
        simulated = CheckedBatch.of(
            pages(4), SandboxConfig(seed=1), Settings(), agent=FixtureAgent(), **job
        )
        simulated.webhook = HOOK
        await simulated.run(webhook_wakeup=WebhookWakeUp(HOOK))
        simulated.check_end()
        assert SECRET not in all_text_in(simulated)
        return [run.body for run in simulated.sandbox.journal.runs]

    bodies: list[Any] = simulate(scenario)
    return bodies


@pytest.mark.sweep
@pytest.mark.parametrize("run_batch", some(["offered", "missing"], 1))
def test_no_job_fails_where_the_api_refuses_the_address(run_batch: str) -> None:
    async def scenario() -> CheckedBatch:
        config = SandboxConfig(seed=1, variants={"run_batch": run_batch})
        simulated = CheckedBatch.of(pages(9), config, Settings(concurrency=3), agent=FixtureAgent())
        await simulated.run(webhook_wakeup=WebhookWakeUp(HOOK.replace("https", "http")))
        simulated.check_end()
        return simulated

    shown: CheckedBatch = simulate(scenario)
    assert shown.jobs() == {JobState.SUCCEEDED: 9}
    assert sum(isinstance(event, WebhookDropped) for event in shown.events) == 1
    assert not any("webhook_url" in run.body for run in shown.sandbox.journal.runs)
    assert len(shown.sandbox.journal.runs) == 9
    assert SECRET not in all_text_in(shown)
