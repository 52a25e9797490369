"""The canary, on virtual time: the rest is spent only on what the first jobs were worth."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import anyio
import pytest

from batchrunner.model import Budget, Canary, JobState, Settings
from batchrunner.model.hosts import host_of
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.batches import find_batch
from batchrunner.store.controls import resume_batch
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import now, simulate

FIRST = 10
HOSTS, JOBS = 5, 25
#: All attempts of a job may fail before its canary is at its end.
MOST_ATTEMPTS = 2


def batch_of(canary: Canary, script: dict[str, str]) -> CheckedBatch:
    settings = Settings(concurrency=25, canary=canary, backoff=timedelta(seconds=2))
    urls = [f"http://site-{n * HOSTS // JOBS}.test/{n}" for n in range(JOBS)]
    conditions = SandboxConfig(script=script, durations=(10.0, 60.0))
    return CheckedBatch.of(urls, conditions, settings, agent=FixtureAgent())


@pytest.mark.sweep
def test_a_batch_that_is_no_good_costs_its_canary_and_nothing_else() -> None:
    async def run() -> None:
        script = {f"http://site-{n}.test/*": "goal_failure" for n in range(2)}
        simulated = batch_of(Canary(jobs=FIRST, success_rate=Decimal("0.8")), script)
        assert await simulated.run() is ExitReason.CANARY_FAILED
        simulated.check_always()
        runs = simulated.sandbox.journal.runs
        assert len({run.url for run in runs}) == FIRST
        assert len(runs) <= FIRST * MOST_ATTEMPTS
        assert len({host_of(run.url) for run in runs}) == HOSTS, "not spread over hosts"
        assert simulated.jobs()[JobState.AVAILABLE] == JOBS - FIRST
        batch = simulated.store.read(find_batch, "batch")
        assert batch is not None
        assert batch.pause is not None
        assert batch.pause.reason is not None
        assert "6 of 10 jobs succeeded (60%)" in batch.pause.reason

        assert await simulated.run() is ExitReason.CANARY_FAILED, "the next start spent the rest"
        assert len(simulated.sandbox.journal.runs) == len(runs)

        simulated.store.write(resume_batch, simulated.batch.id, now())
        script.clear()
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()

    simulate(run)


@pytest.mark.sweep
def test_a_canary_that_brings_enough_lets_the_rest_go_by_itself() -> None:
    async def run() -> None:
        canary = Canary(jobs=FIRST, success_rate=Decimal("0.8"), row_cost=Budget(steps=30))
        simulated = batch_of(canary, {"http://site-0.test/0": "goal_failure"})
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        runs = simulated.sandbox.journal.runs
        canary_urls = {run.url for run in runs[:FIRST]}
        ends = [run.finished_at for run in runs if run.url in canary_urls if run.finished_at]
        rest = [run.created_at for run in runs if run.url not in canary_urls]
        assert len(rest) == JOBS - FIRST
        assert min(rest) >= max(ends), "the rest did not wait for the canary"

    simulate(run)


def test_a_row_that_costs_too_much_keeps_the_gate_shut() -> None:
    async def run() -> None:
        simulated = batch_of(Canary(jobs=FIRST, row_cost=Budget(steps=1)), {})
        assert await simulated.run() is ExitReason.CANARY_FAILED
        assert len(simulated.sandbox.journal.runs) == FIRST

    simulate(run)


@pytest.mark.sweep
def test_two_runners_wait_for_the_same_canary() -> None:
    async def run() -> None:
        simulated = batch_of(Canary(jobs=FIRST, success_rate=Decimal("0.8")), {})
        endings: list[ExitReason] = []

        async def work() -> None:
            endings.append(await simulated.run(exited_owners=simulated.exited))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
        assert endings == [ExitReason.FINISHED, ExitReason.FINISHED]
        simulated.check_end()

    simulate(run)


def test_suspect_results_do_not_justify_buying_the_rest() -> None:
    async def run() -> None:
        script = {f"http://site-{n}.test/*": "suspect" for n in range(2)}
        simulated = batch_of(Canary(jobs=FIRST, success_rate=Decimal("0.8")), script)
        assert await simulated.run() is ExitReason.CANARY_FAILED
        assert len(simulated.sandbox.journal.runs) == FIRST
        batch = simulated.store.read(find_batch, "batch")
        assert batch is not None
        assert batch.pause is not None
        said = "6 of 10 jobs succeeded (60%), and 4 more with a suspect result"
        assert said in (batch.pause.reason or "")

    simulate(run)
