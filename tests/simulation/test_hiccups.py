"""Odd answers that pass, or stay: a refused key, a gateway that passes little, unknown statuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import SimulatedBatch, now, simulate
from tests.sweeps import some

JOBS = 12
RUN_BATCH, RUN_ASYNC = "/v1/automation/run-batch", "/v1/automation/run-async"
CREATES, POLLS = "/v1/automation/", "/v1/runs/batch"
SETTINGS = Settings(concurrency=4, backoff=timedelta(seconds=8))
#: Seconds for which a refusal is taken for a hiccup, and a little more than the last wait.
PATIENCE, SLACK = 120.0, 30.0
PAGE = "<html><head><title>Forbidden</title></head><body>gateway</body></html>"

Answer: TypeAlias = Callable[[], httpx.Response]


def key_refused() -> httpx.Response:
    error = {"code": "INVALID_API_KEY", "message": "Invalid or expired API key"}
    return httpx.Response(401, json={"error": error})


def forbidden() -> httpx.Response:
    return httpx.Response(403, json={"error": {"code": "FORBIDDEN", "message": "Forbidden"}})


def page(status: int) -> Answer:
    return lambda: httpx.Response(status, html=PAGE)


def in_shape(status: int) -> Answer:
    error = {"code": "NOT_FOUND", "message": "Not passed"}
    return lambda: httpx.Response(status, json={"error": error})


class Gateway(httpx.AsyncBaseTransport):
    """Answers requests to some paths in the place of the API, for a time or so many of them."""

    def __init__(
        self,
        simulated: SimulatedBatch,
        answer: Answer,
        *paths: str,
        times: int | None = None,
        begins: float = 0.0,
        ends: float = 1e9,
    ) -> None:
        self._inner = simulated.sandbox.transport()
        self._answer, self._paths, self._times = answer, paths, times
        self._begins, self._ends = begins, ends
        self.refused: list[float] = []
        self.passed: Counter[str] = Counter()
        self.served: dict[str, bytes] = {}
        simulated.network = self  # type: ignore[assignment]

    def may(self, faults: object) -> bool:
        """Report that no fault of the network may occur."""
        return False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse the request, or pass it on."""
        path, at = request.url.path, anyio.current_time()
        left = self._times is None or len(self.refused) < self._times
        if left and self._begins <= at < self._ends and path.startswith(self._paths):
            self.refused.append(at)
            return self._answer()
        self.passed[path] += 1
        return await self._inner.handle_async_request(request)


def batch_of(jobs: int = JOBS, script: str = "", **job: object) -> SimulatedBatch:
    rates = {script: 0.5} if script else {}
    config = SandboxConfig(durations=(30.0, 60.0), rates=rates, seed=4)
    urls = [f"http://site.test/{n}" for n in range(jobs)]
    return SimulatedBatch.of(urls, config, SETTINGS, agent=FixtureAgent(), **job)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "hiccup",
    some(
        [
            (key_refused, POLLS, 20.0, 8.0),
            (key_refused, CREATES, 20.0, 90.0),
            (key_refused, "/", 20.0, 90.0),
            (forbidden, POLLS, 20.0, 90.0),
            (forbidden, CREATES, 0.0, 90.0),
            (page(403), POLLS, 20.0, 300.0),
        ],
        1,
    ),
)
def test_a_refusal_that_passes_within_two_minutes_costs_only_time(
    hiccup: tuple[Answer, str, float, float],
) -> None:
    answer, paths, begins, lasts = hiccup

    async def run() -> None:
        simulated = batch_of()
        gateway = Gateway(simulated, answer, paths, begins=begins, ends=begins + lasts)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert gateway.refused, "nothing was refused: this proves nothing"
        assert simulated.jobs() == {JobState.SUCCEEDED: JOBS}
        assert len(simulated.sandbox.journal.runs) == JOBS
        assert len(gateway.refused) < 30, "it was asked again and again"

    simulate(run)


