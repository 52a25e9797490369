"""Walls and ladders: escalation is tried where it is needed, learned, and paid for nowhere else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from functools import cache

import pytest

from batchrunner.model import FailureCategory, HostRule, JobState, RetryRule, Settings
from batchrunner.model.hosts import host_of
from batchrunner.policy.escalation import STEP_CLOSED_AFTER, is_probe
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import finished_jobs
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, simulate

HOSTS, JOBS_EACH = 8, 12
STEALTHY, PROXIED = ("site-3.test", "site-7.test"), ("site-5.test",)
SCRIPT = {
    **{f"http://{host}/*": "blocked-unless-stealth" for host in STEALTHY},
    **{f"http://{host}/*": "blocked-unless-proxy" for host in PROXIED},
}
#: Slots, so that as many jobs of one host may be in flight before the first of them tells.
SLOTS = 12
SETTINGS = Settings(concurrency=SLOTS, backoff=timedelta(seconds=4))


def urls() -> list[str]:
    """Return the pages of all hosts, in turns."""
    return [f"http://site-{n % HOSTS}.test/{n // HOSTS}" for n in range(HOSTS * JOBS_EACH)]


def batch_of(settings: Settings = SETTINGS) -> CheckedBatch:
    return CheckedBatch.of(urls(), SandboxConfig(script=SCRIPT), settings, agent=FixtureAgent())


def step_of(run: SandboxRun) -> int:
    """Return the step of the default escalation that a run's options are, as the API got them."""
    if run.body.get("proxy_config"):
        assert run.body.get("browser_profile") == "stealth"
        return 2
    return int(run.body.get("browser_profile") == "stealth")


def by_host(simulated: CheckedBatch) -> Mapping[str, list[SandboxRun]]:
    found: dict[str, list[SandboxRun]] = defaultdict(list)
    for run in simulated.sandbox.journal.runs:
        found[host_of(run.url)].append(run)
    return found


def probes(host: str) -> int:
    """Return how many jobs of a host probe whether plain runs work again."""
    return sum(is_probe(f"job-{n}") for n, url in enumerate(urls()) if host_of(url) == host)


def check_learned(simulated: CheckedBatch) -> None:
    """Check where escalation was tried and what it cost, from the runs of the API."""
    simulated.check_end()
    assert simulated.jobs() == {JobState.SUCCEEDED: HOSTS * JOBS_EACH}
    runs = by_host(simulated)
    for host in set(runs) - {*STEALTHY, *PROXIED}:
        assert [step_of(run) for run in runs[host]] == [0] * JOBS_EACH, "a healthy host escalated"
    # Jobs that were in flight before anything was known, and those that look again.
    in_flight = SLOTS
    for host in STEALTHY:
        rungs = [step_of(run) for run in runs[host]]
        assert rungs.count(1) == JOBS_EACH
        assert rungs.count(2) == 0, "more than was needed"
        assert STEP_CLOSED_AFTER <= rungs.count(0) <= in_flight + probes(host)
    for host in PROXIED:
        rungs = [step_of(run) for run in runs[host]]
        assert rungs.count(2) == JOBS_EACH
        assert rungs.count(0) + rungs.count(1) <= 2 * in_flight + probes(host)


def attempts_per_job(simulated: CheckedBatch, host: str) -> list[int]:
    """Return the attempts of a host's jobs, in the order of the file."""
    jobs = finished_jobs(simulated.store, simulated.batch.id)
    return [job.attempts for job in jobs if host_of(job.url) == host]


@cache
def played() -> CheckedBatch:
    """Run the batch that several tests check."""

    async def scenario() -> CheckedBatch:
        walled = batch_of()
        assert await walled.run() is ExitReason.FINISHED
        check_learned(walled)
        return walled

    walled: CheckedBatch = simulate(scenario)
    return walled


@pytest.mark.sweep
def test_escalation_is_learned_where_it_is_needed_and_tried_nowhere_else() -> None:
    walled = played()
    for host in (*STEALTHY, *PROXIED):
        tries = attempts_per_job(walled, host)
        last = tries[JOBS_EACH // 2 :]
        assert sum(last) - len(last) <= probes(host), "attempts do not fall"
        assert sum(tries[:3]) > 3, "the first ones have to find out"


@pytest.mark.sweep
def test_what_was_learned_is_reported_with_each_job_and_each_failure() -> None:
    walled = played()
    shown = {
        host_of(job.url): dict(job.option_overrides)
        for job in finished_jobs(walled.store, walled.batch.id)
    }
    stealth = {"browser_profile": "stealth"}
    assert shown == {
        **{f"site-{n}.test": {} for n in range(HOSTS)},
        **{host: stealth for host in STEALTHY},
        **{host: {**stealth, "proxy_config": {"enabled": True}} for host in PROXIED},
    }
    failures = walled.store.read(failed_attempts, walled.batch.id, final=False, most=1000)
    assert {each.category for each in failures} == {FailureCategory.BLOCKED}
    assert [each for each in failures if each.option_overrides == stealth]


@pytest.mark.sweep
@pytest.mark.parametrize("every", [150, 700])
def test_what_was_learned_survives_crashes(every: int) -> None:
    async def scenario() -> None:
        walled, deaths = batch_of(), 0
        while True:
            try:
                ending = await walled.run(KillSwitch(kill_at=every * (deaths + 1)))
                break
            except ProcessKilled:
                deaths += 1
                walled.check_always()
        assert deaths >= 3, "nothing was killed: this run proves nothing"
        assert ending is ExitReason.FINISHED
        check_learned(walled)

    simulate(scenario)


@pytest.mark.sweep
def test_without_a_ladder_the_walls_stand() -> None:
    async def scenario() -> None:
        plain = batch_of(
            Settings(
                concurrency=SLOTS,
                policy={FailureCategory.BLOCKED: RetryRule(attempts=1)},
                hosts={"*": HostRule(park_after=0)},
            )
        )
        await plain.run()
        plain.check_end()
        assert plain.jobs() == {
            JobState.SUCCEEDED: (HOSTS - 3) * JOBS_EACH,
            JobState.FAILED: 3 * JOBS_EACH,
        }
        assert {step_of(run) for run in plain.sandbox.journal.runs} == {0}

    simulate(scenario)


@pytest.mark.sweep
def test_a_second_simulation_is_the_same() -> None:
    def runs_of(simulated: CheckedBatch) -> list[tuple[str, int, str]]:
        runs = simulated.sandbox.journal.runs
        return [(run.url, step_of(run), str(run.created_at)) for run in runs]

    first = played()
    played.cache_clear()
    assert runs_of(first) == runs_of(played())
