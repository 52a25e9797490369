"""Batches on a bad network: one for each of its faults, and batches of hostile results."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import Sandbox, SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.visibility import Visibility
from batchrunner.selftest.invariants import InvariantViolated
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.network.hostile_results import HOSTILE_RESULTS, HUGE
from tests.simulator.network.proxy import (
    FAULTS,
    FAULTS_LEAVING_RUNS_UNDECIDED,
    FaultWindow,
    FaultyNetwork,
)
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import seeds, some

#: Few slots and runs that end together: many creates, each of several runs.
SETTINGS = Settings(
    concurrency=4, backoff=timedelta(seconds=4), max_attempts=2, running_limit=timedelta(minutes=3)
)
#: Some answers to creates are lost in any case, so that there are searches; and lists are late.
CONFIG = SandboxConfig(durations=(30, 30), late=5, rates={"dropped_after": 0.3})
#: One run is cancelled for its limit.
URLS = ["http://faults.test/stuck", *pages(29)]
#: How long each fault lasts.
SPELL = 600.0
#: What a job may end with: one is stuck, and a 400 that names a job is about that job.
BLAMED = {"error_named": {FailureCategory.TIMED_OUT, FailureCategory.REJECTED}}


@pytest.mark.sweep
@pytest.mark.parametrize("name", some(FAULTS, 1))
def test_every_promise_holds_on_a_line_with(name: str) -> None:
    fired: Counter[str] = Counter()

    async def scenario() -> None:
        bad = CheckedBatch.of(URLS, CONFIG, SETTINGS, keys=frozenset({"key"}))
        windows = [FaultWindow(name, 0, SPELL, 0.5)]
        bad.network = FaultyNetwork(bad.sandbox.transport(), windows=windows, fired=fired)
        while await bad.run() is ExitReason.STOPPED:
            bad.check_always()
            await anyio.sleep(SPELL)  # somebody finds it stopped, and starts it again
        bad.check_end()
        failed = set(bad.store.read(batch_counts, bad.batch.id).failed)
        assert failed <= BLAMED.get(name, {FailureCategory.TIMED_OUT})

    simulate(scenario)
    assert fired[name] > 0, "the fault never happened: this run proves nothing"


@pytest.mark.sweep
@pytest.mark.parametrize("name", some(sorted(FAULTS_LEAVING_RUNS_UNDECIDED), 1))
def test_what_a_list_does_not_tell_for_hours_is_never_paid_for_twice(name: str) -> None:
    fired: Counter[str] = Counter()

    async def scenario() -> None:
        bad = CheckedBatch.of(URLS, CONFIG, SETTINGS, keys=frozenset({"key"}))
        # Not from the beginning: some runs are known by which searches can be tried.
        windows = [FaultWindow(name, 100, 8 * 3600, 1.0)]
        bad.network = FaultyNetwork(bad.sandbox.transport(), windows=windows, fired=fired)
        assert await bad.run() is ExitReason.FINISHED
        bad.check_end()
        failed = set(bad.store.read(batch_counts, bad.batch.id).failed)
        assert failed <= {FailureCategory.TIMED_OUT, FailureCategory.UNANSWERED}
        paid = Counter(run.url for run in bad.sandbox.journal.runs)
        asked = Counter({url: 1 for url in URLS}) + Counter(URLS[:1])  # that one may be retried
        assert paid <= asked

    simulate(scenario)
    assert fired[name] > 0, "the fault never happened: this run proves nothing"


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(seeds(2), 1))
def test_hostile_results_are_kept_as_they_came_and_cost_no_second_run(seed: int) -> None:
    fired: Counter[str] = Counter()

    async def scenario() -> None:
        hostile = CheckedBatch.of(
            pages(60), SandboxConfig(seed=seed, durations=(30, 60)), Settings()
        )
        line = hostile.sandbox.transport()
        hostile.network = FaultyNetwork(line, fired=fired, seed=seed, hostile=0.9)
        assert await hostile.run() is ExitReason.FINISHED
        hostile.check_end()
        assert hostile.jobs() == {JobState.SUCCEEDED: 60}
        assert len(hostile.sandbox.journal.runs) == 60

    simulate(scenario)
    assert set(fired) == set(HOSTILE_RESULTS)


@pytest.mark.sweep
def test_results_that_are_too_long_together_are_fetched_apart() -> None:
    fired: Counter[str] = Counter()

    async def scenario() -> None:
        # All end at one instant: the first poll shows all of their results.
        config = SandboxConfig(durations=(20, 20), rates={"dropped_after": 0.5})
        long = CheckedBatch.of(pages(12), config, Settings(concurrency=6))
        long.network = FaultyNetwork(long.sandbox.transport(), fired=fired, hostile=0.3, huge=0.6)
        assert await long.run() is ExitReason.FINISHED
        long.check_end()
        assert long.jobs() == {JobState.SUCCEEDED: 12}
        assert len(long.sandbox.journal.runs) == 12

    simulate(scenario)
    assert fired[HUGE] >= 6


# ---- the checker is checked ----

CREATE = "http://api.test/v1/automation/run-async"


#: The first run of its url takes 600 s by this seed, and the runs of 6 pages at most 155 s.
ONE_LONG = SandboxConfig(seed=480, durations=(20, 600), visibility=Visibility(late_spread=1))


class ListedLate(httpx.AsyncBaseTransport):
    """An API whose list shows the run of an unanswered create long after it shows later runs."""

    url = "http://faults.test/dropped_after/1"

    def __init__(self, sandbox: Sandbox, until: float) -> None:
        self._inner = sandbox.transport()
        self._sandbox = sandbox
        self._until = until

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if request.url.path != "/v1/runs" or anyio.current_time() >= self._until:
            return response
        body = json.loads(await response.aread())
        hidden = [run.run_id for run in self._sandbox.journal.runs if run.url == self.url][:1]
        shown = [run for run in body["data"] if run["run_id"] not in hidden]
        body["pagination"]["total"] -= len(body["data"]) - len(shown)
        return httpx.Response(200, json={**body, "data": shown})


def straggling(until: float, *windows: FaultWindow, cancels: bool = True) -> CheckedBatch:
    """Return a batch in which a run is listed when it was given up, and its job sent again."""
    settings = Settings(concurrency=2, backoff=timedelta(seconds=4))
    late = CheckedBatch.of([ListedLate.url, *pages(7)[1:]], ONE_LONG, settings)
    listed_late = ListedLate(late.sandbox, until)
    line = listed_late if cancels else NoCancels(listed_late)
    late.network = FaultyNetwork(line, fired=Counter(), windows=windows)
    return late


async def to_its_end(late: CheckedBatch) -> list[SandboxRun]:
    """Run a batch to its end; return both runs of the job whose first run was listed late."""
    with anyio.fail_after(4 * 3600):
        assert await late.run() is ExitReason.FINISHED
    late.check_end()
    runs = [run for run in late.sandbox.journal.runs if run.url == ListedLate.url]
    assert len(runs) == 2, "the run was not given up: that proves nothing"
    assert late.store.read(batch_counts, late.batch.id).orphans == 1
    return runs


@pytest.mark.sweep
def test_a_batch_does_not_end_before_its_final_check_for_late_runs_succeeded() -> None:
    async def scenario() -> None:
        # The list cannot be read when the batch ends.
        late = straggling(300, FaultWindow("half_page", 300, 900, 1.0))
        await to_its_end(late)
        assert anyio.current_time() > 900

    simulate(scenario)


@pytest.mark.sweep
def test_an_orphan_that_one_poll_does_not_show_keeps_its_cost() -> None:
    async def scenario() -> None:
        # Every run is called unknown once.
        late = straggling(300, FaultWindow("hidden_runs", 0, 3000, 1.0))
        first, _ = await to_its_end(late)
        assert first.status == "CANCELLED"
        assert first.steps > 0, "it cost nothing: that proves nothing"

    simulate(scenario)


class NoCancels(httpx.AsyncBaseTransport):
    """An API that refuses to cancel, whatever it is asked."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/cancel"):
            return await self._inner.handle_async_request(request)
        error = {"code": "INVALID_INPUT", "message": "not cancellable"}
        return httpx.Response(400, json={"error": error})