@pytest.mark.parametrize("answer", some([key_refused, forbidden], 1))
def test_creates_that_are_refused_for_two_minutes_end_the_batch_run_after_what_is_in_flight(
    answer: Answer,
) -> None:
    async def run() -> None:
        simulated = batch_of()
        gateway = Gateway(simulated, answer, CREATES, begins=20.0)
        assert await simulated.run() is ExitReason.STOPPED
        simulated.check_always()
        assert JobState.RUNNING not in simulated.jobs()
        assert simulated.jobs()[JobState.SUCCEEDED] == len(simulated.sandbox.journal.runs) == 4
        lasted = gateway.refused[-1] - gateway.refused[0]
        assert PATIENCE <= lasted <= PATIENCE + SLACK
        assert not simulated.store.read(batch_counts, simulated.batch.id).failed

    simulate(run)


@pytest.mark.sweep
def test_polls_that_are_refused_for_two_minutes_leave_runs_to_the_next_start() -> None:
    async def run() -> None:
        simulated = batch_of()
        gateway = Gateway(simulated, key_refused, "/", begins=20.0, ends=400.0)
        assert await simulated.run() is ExitReason.STOPPED
        lasted = gateway.refused[-1] - gateway.refused[0]
        assert PATIENCE <= lasted <= PATIENCE + SLACK
        assert simulated.jobs()[JobState.RUNNING] == 4
        await anyio.sleep_until(400)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert len(simulated.sandbox.journal.runs) == JOBS

    simulate(run)


@pytest.mark.parametrize("paths", [CREATES, "/"])
def test_a_key_that_is_refused_before_anything_has_worked_stops_at_once(paths: str) -> None:
    async def run() -> None:
        simulated = batch_of()
        gateway = Gateway(simulated, key_refused, paths)
        assert await simulated.run() is ExitReason.STOPPED
        assert len(gateway.refused) <= 2, "a create, and a read at the same time"
        assert anyio.current_time() < 5
        assert simulated.jobs() == {JobState.AVAILABLE: JOBS}

    simulate(run)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "answer",
    some([forbidden, page(403), page(404), *map(in_shape, (404, 405, 501)), *map(page, (405,))], 1),
)
def test_where_only_run_async_is_passed_jobs_are_created_singly(answer: Answer) -> None:
    async def run() -> None:
        simulated = batch_of()
        gateway = Gateway(simulated, answer, RUN_BATCH)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: JOBS}
        assert gateway.passed[RUN_ASYNC] == JOBS
        assert len(gateway.refused) == 1, "run-batch was tried again"

    simulate(run)


@pytest.mark.sweep
@pytest.mark.parametrize("answer", [page(403), forbidden, in_shape(404), in_shape(501)])
def test_where_only_single_runs_are_passed_they_are_read_and_cancelled_singly(
    answer: Answer,
) -> None:
    async def run() -> None:
        simulated = batch_of(6, "expired_silently")
        Gateway(simulated, answer, POLLS)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        runs = simulated.sandbox.journal.runs
        assert any(each.fault == "expired_silently" for each in runs)
        assert len(runs) <= 18

    simulate(run)


@pytest.mark.sweep
def test_jobs_that_need_a_right_succeed_singly_where_run_batch_is_forbidden() -> None:
    async def run() -> None:
        simulated = batch_of(4, options={"agent_config": {"max_steps": 50}})
        gateway = Gateway(simulated, forbidden, RUN_BATCH)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: 4}
        assert len(gateway.refused) <= 7

    simulate(run)


@pytest.mark.sweep
@pytest.mark.parametrize(
    "odd",
    some(
        [
            ("expired", FailureCategory.UNKNOWN),
            ("expired_silently", FailureCategory.UNKNOWN),
            ("expired_with_result", None),
            ("misspelled", None),
        ],
        1,
    ),
)
def test_a_run_of_an_odd_status_is_over_when_the_api_says_so(
    odd: tuple[str, FailureCategory | None],
) -> None:
    script, category = odd

    async def run() -> None:
        simulated = batch_of(8, script)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        runs = simulated.sandbox.journal.runs
        ids = {each.run_id for each in runs if each.fault == script}
        assert ids
        closed = simulated.store.read(failed_attempts, 1, final=False, most=99)
        assert {attempt.category for attempt in closed} == ({category} if category else set())
        cancels = simulated.requests["POST /v1/runs/batch/cancel"]
        assert cancels <= 2 * len(ids) if script == "expired_silently" else cancels == 0
        longest = max((each.finished_at or now()) - each.created_at for each in runs)
        assert longest < timedelta(minutes=2)
        assert anyio.current_time() < 15 * 60, "it was waited for"

    simulate(run)
