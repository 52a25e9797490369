"""Audits of simulated batches: runs that nobody knows, other databases, odd lists, losses."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import anyio
import httpx
import pytest

from batchrunner.model import Budget, JobState, Settings, StopLoss
from batchrunner.model.audit import StopLossReached
from batchrunner.runner.events import SubmittingStopped, UnknownRunsFound
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.reports import batch_counts
from tests.simulation.answer_changes import change_answers
from tests.simulation.audited_batches import (
    PATIENT,
    beside_a_copy,
    create_elsewhere,
    events_of,
    lossy,
    orphan_of_another_database,
    stops_at_its_stop_loss,
    to_its_end,
)
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.network.proxy import FaultWindow, FaultyNetwork
from tests.simulator.simulated_batch import pages, simulate
from tests.sweeps import some

# ---- a middlebox that sends create requests twice ----


@pytest.mark.sweep
@pytest.mark.parametrize("late", some([50.0, 0.0, 100.0], 1))
def test_runs_of_a_create_that_was_sent_twice_are_cancelled_and_billed(late: float) -> None:
    async def scenario() -> None:
        config = SandboxConfig(rates={"replayed": 0.5}, late=late, durations=(100, 400))
        twice = CheckedBatch.of(pages(8), config, PATIENT)
        await to_its_end(twice)
        replayed = [run for run in twice.sandbox.journal.runs if run.replayed]
        assert replayed, "nothing was sent twice: this run proves nothing"
        counts = twice.store.read(batch_counts, twice.batch.id)
        assert counts.orphans == len(replayed)
        assert counts.steps == sum(run.steps for run in twice.sandbox.journal.runs)
        assert twice.jobs() == {JobState.SUCCEEDED: 8}

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_nobody_knew_is_adopted_if_its_job_waits_for_a_retry() -> None:
    async def scenario() -> None:
        # The second job runs later: its run proves that the first one is gone.
        urls = ["http://faults.test/replayed/1", *pages(3)]
        config = SandboxConfig(durations=(90, 90), script={"*replayed*": "replayed/1"})
        waiting = CheckedBatch.of(urls, config, Settings(concurrency=2, backoff=timedelta(hours=1)))
        lost: list[str] = []

        async def lose_first(request: httpx.Request, body: Any) -> Any:
            """Do not know the first run that is polled: its duplicate is alive."""
            if request.url.path != "/v1/runs/batch":
                return body
            first = [run["run_id"] for run in body["data"] if "replayed" in str(run)]
            lost.extend(first[:1] if not lost else [])
            known = [run for run in body["data"] if run["run_id"] not in lost]
            return {"data": known, "not_found": [*(body["not_found"] or []), *lost]}

        change_answers(waiting, lose_first)
        with anyio.fail_after(4 * 3600):
            assert await waiting.run() is ExitReason.FINISHED
        assert lost, "no run was lost: this run proves nothing"
        assert waiting.jobs() == {JobState.SUCCEEDED: 4}
        twice = [run for run in waiting.sandbox.journal.runs if run.url == urls[0]]
        assert len(twice) == 2, "the job was paid for once more"

    simulate(scenario)


@pytest.mark.sweep
def test_a_job_that_was_given_up_as_unanswered_gets_its_run_back() -> None:
    async def scenario() -> None:
        config = SandboxConfig(durations=(1500, 1500))
        found = CheckedBatch.of(["http://faults.test/dropped_after/1"], config, PATIENT)
        half = [FaultWindow("half_page", 0, 10**6, 1.0)]
        found.network = FaultyNetwork(found.sandbox.transport(), windows=half, fired=Counter())
        assert await found.run() is ExitReason.FINISHED
        assert found.jobs() == {JobState.FAILED: 1}
        found.network = None
        await to_its_end(found)
        assert events_of(found, UnknownRunsFound) == [UnknownRunsFound(adopted=1, orphans=0)]
        assert found.jobs() == {JobState.SUCCEEDED: 1}
        assert len(found.sandbox.journal.runs) == 1

    simulate(scenario)


# ---- another database runs the batch ----


def test_a_run_of_another_database_stops_submitting_and_is_never_touched() -> None:
    async def scenario() -> None:
        original = await beside_a_copy()
        assert len(events_of(original, SubmittingStopped)) == 1
        assert original.jobs()[JobState.SUCCEEDED] == 4  # what was in flight

    simulate(scenario)


@pytest.mark.sweep
def test_a_restored_database_submits_nothing_before_it_has_looked() -> None:
    async def scenario() -> None:
        original = await beside_a_copy()
        created = len(original.sandbox.journal.runs)
        assert await original.run() is ExitReason.STOPPED
        assert len(original.sandbox.journal.runs) == created

    simulate(scenario)


@pytest.mark.sweep
def test_unknown_runs_are_left_alone_where_another_database_runs_the_batch() -> None:
    async def scenario() -> None:
        original = await beside_a_copy(script={"*job=*": "replayed"})
        replayed = [run for run in original.sandbox.journal.runs if run.replayed]
        assert replayed
        assert {run.status.value for run in replayed} <= {"COMPLETED", "RUNNING"}

    simulate(scenario)


@pytest.mark.sweep
def test_runs_of_other_programs_and_of_other_batches_are_no_difference() -> None:
    async def scenario() -> None:
        busy = CheckedBatch.of(pages(6), SandboxConfig(durations=(60, 90)), PATIENT)
        for text in ("", "[ref br-another-ledger000-01-abcdefghjk]", "[ref br-abc-1]", "[ref br-"):
            assert (await create_elsewhere(busy, text)).status_code == 200
        with anyio.fail_after(4 * 3600):
            assert await busy.run() is ExitReason.FINISHED
        assert busy.audit_report is not None
        assert busy.audit_report.agrees
        assert busy.audit_report.theirs.runs == 6

    simulate(scenario)


@pytest.mark.sweep
def test_an_orphan_that_turns_out_to_be_another_databases_run_is_forgotten() -> None:
    simulate(orphan_of_another_database)


# ---- lists that move, are late, short, cut or endless ----

ODD_LISTS = (
    "blind_search",
    "cut_goals",
    "null_goals",
    "numeric_ids",
    "endless_list",
    "half_page",
    "round_pages",
    "unknown_fields",
)


@pytest.mark.sweep
@pytest.mark.parametrize("fault", some(ODD_LISTS, 1))
def test_an_odd_list_is_no_false_alarm_and_does_not_hold_up_the_end(fault: str) -> None:
    async def scenario() -> None:
        odd = CheckedBatch.of(pages(8), SandboxConfig(durations=(30, 1200)), PATIENT)
        fired: Counter[str] = Counter()
        windows = [FaultWindow(fault, 0, 10**6, 1.0)]
        odd.network = FaultyNetwork(odd.sandbox.transport(), windows=windows, fired=fired)
        await to_its_end(odd)
        assert fired[fault]
        assert odd.audit_report is not None
        assert odd.audit_report.full
        assert odd.audit_report.differences == ()
        assert odd.audit_report.ours.runs == 8

    simulate(scenario)


@pytest.mark.sweep
def test_a_list_that_is_refused_for_good_ends_no_batch() -> None:
    async def scenario() -> None:
        barred = CheckedBatch.of(pages(4), SandboxConfig(durations=(30, 60)), PATIENT)

        class Barred(httpx.AsyncBaseTransport):
            inner = barred.sandbox.transport()

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "GET" and request.url.path == "/v1/runs":
                    return httpx.Response(403, json={"error": {"code": "X", "message": "no"}})
                return await self.inner.handle_async_request(request)

        barred.network = Barred()  # type: ignore[assignment]
        with anyio.fail_after(4 * 3600):
            assert await barred.run() is ExitReason.FINISHED
        assert barred.audit_report is None

    simulate(scenario)


@pytest.mark.sweep
def test_a_list_without_steps_and_a_filter_that_is_ignored_are_no_difference() -> None:
    async def scenario() -> None:
        short = SandboxConfig(durations=(30, 60), variants={"listed_runs": "short"})
        plain = CheckedBatch.of(pages(6), short, PATIENT)
        for _ in range(5):
            await create_elsewhere(plain, "")

        class Unfiltered(httpx.AsyncBaseTransport):
            inner = plain.sandbox.transport()

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "GET" and request.url.path == "/v1/runs":
                    url = request.url.copy_remove_param("goal")
                    request = httpx.Request("GET", url, headers=request.headers)
                return await self.inner.handle_async_request(request)

        plain.network = Unfiltered()  # type: ignore[assignment]
        with anyio.fail_after(4 * 3600):
            assert await plain.run() is ExitReason.FINISHED
        assert plain.audit_report is not None
        assert plain.audit_report.agrees
        assert plain.audit_report.theirs.runs == 6

    simulate(scenario)


@pytest.mark.sweep
def test_without_markers_runs_are_compared_by_their_ids() -> None:
    async def scenario() -> None:
        settings = Settings(concurrency=4, marker=False)
        unmarked = CheckedBatch.of(pages(6), SandboxConfig(durations=(30, 60)), settings)
        await to_its_end(unmarked)
        report = unmarked.audit_report
        assert report is not None
        assert (report.agrees, report.unmarked, report.theirs.runs) == (True, 6, 6)
        assert report.theirs.steps == report.ours.steps

    simulate(scenario)


# ---- losses ----


@pytest.mark.sweep
def test_orphans_above_the_stop_loss_stop_the_batch_when_nothing_is_in_flight() -> None:
    async def scenario() -> None:
        losing = await stops_at_its_stop_loss(StopLoss())
        assert JobState.RUNNING not in losing.jobs()
        assert [e.reason for e in events_of(losing, SubmittingStopped)] == [losing.audit_stop]
        created = len(losing.sandbox.journal.runs)
        assert await losing.run() is ExitReason.STOPPED  # until the user raises it
        assert len(losing.sandbox.journal.runs) == created

    simulate(scenario)


@pytest.mark.sweep
def test_a_sum_stops_the_batch_earlier_than_its_share() -> None:
    async def scenario() -> None:
        losing = await stops_at_its_stop_loss(StopLoss(cost=Budget(steps=10)))
        assert isinstance(losing.audit_stop, StopLossReached)
        assert losing.audit_stop.limit == "10 steps"

    simulate(scenario)


@pytest.mark.sweep
def test_a_batch_without_a_stop_loss_goes_on() -> None:
    async def scenario() -> None:
        await to_its_end(lossy(StopLoss(share=None), jobs=20))

    simulate(scenario)
