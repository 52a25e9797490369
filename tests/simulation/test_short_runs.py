"""Runs that are over when they are first polled are not waited for."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import httpx
import pytest

from batchrunner.api_facts import endpoint_paths
from batchrunner.model import JobState
from batchrunner.store.reports import batch_counts
from benchmarks.no_time_runs import StandInApi, inline, load, run_batch
from tests.simulator.simulated_batch import EPOCH, now, open_memory_store, simulate

JOBS, CONCURRENCY = 40, 8


class LateApi(StandInApi):
    """The same API, where every first answer to a poll is that the runs go on, or an error."""

    def __init__(self, first: httpx.Response) -> None:
        super().__init__()
        self._first: httpx.Response | None = first

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer the first poll as it was told, and all others as usual."""
        first, is_poll = self._first, request.url.path == endpoint_paths.RUNS_BATCH
        if is_poll and first is not None:
            self._first = None
            return first
        return await super().handle_async_request(request)


def seconds_of(api: StandInApi) -> float:
    """Run a batch to its end; return how long it slept, in virtual seconds."""
    store = open_memory_store()
    batch = load(store, JOBS, CONCURRENCY, EPOCH)

    async def run() -> float:
        begun = anyio.current_time()
        with anyio.fail_after(600):
            await run_batch(store, batch, api, inline, now, anyio.current_time)
        return anyio.current_time() - begun

    seconds: float = simulate(run)
    assert store.read(batch_counts, batch.id).jobs[JobState.SUCCEEDED] == JOBS
    return seconds


def test_no_poll_waits_while_every_run_is_over_when_it_is_polled() -> None:
    assert seconds_of(StandInApi()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(500, json={"error": {"code": "INTERNAL", "message": "no"}}),
        lambda: httpx.Response(200, json={"data": [], "not_found": []}),
    ],
    ids=["an error", "no run"],
)
def test_polls_wait_as_usual_after_one_that_did_not_show_that_all_are_over(
    answer: Callable[[], httpx.Response],
) -> None:
    # Five groups of jobs, each of which is polled half a second after it was created.
    assert seconds_of(LateApi(answer())) >= (JOBS / CONCURRENCY - 1) * 0.5
