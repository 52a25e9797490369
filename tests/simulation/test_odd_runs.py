"""Runs that the API never shows as ended: each is waited for, and then decided."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.policy.run_decision import GIVEN_UP_AFTER, LINGERING_AFTER, LOST_AFTER
from batchrunner.runner.events import AttemptsClosed
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.faults import Status
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts, finished_jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.network.proxy import FaultyNetwork
from tests.simulator.simulated_batch import now, pages, simulate
from tests.sweeps import some

LIST, POLL, CANCEL = "/v1/runs", "/v1/runs/batch", "/v1/runs/batch/cancel"
LIMIT = timedelta(minutes=5)
#: Runs that take long are polled seldom: a wait of half an hour needs few polls.
RUNS = (150.0, 170.0)
SETTINGS = Settings(
    concurrency=8, backoff=timedelta(seconds=4), max_attempts=2, running_limit=LIMIT
)
#: Longest that a batch may take in which one run never ends.
BOUND = (2 * LIMIT + 2 * GIVEN_UP_AFTER).total_seconds()

Answer = Callable[[httpx.Request, Any], httpx.Response | None]


class Odd(httpx.AsyncBaseTransport):
    """An API whose answers about its first run are odd."""

    def __init__(self, inner: httpx.AsyncBaseTransport, odd: Answer) -> None:
        self._inner = inner
        self._odd = odd
        self.run_id: str | None = None
        self.met = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        cancels = request.url.path == CANCEL and self._is_about_it(request)
        if cancels and (refusal := self._odd(request, {})):  # it must not get there
            self.met += 1
            return refusal
        response = await self._inner.handle_async_request(request)
        body = json.loads(await response.aread())
        if self.run_id is None and request.url.path.endswith("/run-batch"):
            self.run_id = body["run_ids"][0]
        listed = request.url.path == LIST and any(
            run["run_id"] == self.run_id for run in body["data"]
        )
        if self.run_id is None or not (listed or self._is_about_it(request)):
            return response
        changed = self._odd(request, body)
        self.met += changed is not None
        return changed or response

    def _is_about_it(self, request: httpx.Request) -> bool:
        return (self.run_id or "") in request.url.path + request.content.decode()


def refused(status: int = 400) -> httpx.Response:
    error = {"code": "INVALID_INPUT" if status == 400 else "INTERNAL_ERROR", "message": "No"}
    return httpx.Response(status, json={"error": error})


def not_in(body: Any, run_id: str) -> httpx.Response:
    data = [run for run in body["data"] if run["run_id"] != run_id]
    shown = {**body, "data": data}
    if "pagination" in body:
        hidden = len(body["data"]) - len(data)
        total = body["pagination"]["total"] - hidden
        shown["pagination"] = {**body["pagination"], "total": total}
    return httpx.Response(200, json=shown)


async def played(
    urls: list[str], odd: Callable[[Callable[[], str]], Answer]
) -> tuple[CheckedBatch, Odd]:
    simulated = CheckedBatch.of(urls, SandboxConfig(durations=RUNS), SETTINGS)
    line = Odd(simulated.sandbox.transport(), lambda request, body: answer(request, body))
    answer = odd(lambda: line.run_id or "")
    simulated.network = FaultyNetwork(line, fired=Counter())
    with anyio.fail_after(BOUND):
        assert await simulated.run() is ExitReason.FINISHED
    assert line.met, "nothing odd was met: this run proves nothing"
    return simulated, line


def failed(simulated: CheckedBatch) -> list[tuple[FailureCategory, str | None]]:
    found = simulated.store.read(failed_attempts, simulated.batch.id, final=True, most=9)
    return [(attempt.category, attempt.run_id) for attempt in found]


def is_reported(simulated: CheckedBatch, run_id: str | None) -> bool:
    """Return whether a message names this run."""
    judged = [event for event in simulated.events if isinstance(event, AttemptsClosed)]
    failures = [v.transition.failure for event in judged for v in event.decisions]
    return any((run_id or "?") in failure.message for failure in failures if failure)


def silent_with(
    single: Callable[[], httpx.Response | None], silent: frozenset[str] = frozenset({POLL})
) -> Any:
    def odd(run_id: Callable[[], str]) -> Answer:
        def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
            if request.url.path in silent:
                return not_in(body, run_id())
            return single() if request.url.path.endswith(run_id()) else None

        return answer

    return odd


@pytest.mark.sweep
def test_a_run_that_polls_do_not_mention_is_read_by_itself() -> None:
    async def scenario() -> None:
        quiet, _ = await played(pages(6), silent_with(lambda: None))
        quiet.check_end()
        assert quiet.jobs() == {JobState.SUCCEEDED: 6}
        assert len(quiet.sandbox.journal.runs) == 6

    simulate(scenario)


def no_such_run() -> httpx.Response:
    missing = {"error": {"code": "NOT_FOUND", "message": "Run not found"}}
    return httpx.Response(404, json=missing)


@pytest.mark.sweep
def test_a_run_that_polls_do_not_mention_and_that_is_not_found_by_itself_is_lost() -> None:
    async def scenario() -> None:
        silent = frozenset({POLL, LIST})
        quiet, _ = await played(pages(6), silent_with(no_such_run, silent))
        assert quiet.jobs() == {JobState.SUCCEEDED: 6}
        assert quiet.store.read(batch_counts, quiet.batch.id).retried == {FailureCategory.LOST: 1}
        assert anyio.current_time() < GIVEN_UP_AFTER.total_seconds()

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_only_the_list_shows_is_not_lost_and_not_paid_for_again() -> None:
    async def scenario() -> None:
        quiet, line = await played(pages(6), silent_with(no_such_run))
        assert quiet.jobs() == {JobState.SUCCEEDED: 5, JobState.FAILED: 1}
        assert failed(quiet) == [(FailureCategory.UNANSWERED, line.run_id)]
        assert is_reported(quiet, line.run_id)
        assert len(quiet.sandbox.journal.runs) == 6

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("status", some([400, 500], 1))
def test_a_run_that_the_api_says_nothing_about_is_given_up_and_not_paid_for_again(
    status: int,
) -> None:
    async def scenario() -> None:
        quiet, line = await played(pages(6), silent_with(lambda: refused(status)))
        assert quiet.jobs() == {JobState.SUCCEEDED: 5, JobState.FAILED: 1}
        assert failed(quiet) == [(FailureCategory.UNANSWERED, line.run_id)]
        assert is_reported(quiet, line.run_id)
        assert anyio.current_time() >= GIVEN_UP_AFTER.total_seconds()
        assert len(quiet.sandbox.journal.runs) == 6

    simulate(scenario)


def refuses_polls(run_id: Callable[[], str]) -> Answer:
    return lambda request, body: refused() if request.url.path != "/v1/runs" else None


@pytest.mark.sweep
def test_one_id_that_the_api_refuses_does_not_blind_the_others() -> None:
    async def scenario() -> None:
        # One is stuck, so that other runs are there whenever the bad one is polled.
        urls = [*pages(7), "http://faults.test/stuck"]
        blinded, line = await played(urls, refuses_polls)
        assert (FailureCategory.INVALID_RESULT, line.run_id) in failed(blinded)
        assert blinded.jobs()[JobState.SUCCEEDED] == 6
        ended = [job.finished_at for job in finished_jobs(blinded.store, blinded.batch.id)]
        assert sum(1 for at in ended if at and (at - ended_first(ended)) < LIMIT) >= 6

    def ended_first(ended: Any) -> Any:
        return min(at for at in ended if at)

    simulate(scenario)


@pytest.mark.sweep
def test_a_batch_whose_polls_are_all_refused_ends() -> None:
    async def scenario() -> None:
        alone, line = await played(pages(1), refuses_polls)
        assert failed(alone) == [(FailureCategory.UNANSWERED, line.run_id)]
        assert len(alone.sandbox.journal.runs) == 1

    simulate(scenario)


def expired(run_id: Callable[[], str]) -> Answer:
    def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
        shown = [run for run in body.get("data") or body.get("results") or [] if run]
        for run in shown:
            if run["run_id"] == run_id():
                run["status"] = "EXPIRED"
        return httpx.Response(200, json=body) if shown else None

    return answer


@pytest.mark.sweep
def test_a_run_of_an_unknown_status_is_judged_by_its_result_once_it_has_an_end() -> None:
    async def scenario() -> None:
        odd, _ = await played(pages(6), expired)
        assert odd.jobs() == {JobState.SUCCEEDED: 6}
        assert anyio.current_time() < GIVEN_UP_AFTER.total_seconds()

    simulate(scenario)


def refuses_cancels(status: int) -> Any:
    def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
        return refused(status) if request.url.path == CANCEL else None

    return lambda run_id: answer


@pytest.mark.sweep
@pytest.mark.parametrize("status", some([400, 403, 404, 500], 1))
def test_a_run_whose_cancel_is_never_confirmed_is_given_up(status: int) -> None:
    async def scenario() -> None:
        urls = ["http://faults.test/stuck", *pages(5)]
        stuck, line = await played(urls, refuses_cancels(status))
        assert stuck.jobs() == {JobState.SUCCEEDED: 5, JobState.FAILED: 1}
        assert failed(stuck) == [(FailureCategory.UNANSWERED, line.run_id)]
        assert is_reported(stuck, line.run_id)
        assert len(stuck.sandbox.journal.runs) == 6

    simulate(scenario)


@pytest.mark.sweep
def test_one_run_that_cannot_be_cancelled_does_not_keep_the_others_alive() -> None:
    async def scenario() -> None:
        urls = ["http://faults.test/stuck"] * 4
        stuck, line = await played(
            [f"{url}?n={n}" for n, url in enumerate(urls)], refuses_cancels(400)
        )
        found = failed(stuck)
        assert (FailureCategory.UNANSWERED, line.run_id) in found
        assert [category for category, _ in found].count(FailureCategory.TIMED_OUT) == 3

    simulate(scenario)


@pytest.mark.sweep
def test_an_outage_of_the_api_counts_against_no_run() -> None:
    async def scenario() -> None:
        dark = [(100.0, 100.0 + 2 * GIVEN_UP_AFTER.total_seconds())]

        def odd(run_id: Callable[[], str]) -> Answer:
            def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
                away = any(begins <= anyio.current_time() < ends for begins, ends in dark)
                if away:
                    return httpx.Response(503, json={"error": {"code": "X", "message": "No"}})
                if request.url.path == POLL and anyio.current_time() < dark[0][0]:
                    return not_in(body, run_id())
                return None

            return answer

        simulated = CheckedBatch.of(
            pages(3), SandboxConfig(durations=(400, 500)), SETTINGS_OF_A_LONG_NIGHT
        )
        line = Odd(simulated.sandbox.transport(), lambda request, body: answer(request, body))
        answer = odd(lambda: line.run_id or "")
        simulated.network = FaultyNetwork(line, fired=Counter())
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: 3}

    SETTINGS_OF_A_LONG_NIGHT = Settings(concurrency=8, running_limit=timedelta(hours=3))
    simulate(scenario)


def one_of(body: Any, run_id: str) -> Any:
    """Return the run with this id out of an answer, None where it is not in it."""
    runs = (body.get("data") or body.get("results") or []) if isinstance(body, dict) else []
    return next((run for run in runs if run and run.get("run_id") == run_id), None)


@pytest.mark.sweep
def test_two_polls_that_do_not_know_a_run_prove_nothing_if_none_was_answered_between() -> None:
    async def scenario() -> None:
        first: list[float] = []

        def unknown(run_id: Callable[[], str]) -> Answer:
            def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
                if request.method == "GET" and "cancel" not in request.url.path:
                    return refused(404) if request.url.path.endswith(run_id()) else None
                if request.url.path != POLL:
                    return None
                first.append(anyio.current_time())
                away = 0 < anyio.current_time() - first[0] < 2 * LOST_AFTER.total_seconds()
                again = first[-1] - first[0] < 2.2 * LOST_AFTER.total_seconds()
                return refused(503) if away else not_in(body, run_id()) if again else None

            return answer

        quiet, _ = await played(pages(6), unknown)
        assert quiet.jobs() == {JobState.SUCCEEDED: 6}
        assert quiet.store.read(batch_counts, quiet.batch.id).retried == {}
        assert len(quiet.sandbox.journal.runs) == 6

    simulate(scenario)


def growing(run_id: Callable[[], str]) -> Answer:
    looks = iter(range(10_000))

    def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
        run = one_of(body, run_id())
        if run is None:
            return None
        run["result"] = {"rows": list(range(next(looks)))}
        return httpx.Response(200, json=body)

    return answer


@pytest.mark.sweep
def test_a_result_that_still_grows_is_waited_for() -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=(600, 600))
        grown = CheckedBatch.of(pages(2), config, Settings(running_limit=timedelta(hours=1)))
        line = Odd(grown.sandbox.transport(), lambda request, body: grow(request, body))
        grow = growing(lambda: line.run_id or "")
        grown.network = FaultyNetwork(line, fired=Counter())
        assert await grown.run() is ExitReason.FINISHED
        assert 600 / line.met < LINGERING_AFTER.total_seconds()
        assert grown.jobs() == {JobState.SUCCEEDED: 2}
        ends = {run.status for run in grown.sandbox.journal.runs}
        assert ends == {Status.COMPLETED}

    simulate(scenario)


@pytest.mark.sweep
def test_a_part_of_a_result_is_no_result_when_the_limit_ends_the_run() -> None:
    async def scenario() -> None:
        cut, line = await played(["http://faults.test/stuck", *pages(2)], growing)
        assert (FailureCategory.TIMED_OUT, line.run_id) in all_failed(cut)
        assert cut.jobs() == {JobState.SUCCEEDED: 2, JobState.FAILED: 1}

    simulate(scenario)


def begins_anew(run_id: Callable[[], str]) -> Answer:
    def answer(request: httpx.Request, body: Any) -> httpx.Response | None:
        run = one_of(body, run_id())
        if run is None or run["status"] != "RUNNING":
            return None
        run["started_at"] = now().isoformat().replace("+00:00", "Z")
        return httpx.Response(200, json=body)

    return answer


@pytest.mark.sweep
def test_a_run_that_starts_again_at_each_poll_still_reaches_its_limit() -> None:
    async def scenario() -> None:
        moved, line = await played(["http://faults.test/stuck", *pages(2)], begins_anew)
        assert (FailureCategory.TIMED_OUT, line.run_id) in all_failed(moved)
        assert moved.jobs() == {JobState.SUCCEEDED: 2, JobState.FAILED: 1}
        assert anyio.current_time() < 3 * LIMIT.total_seconds()

    simulate(scenario)


def all_failed(simulated: CheckedBatch) -> list[tuple[FailureCategory, str | None]]:
    found = simulated.store.read(failed_attempts, simulated.batch.id, final=False, most=9)
    return [(attempt.category, attempt.run_id) for attempt in found]


@pytest.mark.sweep
def test_results_that_do_not_fit_into_one_poll_are_read_in_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchrunner.tinyfish.http.MAX_ANSWER_BYTES", 3_000)
    monkeypatch.setattr("batchrunner.runner.run_fetcher.ENOUGH_RESULT_BYTES", 60)

    async def run() -> None:
        simulated = CheckedBatch.of(
            [f"http://site.test/{n}" for n in range(24)],
            SandboxConfig(durations=(20, 20)),
            Settings(concurrency=24),
            agent=FixtureAgent(),
        )
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: 24}

    simulate(run)
