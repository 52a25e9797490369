"""Single odd answers at the worst moment: none ends a batch, or pays for a job twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import Budget, FailureCategory, JobSpec, JobState, Settings
from batchrunner.policy.run_decision import GIVEN_UP_AFTER
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.claims import budget_status
from batchrunner.store.orphans import open_orphans
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, pages, simulate
from tests.sweeps import some

#: Takes a request and the answer to it, None before it is sent; returns what to answer instead.
Interfere = Callable[[httpx.Request, httpx.Response | None], httpx.Response | None]
CREATE, LOOK, CANCEL = "/v1/automation/run-batch", "/v1/runs/batch", "/v1/runs/batch/cancel"


class Interfering(httpx.AsyncBaseTransport):
    """A way to the sandbox on which somebody interferes."""

    def __init__(self, simulated: CheckedBatch, interfere: Interfere) -> None:
        self._inner = simulated.sandbox.transport()
        self._interfere = interfere

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        instead = self._interfere(request, None)
        if instead is not None:
            return instead
        answer = await self._inner.handle_async_request(request)
        await answer.aread()
        return self._interfere(request, answer) or answer


def refused(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "No"}})


def batch_of(
    urls: list[str], interfere: Interfere, config: SandboxConfig, **settings: Any
) -> CheckedBatch:
    simulated = CheckedBatch.of(urls, config, Settings(**settings), agent=FixtureAgent())
    simulated.network = Interfering(simulated, interfere)  # type: ignore[assignment]
    return simulated


@pytest.mark.sweep
def test_a_cancel_that_is_not_ours_to_ask_for_stops_nothing() -> None:
    async def scenario() -> None:
        cancels: list[httpx.Request] = []

        def forbid(request: httpx.Request, answer: httpx.Response | None) -> httpx.Response | None:
            if answer is not None or not request.url.path.endswith("/cancel"):
                return None
            cancels.append(request)
            return refused(403, "FORBIDDEN")

        config = SandboxConfig(durations=(400, 500))
        limit = timedelta(minutes=5)
        urls = ["http://faults.test/stuck", *pages(5)]
        forbidden = batch_of(urls, forbid, config, concurrency=2, running_limit=2 * limit)
        with anyio.fail_after((4 * limit + GIVEN_UP_AFTER).total_seconds()):
            assert await forbidden.run() is ExitReason.FINISHED
        assert len({request.url.path for request in cancels}) == 2, "together, then singly"
        assert forbidden.jobs() == {JobState.SUCCEEDED: 5, JobState.FAILED: 1}
        assert len(forbidden.sandbox.journal.runs) == 6

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("status", some([400, 404, 410, 501], 1))
def test_a_search_that_is_refused_for_a_while_abandons_no_run(status: int) -> None:
    async def scenario() -> None:
        creates: list[httpx.Request] = []
        searches: list[httpx.Request] = []

        def break_off(
            request: httpx.Request, answer: httpx.Response | None
        ) -> httpx.Response | None:
            if answer is not None and request.url.path == CREATE:
                creates.append(request)
                return refused(503, "SERVICE_BUSY") if len(creates) == 2 else None
            if answer is None and request.url.path == "/v1/runs":
                searches.append(request)
                return refused(status, "NOT_FOUND") if len(searches) < 3 else None
            return None

        config = SandboxConfig(durations=(60, 90))
        odd = batch_of(pages(4), break_off, config, concurrency=2, backoff=timedelta(seconds=4))
        assert await odd.run() is ExitReason.FINISHED
        assert len(searches) >= 3
        odd.network = None
        odd.check_end()
        assert odd.jobs() == {JobState.SUCCEEDED: 4}
        assert len(odd.sandbox.journal.runs) == 4

    simulate(scenario)


def test_a_kill_makes_no_run_paid_twice_that_lingered_with_its_result() -> None:
    async def scenario() -> None:
        kill_switch = KillSwitch()

        def kill(request: httpx.Request, answer: httpx.Response | None) -> httpx.Response | None:
            if answer is not None and request.url.path == CANCEL and not kill_switch.dead:
                kill_switch.kill_at = kill_switch.steps + 1
            return None

        config = SandboxConfig(script={"http://site.test/1?*": "lingering"})
        lingering = batch_of(["http://site.test/1?x"], kill, config)
        with pytest.raises(ProcessKilled):
            await lingering.run(kill_switch)
        assert await lingering.run() is ExitReason.FINISHED
        assert lingering.jobs() == {JobState.SUCCEEDED: 1}
        assert len(lingering.sandbox.journal.runs) == 1

    simulate(scenario)


@pytest.mark.sweep
def test_an_orphan_that_never_ends_keeps_no_budget_back_for_ever() -> None:
    async def scenario() -> None:
        lost: list[str] = []

        def hide(request: httpx.Request, answer: httpx.Response | None) -> httpx.Response | None:
            if answer is None:
                return None
            body = json.loads(answer.content)
            if request.url.path == CREATE and not lost:
                lost.extend(body["run_ids"])
                return refused(503, "SERVICE_BUSY")
            if request.url.path != LOOK:
                return None
            for run in body["data"]:
                if run["run_id"] in lost:
                    run.update(status="EXPIRED", num_of_steps=None)
            return httpx.Response(200, json=body)

        config = SandboxConfig(durations=(400, 500), late=100)
        budget = Budget(steps=300)
        endless = batch_of(pages(4), hide, config, concurrency=1, budget=budget)
        with anyio.fail_after(2 * 3600):
            await endless.run()
        assert lost
        assert endless.store.read(open_orphans, endless.batch.id) == []
        status = endless.store.read(budget_status, endless.batch.id, now())
        assert status is not None
        assert status.reserved == 0

    simulate(scenario)


def test_ids_that_stand_where_no_source_has_them_are_not_paid_for_again() -> None:
    async def scenario() -> None:
        shown: list[str] = []

        def rearrange(
            request: httpx.Request, answer: httpx.Response | None
        ) -> httpx.Response | None:
            if answer is None or request.url.path != CREATE or shown:
                return None
            shown.extend(json.loads(answer.content)["run_ids"])
            runs = [{"index": place, "run_id": run_id} for place, run_id in enumerate(shown)]
            said = [{"index": 3, "code": "INVALID_INPUT", "message": "Bad"}]
            return httpx.Response(207, json={"runs": runs[:3], "errors": said})

        odd = batch_of(pages(4), rearrange, SandboxConfig(durations=(60, 90)), concurrency=4)
        assert await odd.run() is ExitReason.FINISHED
        assert len(shown) == 4
        assert odd.jobs() == {JobState.SUCCEEDED: 4}
        assert len(odd.sandbox.journal.runs) == 4
        assert not odd.store.read(batch_counts, odd.batch.id).retried.get(FailureCategory.REJECTED)

    simulate(scenario)


@pytest.mark.sweep
def test_batches_that_are_not_offered_send_nothing_singly_that_carries_several_jobs() -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=(20, 30), variants={"run_batch": "missing"})
        odd = CheckedBatch.of(pages(2), config, Settings(concurrency=40), agent=FixtureAgent())
        specs = tuple(
            JobSpec(key=f"{shape}-{n}", url=url, goal="Read it", options=of_shape(shape))
            for shape in range(12)
            for n, url in enumerate(pages(3))
        )
        odd.add(specs)
        assert await odd.run() is ExitReason.FINISHED
        odd.check_end()
        assert odd.jobs() == {JobState.SUCCEEDED: 38}

    def of_shape(shape: int) -> dict[str, Any]:
        properties = {f"field_{shape}": {"type": "string", "nullable": True}}
        return {"output_schema": {"type": "object", "properties": properties}}

    simulate(scenario)