@pytest.mark.sweep
def test_a_cancel_that_is_refused_for_good_is_not_repeated_without_end() -> None:
    async def scenario() -> None:
        late = straggling(300, cancels=False)
        with anyio.fail_after(4 * 3600):
            assert await late.run() is ExitReason.FINISHED
        asked = sum(n for path, n in late.requests.items() if path.endswith("/cancel"))
        assert 0 < asked < 100

    simulate(scenario)


def network(fault: str) -> FaultyNetwork:
    inner = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    return FaultyNetwork(
        inner, fired=Counter(), windows=[FaultWindow(fault, 0, 60, 1)], clock=lambda: 0
    )


def test_a_client_that_follows_a_redirect_is_caught() -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient(
            transport=network("redirect"), follow_redirects=True
        ) as client:
            with pytest.raises(InvariantViolated, match="the client followed a redirect"):
                await client.get("http://api.test/v1/runs")

    simulate(scenario)


def test_a_client_that_ignores_retry_after_is_caught() -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient(transport=network("throttled")) as client:
            run = {"url": "http://shop.test/", "goal": "Read the price"}
            assert (await client.post(CREATE, json=run)).headers["retry-after"] == "30"
            with pytest.raises(InvariantViolated, match="before Retry-After was over"):
                await client.post(CREATE, json=run)

    simulate(scenario)


def test_a_hostile_result_that_was_changed_is_caught() -> None:
    async def scenario() -> None:
        hostile = CheckedBatch.of(pages(5), SandboxConfig(), Settings())
        hostile.network = FaultyNetwork(hostile.sandbox.transport(), fired=Counter(), hostile=1)
        await hostile.run()
        hostile.check_end()
        hostile.network.served[hostile.sandbox.journal.runs[0].run_id] = b'"another"'
        with pytest.raises(InvariantViolated, match="a hostile result was changed"):
            hostile.check_end()

    simulate(scenario)


def test_a_window_of_an_unknown_fault_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown fault 'rain'"):
        FaultWindow("rain", 0, 1, 1)
