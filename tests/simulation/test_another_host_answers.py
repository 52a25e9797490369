"""Addresses at which there is no API: nothing fails, nothing is paid, and the batch stops."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.runner.runner import ExitReason, Runner
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

JOBS = 6
#: Longest time in seconds in which a runner notices that it is in the wrong place.
SOON = 30
NOT_FOUND = {"error": {"code": "NOT_FOUND", "message": "Route not found"}}
#: What answers at a wrong address.
ANSWERS = {
    "the API's own 404": httpx.Response(404, json=NOT_FOUND),
    "the API's own 405": httpx.Response(405, json=NOT_FOUND),
    "404 with a page": httpx.Response(404, html="<html>nginx</html>"),
    "405 with nothing": httpx.Response(405),
    "moved for good": httpx.Response(308, headers={"Location": "https://www.example.com/"}),
}


class Elsewhere(httpx.AsyncBaseTransport):
    """The way to the sandbox, on which some paths lead nowhere for a while."""

    def __init__(self, simulated: CheckedBatch, answer: httpx.Response, *paths: str) -> None:
        self._inner = simulated.sandbox.transport()
        self.answer: httpx.Response | None = answer
        self._paths = paths
        self.served: dict[str, str] = {}  # nothing was poisoned

    def may(self, faults: Collection[str]) -> bool:
        """Report that no fault of the network may occur."""
        return False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as if nothing were there, or pass it on."""
        if self.answer is None or not request.url.path.startswith(self._paths):
            return await self._inner.handle_async_request(request)
        answer = self.answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


class Told(CheckedBatch):
    """A batch that keeps its newest runner, to see why it stopped."""

    newest: Runner

    def runner(self, *args: Any, **kwargs: Any) -> Runner:
        self.newest = super().runner(*args, **kwargs)
        return self.newest


def batch_of(**job: object) -> Told:
    settings = Settings(concurrency=3)
    simulated = Told.of(pages(JOBS), SandboxConfig(durations=(30, 30)), settings, **job)
    assert isinstance(simulated, Told)
    return simulated


async def stops(simulated: Told) -> str:
    """Run until the runner stops, which is soon, and return what it says."""
    with anyio.fail_after(SOON):
        assert await simulated.run() is ExitReason.STOPPED
    assert not simulated.store.read(batch_counts, simulated.batch.id).failed
    assert simulated.newest.stop_failure is not None
    return simulated.newest.stop_failure.message


@pytest.mark.sweep
@pytest.mark.parametrize("profile", [{}, {"options": {"use_vault": True}}], ids=["plain", "named"])
@pytest.mark.parametrize("answer", some(ANSWERS.values(), 1), ids=ANSWERS)
def test_a_wrong_address_stops_the_batch_and_the_right_one_finishes_it(
    answer: httpx.Response, profile: dict[str, object]
) -> None:
    async def story() -> None:
        simulated = batch_of(**profile)
        way = Elsewhere(simulated, answer, "/")
        simulated.network = way  # type: ignore[assignment]
        assert "not the API" in await stops(simulated)
        assert not simulated.sandbox.journal.runs
        way.answer = None
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert len(simulated.sandbox.journal.runs) == JOBS

    simulate(story)


@pytest.mark.parametrize("answer", some(ANSWERS.values(), 1), ids=ANSWERS)
def test_a_wrong_address_after_a_crash_gives_up_no_run_that_is_paid_for(
    answer: httpx.Response,
) -> None:
    async def story() -> None:
        simulated = batch_of()
        with anyio.move_on_after(10):
            await simulated.run()
        assert simulated.sandbox.journal.runs
        way = Elsewhere(simulated, answer, "/")
        simulated.network = way  # type: ignore[assignment]
        assert "not the API" in await stops(simulated)
        way.answer = None
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert len(simulated.sandbox.journal.runs) == JOBS

    simulate(story)


@pytest.mark.parametrize("answer", some(ANSWERS.values(), 1), ids=ANSWERS)
def test_an_api_that_goes_missing_during_a_batch_is_waited_for(answer: httpx.Response) -> None:
    async def story() -> None:
        simulated = batch_of()
        way = Elsewhere(simulated, answer, "/")
        simulated.network = way  # type: ignore[assignment]
        shown, way.answer = way.answer, None

        async def outage() -> None:
            await anyio.sleep(20)
            way.answer = shown
            await anyio.sleep(600)
            way.answer = None

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outage)
            assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: JOBS}

    simulate(story)


def test_an_account_that_may_create_in_no_way_stops_and_no_job_is_blamed() -> None:
    async def story() -> None:
        simulated = batch_of()
        answer = ANSWERS["the API's own 404"]
        simulated.network = Elsewhere(simulated, answer, "/v1/automation/")  # type: ignore[assignment]
        assert "does not offer to create runs" in await stops(simulated)

    simulate(story)


def test_what_a_job_names_and_the_api_misses_is_the_jobs_own_mistake() -> None:
    async def story() -> None:
        simulated = batch_of(options={"use_vault": True})
        answer = ANSWERS["the API's own 404"]
        simulated.network = Elsewhere(simulated, answer, "/v1/automation/")  # type: ignore[assignment]
        assert await simulated.run() is ExitReason.FINISHED
        assert simulated.store.read(batch_counts, simulated.batch.id).failed == {
            FailureCategory.REJECTED: JOBS
        }

    simulate(story)
