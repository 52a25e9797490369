"""What the API does not show may still exist: no run is paid for twice, and absences are proved."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobSpec, JobState, Settings
from batchrunner.model.job_file import Canary
from batchrunner.policy.create_outcome import UNANSWERED_PATIENCE
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.visibility import Visibility
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

LOST = "http://faults.test/dropped_after/1"
NOT_CREATED = "http://faults.test/dropped_before/1"
ONE_BY_ONE = Settings(concurrency=1, backoff=timedelta(seconds=2))
FEW = Settings(concurrency=3, backoff=timedelta(seconds=2))
RUNS = (20.0, 60.0)
UNANSWERED = FailureCategory.UNANSWERED
LONG_GOAL = "Read the name and the price of the product, and nothing else. " * 7


async def to_its_end(simulated: CheckedBatch, hours: float = 3) -> None:
    with anyio.fail_after(hours * 3600):
        assert await simulated.run() is ExitReason.FINISHED
    simulated.check_end()


def with_goals(urls: Sequence[str], goals: Sequence[str], config: SandboxConfig) -> CheckedBatch:
    """Load one job for each url, with the goals in turn."""
    batch = CheckedBatch.of([], config, ONE_BY_ONE)
    specs = tuple(
        JobSpec(key=f"own-{n}", url=url, goal=goals[n % len(goals)]) for n, url in enumerate(urls)
    )
    batch.add(specs)
    return batch


def runs_of(batch: CheckedBatch, url: str) -> int:
    return sum(run.url == url for run in batch.sandbox.journal.runs)


# ---- the control run is created after the missing one ----


@pytest.mark.sweep
@pytest.mark.parametrize("late", some([70.0, 5.0, 90.0, 240.0], 1))
def test_a_run_that_is_listed_late_is_not_bought_again(late: float) -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=RUNS, visibility=Visibility(late_spread=20), late=late)
        batch = CheckedBatch.of([*pages(4), LOST, *pages(12)[4:]], config, FEW)
        await to_its_end(batch)
        assert runs_of(batch, LOST) == 1
        assert batch.jobs() == {JobState.SUCCEEDED: 13}

    simulate(scenario)


def test_a_create_that_was_lost_is_sent_again_when_later_runs_are_found() -> None:
    async def scenario() -> None:
        batch = CheckedBatch.of([NOT_CREATED, *pages(8)], SandboxConfig(durations=RUNS), ONE_BY_ONE)
        await to_its_end(batch)
        assert batch.jobs() == {JobState.SUCCEEDED: 9}
        again = [
            request.at for request in batch.sandbox.journal.requests if NOT_CREATED in request.urls
        ]
        assert timedelta(seconds=60) <= again[1] - again[0] <= timedelta(minutes=10)

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("jobs", [0, 3])
def test_without_a_later_run_a_lost_answer_is_left_to_the_user_after_a_while(jobs: int) -> None:
    async def scenario() -> None:
        batch = CheckedBatch.of(
            [*pages(jobs), NOT_CREATED], SandboxConfig(durations=RUNS), ONE_BY_ONE
        )
        await to_its_end(batch)
        assert set(batch.store.read(batch_counts, batch.batch.id).failed) == {UNANSWERED}
        [failed] = batch.store.read(failed_attempts, batch.batch.id, final=True, most=9)
        assert "no run was created later" in failed.message
        assert batch.creates == jobs + 1
        waited = anyio.current_time()
        assert waited >= UNANSWERED_PATIENCE.total_seconds()
        assert waited < 2 * UNANSWERED_PATIENCE.total_seconds()

    simulate(scenario)


# ---- the search has the same form, and no cache answers it ----


@pytest.mark.sweep
@pytest.mark.parametrize("cache", some(["cached_stubbornly", "cached"], 1))
def test_a_cache_between_us_and_the_api_hides_no_run(cache: str) -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=RUNS, late=20, visibility=Visibility(cache=cache))
        batch = CheckedBatch.of([LOST, *pages(6)], config, FEW)
        await to_its_end(batch)
        assert batch.sandbox.visibility_faults[cache]
        assert batch.jobs() == {JobState.SUCCEEDED: 7}
        assert len(batch.sandbox.journal.runs) == 7

    simulate(scenario)


# ---- the marker is as deep ----


@pytest.mark.sweep
@pytest.mark.parametrize("fault", [LOST, NOT_CREATED])
@pytest.mark.parametrize("others", ["short", "mixed"])
def test_a_search_that_sees_a_part_of_each_goal_proves_nothing(fault: str, others: str) -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=RUNS, visibility=Visibility(searched=200))
        goals = ["Read the price"] * 3 if others == "short" else ["Read the price", LONG_GOAL]
        urls = [*pages(5), fault, *pages(10)[5:]]
        goals = [LONG_GOAL if url == fault else goals[n % 2] for n, url in enumerate(urls)]
        batch = with_goals(urls, goals, config)
        await to_its_end(batch)
        seen_in_part = batch.sandbox.visibility_faults["searched_in_part"]
        assert seen_in_part or (fault, others) == (NOT_CREATED, "short")
        if others == "short":
            # No search can see so deep a marker: the newest runs were read one by one.
            assert batch.jobs() == {JobState.SUCCEEDED: 11}
            assert runs_of(batch, fault) == 1
        else:
            assert batch.jobs() == {JobState.SUCCEEDED: 10, JobState.FAILED: 1}
            assert runs_of(batch, fault) == int(fault == LOST)

    simulate(scenario)


@pytest.mark.sweep
def test_an_absence_that_no_marker_as_deep_confirms_says_so() -> None:
    async def scenario() -> None:
        urls = [NOT_CREATED, *pages(6)]
        goals = [LONG_GOAL, *["Read the price"] * 6]
        batch = with_goals(urls, goals, SandboxConfig(durations=RUNS))
        await to_its_end(batch)
        assert batch.jobs() == {JobState.SUCCEEDED: 7}
        [retried] = batch.store.read(failed_attempts, batch.batch.id, final=False, most=9)
        assert "the deepest that was found is after 14 characters" in retried.message

    simulate(scenario)


# ---- the control run is in a state that the missing run may be in ----


@pytest.mark.sweep
@pytest.mark.parametrize("hidden", ["PENDING", "RUNNING", "COMPLETED"])
@pytest.mark.parametrize("duration", [30.0, 200.0])
def test_a_list_that_leaves_out_a_status_does_not_prove_an_absence(
    hidden: str, duration: float
) -> None:
    async def scenario() -> None:
        config = SandboxConfig(
            durations=(duration, duration), visibility=Visibility(hidden=frozenset({hidden}))
        )
        batch = CheckedBatch.of([*pages(2), LOST, *pages(10)[2:]], config, FEW)
        await to_its_end(batch)
        assert runs_of(batch, LOST) == 1

    simulate(scenario)


# ---- while it is in doubt, the other jobs go on ----


@pytest.mark.sweep
def test_a_submission_in_doubt_holds_its_slots_for_one_typical_run_only() -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=(60, 60), visibility=Visibility(lists_blind=((0, 1500),)))
        batch = CheckedBatch.of([*pages(2), NOT_CREATED, *pages(20)[2:]], config, ONE_BY_ONE)
        await to_its_end(batch)
        assert batch.jobs() == {JobState.SUCCEEDED: 21}
        created = [run.created_at for run in batch.sandbox.journal.runs]
        # 20 runs of a minute, one after the other, and the doubt delays them by about one run.
        assert created[19] - created[0] <= timedelta(minutes=24)

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("canary", [None, Canary(jobs=1)])
def test_where_all_slots_are_in_doubt_one_more_job_is_let_through(canary: Canary | None) -> None:
    async def scenario() -> None:
        settings = Settings(concurrency=1, backoff=timedelta(seconds=2), canary=canary)
        batch = CheckedBatch.of([NOT_CREATED, *pages(3)], SandboxConfig(durations=RUNS), settings)
        await to_its_end(batch)
        assert batch.jobs() == {JobState.SUCCEEDED: 4}
        first = batch.sandbox.journal.runs[0]
        assert first.url != NOT_CREATED
        assert anyio.current_time() < UNANSWERED_PATIENCE.total_seconds()

    simulate(scenario)


# ---- a refusal is believed when nothing else was created ----


@pytest.mark.parametrize("fault", ["throttled_after", "rejected_after", "null_after"])
@pytest.mark.parametrize("together", some([True, False], 1))
def test_what_was_created_before_a_refusal_is_found_and_not_bought_again(
    fault: str, together: bool
) -> None:
    async def scenario() -> None:
        url = f"http://faults.test/{fault}/1"
        config = SandboxConfig(durations=RUNS, retry_after=20)
        settings = Settings(concurrency=8 if together else 1, backoff=timedelta(seconds=2))
        batch = CheckedBatch.of([*pages(3), url, *pages(6)[3:]], config, settings)
        await to_its_end(batch)
        assert runs_of(batch, url) == 1
        assert batch.jobs() == {JobState.SUCCEEDED: 7}
        assert len(batch.sandbox.journal.runs) == 7
        assert all(run.status.is_final for run in batch.sandbox.journal.runs)

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("late", some([4.0, 1.0, 0.0], 1))
def test_what_was_created_before_a_refusal_is_found_on_a_list_that_is_late(late: float) -> None:
    async def scenario() -> None:
        url = "http://faults.test/throttled_after/1"
        config = SandboxConfig(durations=RUNS, retry_after=0, late=late)
        batch = CheckedBatch.of([*pages(6), url, *pages(12)[6:]], config, FEW)
        await to_its_end(batch)
        assert runs_of(batch, url) == 1
        assert batch.jobs() == {JobState.SUCCEEDED: 13}
        assert len(batch.sandbox.journal.runs) == 13

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("fault", some(["rejected_after", "throttled_after"], 1))
def test_what_was_created_before_a_refusal_is_found_where_searches_see_no_marker(
    fault: str,
) -> None:
    async def scenario() -> None:
        url = f"http://faults.test/{fault}/1"
        config = SandboxConfig(durations=RUNS, retry_after=5, visibility=Visibility(searched=10))
        batch = CheckedBatch.of([*pages(6), url, *pages(12)[6:]], config, FEW)
        await to_its_end(batch)
        assert runs_of(batch, url) == 1
        assert batch.jobs() == {JobState.SUCCEEDED: 13}
        assert len(batch.sandbox.journal.runs) == 13

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("status", some([401, 403, 400], 1))
def test_a_search_that_is_refused_for_a_moment_confirms_no_refusal(status: int) -> None:
    async def scenario() -> None:
        url = "http://faults.test/throttled_after/1"
        config = SandboxConfig(durations=RUNS, retry_after=0)
        batch = CheckedBatch.of([*pages(6), url, *pages(12)[6:]], config, FEW)
        sandbox, met = batch.sandbox.transport(), 0

        class Refusing(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                nonlocal met
                answer = await sandbox.handle_async_request(request)
                is_search = request.method == "GET" and request.url.path == "/v1/runs"
                if is_search and runs_of(batch, url) and met < 4:
                    met += 1
                    error = {"code": "FORBIDDEN", "message": "Not now"}
                    return httpx.Response(status, json={"error": error}, request=request)
                return answer

        batch.sandbox.transport = Refusing  # type: ignore[method-assign]
        await to_its_end(batch)
        assert met == 4
        assert runs_of(batch, url) == 1
        assert batch.jobs() == {JobState.SUCCEEDED: 13}

    simulate(scenario)


def test_one_search_confirms_all_refusals_that_wait_as_late_as_the_delay_allows() -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=RUNS, rates={"throttled": 1.0}, retry_after=60)
        schema: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
        batch = CheckedBatch.of(pages(3), config, Settings(concurrency=9))
        specs = [
            JobSpec(key=f"s-{n}", url=url, goal="Read", options={"output_schema": schema})
            for n, url in enumerate(pages(3))
        ]
        batch.add(specs)
        seen: list[float] = []
        sandbox = batch.sandbox.transport()

        class Watching(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "GET" and request.url.path == "/v1/runs":
                    seen.append(anyio.current_time())
                return await sandbox.handle_async_request(request)

        batch.sandbox.transport = Watching  # type: ignore[method-assign]
        with anyio.move_on_after(119):
            await batch.run()
        assert batch.creates == 2
        assert len(seen) == 1
        assert seen[0] >= 60

    simulate(scenario)


# ---- a run that no longer appears in polls ----


@pytest.mark.sweep
@pytest.mark.parametrize("seconds", some([40, 400], 1))
def test_runs_that_polls_do_not_find_for_a_while_are_not_lost(seconds: int) -> None:
    async def scenario() -> None:
        visibility = Visibility(polls_blind=((30, 30 + seconds),))
        config = SandboxConfig(durations=(60, 90), visibility=visibility)
        batch = CheckedBatch.of(pages(9), config, FEW)
        await to_its_end(batch)
        assert batch.sandbox.visibility_faults["polls_blind"]
        assert batch.jobs() == {JobState.SUCCEEDED: 9}
        assert len(batch.sandbox.journal.runs) == 9

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_is_gone_for_ten_minutes_is_lost_if_others_are_shown() -> None:
    async def scenario() -> None:
        batch = CheckedBatch.of(
            ["http://faults.test/lost/1", *pages(5)], SandboxConfig(durations=RUNS), FEW
        )
        await to_its_end(batch)
        assert batch.jobs() == {JobState.SUCCEEDED: 6}
        counts = batch.store.read(batch_counts, batch.batch.id)
        assert counts.retried == {FailureCategory.LOST: 1}
        assert anyio.current_time() >= 600

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("marker", [True, False])
def test_a_run_that_is_gone_without_a_marker_or_a_control_run_is_left_to_the_user(
    marker: bool,
) -> None:
    async def scenario() -> None:
        settings = Settings(concurrency=2, marker=marker)
        urls = ["http://faults.test/lost", *pages(0 if marker else 3)]
        batch = CheckedBatch.of(urls, SandboxConfig(durations=RUNS), settings)
        await to_its_end(batch)
        assert set(batch.store.read(batch_counts, batch.batch.id).failed) == {UNANSWERED}
        assert runs_of(batch, urls[0]) == 1

    simulate(scenario)
