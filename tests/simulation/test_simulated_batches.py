"""Whole batches on virtual time: their results and their cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import update

from batchrunner.model import FailureCategory, JobState, Settings
from batchrunner.runner.events import CreditsBack, OutOfCredits
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.visibility import Visibility
from batchrunner.store.controls import cancel_jobs, retry_jobs
from batchrunner.store.database import StoreError
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts, finished_jobs
from batchrunner.store.schema import jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.simulated_batch import KillSwitch, T, now, pages, simulate
from tests.sweeps import seeds, some

QUICK = Settings(concurrency=10, backoff=timedelta(seconds=4))
#: Seconds of runs where a claim is about no duration: a batch of short runs is simulated sooner.
SHORT = (5.0, 40.0)


def test_a_batch_without_faults_creates_one_run_for_each_job() -> None:
    async def scenario() -> None:
        quiet = CheckedBatch.of(pages(30), SandboxConfig(durations=SHORT), QUICK)
        assert await quiet.run() is ExitReason.FINISHED
        quiet.check_end()
        assert quiet.jobs() == {JobState.SUCCEEDED: 30}
        assert len(quiet.sandbox.journal.runs) == 30

    simulate(scenario)


def test_a_finished_batch_spends_nothing_when_it_is_run_again() -> None:
    async def scenario() -> None:
        done = CheckedBatch.of(pages(5), SandboxConfig(), QUICK)
        await done.run()
        creates = done.creates
        assert await done.run() is ExitReason.FINISHED
        assert done.creates == creates

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(seeds(3), 1))
def test_the_database_and_the_api_agree_after_a_batch_with_faults(seed: int) -> None:
    rates = {
        "system_failure": 0.1,
        "unknown": 0.05,
        "goal_failure": 0.05,
        "lost": 0.02,
        "throttled": 0.1,
        "unavailable": 0.05,
        "error_before": 0.05,
        "error_after": 0.1,
        "dropped_before": 0.05,
        "dropped_after": 0.1,
        "unreachable": 0.1,
    }

    async def scenario() -> None:
        conditions = SandboxConfig(seed=seed, rates=rates, late=10, durations=SHORT)
        bad = CheckedBatch.of(pages(40), conditions, QUICK)
        assert await bad.run() is ExitReason.FINISHED
        bad.check_end()
        lost_answers = [c for c in bad.sandbox.journal.requests if c.status in (None, 500)]
        assert lost_answers, "no fault fired: this run proves nothing"

    simulate(scenario)


def test_runs_whose_answer_was_lost_are_found_although_the_list_is_late() -> None:
    async def scenario() -> None:
        lost = CheckedBatch.of(
            ["http://faults.test/dropped_after/1"], SandboxConfig(late=25), QUICK
        )
        assert await lost.run() is ExitReason.FINISHED
        lost.check_end()
        assert lost.jobs() == {JobState.SUCCEEDED: 1}
        assert len(lost.sandbox.journal.runs) == 1

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_appears_long_after_others_is_cancelled_and_listed() -> None:
    async def scenario() -> None:
        # With this seed it is listed so late that later runs seem to show that there is none.
        config = SandboxConfig(seed=0, visibility=Visibility(late_spread=900), durations=(200, 300))
        urls = ["http://faults.test/dropped_after/1", *pages(6)]
        late = CheckedBatch.of(urls, config, Settings(concurrency=2))
        assert await late.run() is ExitReason.FINISHED
        late.check_end()
        assert late.jobs() == {JobState.SUCCEEDED: 7}
        first, *_ = [run for run in late.sandbox.journal.runs if run.url == urls[0]]
        assert first.status in ("CANCELLED", "COMPLETED")
        counts = late.store.read(batch_counts, late.batch.id)
        assert (counts.orphans, counts.attempts) == (1, 8)
        assert counts.steps == sum(run.steps for run in late.sandbox.journal.runs), (
            "it was paid for"
        )

    simulate(scenario)


@pytest.mark.sweep
def test_results_land_in_their_rows_although_run_ids_come_in_another_order() -> None:
    async def scenario() -> None:
        shuffled = CheckedBatch.of(
            pages(26), SandboxConfig(variants={"run_ids": "reversed"}, durations=SHORT), QUICK
        )
        await shuffled.run()
        shuffled.check_end()
        bills = {run.run_id: run.url for run in shuffled.sandbox.journal.runs}
        for job in finished_jobs(shuffled.store, shuffled.batch.id):
            assert bills[job.run_id or ""] == job.url
        assert len(bills) == 26

    simulate(scenario)


@pytest.mark.sweep
def test_a_create_that_got_lost_on_its_way_is_sent_again_uncounted() -> None:
    async def scenario() -> None:
        urls = ["http://faults.test/error_before/1", *pages(8)]
        lost = CheckedBatch.of(urls, SandboxConfig(durations=(20, 60)), Settings(concurrency=2))
        await lost.run()
        lost.check_end()
        assert lost.jobs() == {JobState.SUCCEEDED: 9}
        counts = lost.store.read(batch_counts, lost.batch.id)
        assert counts.retried == {FailureCategory.UNREACHABLE: 2}
        again = [run.created_at for run in lost.sandbox.journal.runs if run.url == urls[0]]
        assert again[0] >= EARLIEST_RESEND

    from tests.simulator.simulated_batch import EPOCH

    EARLIEST_RESEND = EPOCH + timedelta(seconds=60)
    simulate(scenario)


def test_without_a_marker_a_lost_answer_is_for_the_user_to_decide() -> None:
    async def scenario() -> None:
        settings = Settings(marker=False)
        lost = CheckedBatch.of(["http://faults.test/dropped_after/1"], SandboxConfig(), settings)
        await lost.run()
        assert lost.store.read(batch_counts, lost.batch.id).failed == {
            FailureCategory.UNANSWERED: 1
        }
        assert lost.creates == 1

    simulate(scenario)


@pytest.mark.sweep
def test_in_flight_runs_never_exceed_the_bound() -> None:
    async def scenario() -> None:
        many = CheckedBatch.of(
            pages(24),
            SandboxConfig(rates={"dropped_after": 0.3}, durations=SHORT),
            Settings(concurrency=7),
        )
        await many.run()
        runs = many.sandbox.journal.runs
        assert any(request.status is None for request in many.sandbox.journal.requests)
        for run in runs:
            at_once = [r for r in runs if r.created_at <= run.created_at < (r.finished_at or now())]
            assert len(at_once) <= 7

    simulate(scenario)


@pytest.mark.sweep
def test_runs_that_the_account_queues_are_waited_for() -> None:
    async def scenario() -> None:
        queued = CheckedBatch.of(pages(15), SandboxConfig(limit=3, durations=SHORT), QUICK)
        assert await queued.run() is ExitReason.FINISHED
        queued.check_end()

    simulate(scenario)


@pytest.mark.sweep
def test_one_refused_job_does_not_harm_the_ninety_nine_others() -> None:
    async def scenario() -> None:
        urls = [*pages(60), "http://faults.test/rejected_unnamed", *pages(39)]
        mixed = CheckedBatch.of(urls, SandboxConfig(durations=SHORT), Settings(concurrency=100))
        await mixed.run()
        mixed.check_end()
        assert mixed.jobs() == {JobState.SUCCEEDED: 99, JobState.FAILED: 1}
        # Halving: the whole, then two of each size on the way down to the one.
        assert mixed.creates <= 1 + 2 * 7

    simulate(scenario)


def test_jobs_are_submitted_singly_where_batch_creation_is_not_offered() -> None:
    async def scenario() -> None:
        conditions = SandboxConfig(variants={"run_batch": "missing"}, durations=SHORT)
        single = CheckedBatch.of(pages(12), conditions, QUICK)
        await single.run()
        single.check_end()
        assert single.requests["POST /v1/automation/run-async"] == 12
        assert single.requests["POST /v1/automation/run-batch"] == 1

    simulate(scenario)


@pytest.mark.sweep
def test_jobs_ride_together_where_they_share_an_output_schema() -> None:
    async def scenario() -> None:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        shaped = CheckedBatch.of(
            pages(20), SandboxConfig(durations=SHORT), QUICK, options={"output_schema": schema}
        )
        await shaped.run()
        shaped.check_end()
        first = shaped.sandbox.journal.requests[0]
        assert len(first.urls) == 10

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_over_its_limit_is_cancelled_remotely_and_tried_again() -> None:
    async def scenario() -> None:
        settings = Settings(max_attempts=2, running_limit=timedelta(minutes=5))
        stuck = CheckedBatch.of(["http://faults.test/stuck"], SandboxConfig(), settings)
        await stuck.run()
        stuck.check_end()
        assert stuck.store.read(batch_counts, stuck.batch.id).failed == {
            FailureCategory.TIMED_OUT: 1
        }
        assert [run.status for run in stuck.sandbox.journal.runs] == ["CANCELLED"] * 2

    simulate(scenario)


@pytest.mark.sweep
def test_a_run_that_never_starts_is_cancelled_after_the_queued_limit() -> None:
    async def scenario() -> None:
        settings = Settings(max_attempts=1, queued_limit=timedelta(minutes=4))
        stuck = CheckedBatch.of(["http://faults.test/queued"], SandboxConfig(), settings)
        await stuck.run()
        assert stuck.store.read(batch_counts, stuck.batch.id).failed == {
            FailureCategory.TIMED_OUT: 1
        }

    simulate(scenario)


def test_the_pool_waits_for_credits_and_goes_on_by_itself() -> None:
    async def scenario() -> None:
        broke = CheckedBatch.of(
            [*pages(5), "http://faults.test/no_credits/3"], SandboxConfig(durations=SHORT), QUICK
        )
        assert await broke.run() is ExitReason.FINISHED
        broke.check_end()
        assert broke.jobs() == {JobState.SUCCEEDED: 6}
        credits = OutOfCredits | CreditsBack
        shown = [type(event) for event in broke.events if isinstance(event, credits)]
        assert set(shown[:-1]) == {OutOfCredits}
        assert shown[-1] is CreditsBack

    simulate(scenario)


@pytest.mark.sweep
def test_credits_for_forty_of_a_hundred_buy_forty_runs() -> None:
    async def scenario() -> None:
        config = SandboxConfig(credits=Decimal("0.016") * 40, durations=(600, 900))
        short = CheckedBatch.of(pages(100), config, Settings(concurrency=100))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(short.run)
            await anyio.sleep(300)
            assert len(short.sandbox.journal.runs) == 40
            assert short.creates < 30, "a search by halves, then one try now and then"
            tasks.cancel_scope.cancel()
        assert short.jobs()[JobState.AVAILABLE] + short.jobs()[JobState.RUNNING] == 100
        assert not short.store.read(batch_counts, short.batch.id).failed

    simulate(scenario)


@dataclass
class Flickering(KillSwitch):
    """A database that is away again and again: before a transaction, or after its commit."""

    calls: int = 0

    async def offload(self, call: Callable[[], T], /) -> T:
        self.calls += 1
        gone = StoreError("the database is away", next="wait", passing=True)
        if self.calls % 7 == 0:
            raise gone
        result = call()
        if self.calls % 5 == 0:
            raise gone
        return result


def test_a_database_that_goes_away_is_waited_for_and_costs_no_run() -> None:
    async def scenario() -> None:
        urls = [*pages(12), "http://faults.test/dropped_after/1"]
        conditions = SandboxConfig(rates={"system_failure": 0.1}, durations=SHORT)
        flickering = CheckedBatch.of(urls, conditions, QUICK)
        kill_switch = Flickering()
        assert await flickering.run(kill_switch) is ExitReason.FINISHED
        assert kill_switch.calls > 100
        flickering.check_end()
        failed = {
            attempt.category
            for attempt in flickering.store.read(failed_attempts, 1, final=True, most=9)
        }
        assert failed <= {FailureCategory.SYSTEM_FAILURE}

    simulate(scenario)


def test_a_key_that_is_refused_stops_the_batch_and_uses_up_nothing() -> None:
    async def scenario() -> None:
        keyless = CheckedBatch.of(pages(5), SandboxConfig(), QUICK, keys=frozenset({"another"}))
        assert await keyless.run() is ExitReason.STOPPED
        assert keyless.jobs() == {JobState.AVAILABLE: 5}
        assert keyless.creates == 1

    simulate(scenario)


@pytest.mark.sweep
def test_draining_waits_for_what_is_in_flight_and_submits_nothing_more() -> None:
    async def scenario() -> None:
        drained = CheckedBatch.of(pages(20), SandboxConfig(durations=(15.0, 60.0)), QUICK)
        runner_of = drained.runner
        async with anyio.create_task_group() as tasks:

            def remember(*args: object, **kwargs: object) -> object:
                runner = runner_of(*args, **kwargs)  # type: ignore[arg-type]
                tasks.start_soon(drain_later, runner)
                return runner

            async def drain_later(runner: object) -> None:
                await anyio.sleep(20)
                runner.drain()  # type: ignore[attr-defined]

            drained.runner = remember  # type: ignore[method-assign, assignment]
            assert await drained.run() is ExitReason.DRAINED
        assert JobState.RUNNING not in drained.jobs()
        assert drained.jobs()[JobState.AVAILABLE] > 0
        drained.runner = runner_of  # type: ignore[method-assign]
        assert await drained.run() is ExitReason.FINISHED
        drained.check_end()

    simulate(scenario)


def test_a_cancelled_batch_has_no_run_left_alive() -> None:
    async def scenario() -> None:
        unwanted = CheckedBatch.of(pages(20), SandboxConfig(), QUICK)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(unwanted.run)
            await anyio.sleep(30)
            unwanted.store.write(cancel_jobs, unwanted.batch.id, [], now())
        unwanted.check_end()
        assert JobState.CANCELLED in unwanted.jobs()
        assert all(run.status.is_final for run in unwanted.sandbox.journal.runs)

    simulate(scenario)


def test_failed_jobs_that_are_put_back_get_one_more_run_each() -> None:
    async def scenario() -> None:
        failed = CheckedBatch.of(
            [*pages(3), "http://faults.test/agent_failure/1"],
            SandboxConfig(durations=SHORT),
            QUICK,
        )
        await failed.run()
        assert failed.jobs() == {JobState.SUCCEEDED: 3, JobState.FAILED: 1}
        assert (
            failed.store.write(
                retry_jobs, failed.batch.id, [FailureCategory.AGENT_FAILURE], [], now()
            )
            == 1
        )
        await failed.run()
        failed.check_end()
        assert failed.jobs() == {JobState.SUCCEEDED: 4}
        assert len(failed.sandbox.journal.runs) == 5

    simulate(scenario)


@pytest.mark.sweep
def test_a_goal_with_an_old_marker_in_it_does_not_hold_the_others_up() -> None:
    async def scenario() -> None:
        quiet = CheckedBatch.of(pages(6), SandboxConfig(), QUICK)
        with quiet.store._database.write() as tx:
            tx.execute(update(jobs).values(goal="Read it [ref br-0123456789ab-1]"))
        assert await quiet.run() is ExitReason.FINISHED
        quiet.check_end()
        assert len(quiet.sandbox.journal.runs) == 6

    simulate(scenario)
