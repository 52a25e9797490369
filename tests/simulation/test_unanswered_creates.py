"""Answers and lists that contradict each other: nothing is paid for twice, and all ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobSpec, JobState, Settings
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.reports import batch_counts, finished_jobs
from tests.simulation.answer_changes import Fickle, change_answers
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

PATIENT = Settings(backoff=timedelta(seconds=4), concurrency=4)
ONE_BY_ONE = Settings(backoff=timedelta(seconds=4), concurrency=1)
UNANSWERED = FailureCategory.UNANSWERED


async def to_its_end(simulated: CheckedBatch) -> None:
    with anyio.fail_after(4 * 3600):
        assert await simulated.run() is ExitReason.FINISHED
    line, simulated.network = simulated.network, None
    simulated.check_end()
    simulated.network = line


def with_a_second_shape(simulated: CheckedBatch, jobs: int) -> None:
    """Load jobs that share no submission with the others."""
    schema = {"output_schema": {"type": "object", "properties": {"name": {"type": "string"}}}}
    specs = tuple(
        JobSpec(key=f"other-{n}", url=url, goal="Read the name", options=schema)
        for n, url in enumerate(pages(jobs))
    )
    simulated.add(specs)


def test_ids_that_are_swapped_between_two_creates_are_swapped_back() -> None:
    async def scenario() -> None:
        swapped = CheckedBatch.of(pages(2), SandboxConfig(durations=(30, 30)), PATIENT)
        with_a_second_shape(swapped, 2)
        answers: list[Any] = []
        both = anyio.Event()

        async def swap(request: httpx.Request, body: Any) -> Any:
            if "run_ids" not in body or both.is_set():
                return body
            answers.append(body)
            if len(answers) == 2:
                both.set()
                return answers[0]
            await both.wait()
            return answers[1]

        change_answers(swapped, swap)
        await to_its_end(swapped)
        assert both.is_set(), "nothing was swapped: this run proves nothing"
        assert swapped.jobs() == {JobState.SUCCEEDED: 4}
        urls = {run.run_id: run.url for run in swapped.sandbox.journal.runs}
        assert len(urls) == 4
        finished = finished_jobs(swapped.store, swapped.batch.id)
        assert all(urls[job.run_id or ""] == job.url for job in finished)

    simulate(scenario)


@pytest.mark.sweep
def test_a_submission_whose_runs_change_at_every_poll_is_left_to_the_user_and_delays_no_other() -> (
    None
):
    async def scenario() -> None:
        fickle = CheckedBatch.of(pages(2), SandboxConfig(durations=(200, 200)), PATIENT)
        with_a_second_shape(fickle, 1)
        change = Fickle()
        change_answers(fickle, change)
        await to_its_end(fickle)
        assert fickle.jobs() == {JobState.SUCCEEDED: 1, JobState.FAILED: 2}
        counts = fickle.store.read(batch_counts, fickle.batch.id)
        assert (counts.failed, counts.orphans) == ({UNANSWERED: 2}, 2)
        assert len(fickle.sandbox.journal.runs) == 3
        assert change.looks < 20

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_whose_goal_is_shown_nowhere_is_not_paid_for_again() -> None:
    async def scenario() -> None:
        urls = [*pages(1), "http://faults.test/dropped_after/1"]
        mute = CheckedBatch.of(urls, SandboxConfig(durations=(20, 20)), ONE_BY_ONE)

        async def hide(request: httpx.Request, body: Any) -> Any:
            for run in body.get("data") or []:
                run["goal"] = None
            return body

        change_answers(mute, hide)
        await to_its_end(mute)
        assert mute.jobs() == {JobState.SUCCEEDED: 1, JobState.FAILED: 1}
        assert set(mute.store.read(batch_counts, mute.batch.id).failed) == {UNANSWERED}
        assert len(mute.sandbox.journal.runs) == 2

    simulate(scenario)


@pytest.mark.parametrize(
    "cut",
    some(
        [
            lambda goal: goal[:9] + " [...]",
            lambda goal: goal[:9] + " (more)",
            lambda goal: "\u2026" + goal[-9:],
            lambda goal: goal[:9] + " \u2026 " + goal[-3:],
            lambda goal: "",
        ],
        2,
    ),
)
def test_a_run_whose_goal_is_cut_in_lists_is_found_by_reading_it(cut: Callable[[str], str]) -> None:
    async def scenario() -> None:
        urls = [*pages(1), "http://faults.test/dropped_after/1"]
        short = CheckedBatch.of(urls, SandboxConfig(durations=(20, 20)), ONE_BY_ONE)
        shortened = 0

        async def shorten(request: httpx.Request, body: Any) -> Any:
            nonlocal shortened
            if request.method == "GET":
                for run in body.get("data") or []:
                    run["goal"], shortened = cut(run["goal"]), shortened + 1
            return body

        change_answers(short, shorten)
        await to_its_end(short)
        assert shortened, "nothing was cut: this run proves nothing"
        assert short.jobs() == {JobState.SUCCEEDED: 2}
        assert len(short.sandbox.journal.runs) == 2

    simulate(scenario)


@pytest.mark.sweep
def test_a_server_that_lists_everything_leaves_no_create_unanswered() -> None:
    async def scenario() -> None:
        urls = ["http://faults.test/error_before/2", *pages(16)]
        loose = CheckedBatch.of(urls, SandboxConfig(durations=(20, 20)), ONE_BY_ONE)
        listed: dict[str, Any] = {}

        async def everything(request: httpx.Request, body: Any) -> Any:
            if request.url.path == "/v1/runs/batch":
                listed.update({run["run_id"]: run for run in body["data"]})
            if request.method == "GET":
                body["data"] = [*listed.values()]
            return body

        change_answers(loose, everything)
        await to_its_end(loose)
        assert loose.jobs() == {JobState.SUCCEEDED: 17}
        assert len(loose.sandbox.journal.runs) == 17

    simulate(scenario)
