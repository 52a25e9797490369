"""Clocks of runs, on virtual time: what takes too long is ended, confirmed, accounted for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from batchrunner.model import FailureCategory, JobSpec, JobState, Settings, TimeLimits
from batchrunner.policy.run_decision import LINGERING_AFTER
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.store.reports import batch_counts, finished_jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.test_steering import alive_at
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import now, simulate

QUICK = Settings(concurrency=20, backoff=timedelta(seconds=4), max_attempts=1)
STUCK = 8


def urls(count: int) -> list[str]:
    return [f"http://site.test/{n}" for n in range(count)]


def lasted(run: SandboxRun) -> timedelta:
    assert run.finished_at is not None
    return run.finished_at - (run.started_at or run.created_at)


def runs_of(simulated: CheckedBatch, part: str) -> list[SandboxRun]:
    return [run for run in simulated.sandbox.journal.runs if part in run.url]


@pytest.mark.sweep
def test_two_in_a_hundred_runs_get_stuck_and_none_is_alive_at_the_end() -> None:
    async def run() -> None:
        config = SandboxConfig(rates={"stuck": 0.02}, seed=3)
        simulated = CheckedBatch.of(urls(400), config, QUICK, agent=FixtureAgent())
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        stuck = [each for each in simulated.sandbox.journal.runs if each.fault == "stuck"]
        assert STUCK / 2 <= len(stuck) <= STUCK * 2
        assert alive_at(simulated, now()) == 0
        assert simulated.jobs() == {
            JobState.SUCCEEDED: 400 - len(stuck),
            JobState.FAILED: len(stuck),
        }
        limit = QUICK.running_limit
        for each in stuck:
            assert limit <= lasted(each) <= limit + timedelta(seconds=30)
            assert each.charge > 0, "what it cost is not in the account"
        assert simulated.store.read(batch_counts, 1).failed == {
            FailureCategory.TIMED_OUT: len(stuck)
        }

    simulate(run)


@pytest.mark.sweep
def test_a_stuck_run_is_recognised_by_other_runs_long_before_the_limit() -> None:
    async def run() -> None:
        settings = Settings(concurrency=20, max_attempts=1, stuck_after=4)
        config = SandboxConfig(durations=(30, 60), script={"http://site.test/1?": "stuck"})
        simulated = CheckedBatch.of(urls(60), config, settings, agent=FixtureAgent())
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        stuck = [each for each in simulated.sandbox.journal.runs if each.fault == "stuck"]
        assert len(stuck) == 10
        typical = timedelta(seconds=45)
        for each in stuck:
            assert 3 * typical <= lasted(each) <= 6 * typical
        assert simulated.jobs() == {JobState.SUCCEEDED: 50, JobState.FAILED: 10}

    simulate(run)


@pytest.mark.sweep
def test_a_job_may_have_limits_of_its_own() -> None:
    async def run() -> None:
        settings = replace(QUICK, running_limit=timedelta(minutes=5))
        simulated = CheckedBatch.of(
            [], SandboxConfig(script={"*": "stuck"}), settings, agent=FixtureAgent()
        )
        specs = (
            JobSpec(key="quick", url="http://quick.test/", goal="Read", limits=limits(90)),
            JobSpec(key="slow", url="http://slow.test/", goal="Read", limits=limits(600)),
            JobSpec(key="plain", url="http://plain.test/", goal="Read"),
        )
        simulated.add(specs)
        await simulated.run()
        simulated.check_end()
        minutes = {
            name: round(lasted(runs_of(simulated, name)[0]).total_seconds() / 60, 0)
            for name in ("quick", "slow", "plain")
        }
        assert minutes == {"quick": 2, "slow": 10, "plain": 5}

    simulate(run)


def limits(seconds: float) -> TimeLimits:
    return TimeLimits(running=timedelta(seconds=seconds))


@pytest.mark.sweep
def test_a_run_that_shows_its_result_and_never_ends_is_ended_and_its_result_counts() -> None:
    async def run() -> None:
        script = {"http://site.test/1?": "lingering"}
        simulated = CheckedBatch.of(
            urls(30), SandboxConfig(script=script), QUICK, agent=FixtureAgent()
        )
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert simulated.jobs() == {JobState.SUCCEEDED: 30}
        lingering = [each for each in simulated.sandbox.journal.runs if each.fault == "lingering"]
        assert len(lingering) == 10
        for each in lingering:
            assert LINGERING_AFTER <= lasted(each) <= LINGERING_AFTER + timedelta(minutes=1)
        results = {
            job.result for job in finished_jobs(simulated.store, 1) if job.url.endswith("/12")
        }
        assert results == {'{"name":"Brass lamp","price":34.5}'}

    simulate(run)
