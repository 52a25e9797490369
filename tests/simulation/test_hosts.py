"""Broken hosts among healthy ones, on virtual time: parked, probed, and back when they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from batchrunner.model import Budget, HostRule, JobFile, JobSpec, JobState, Settings
from batchrunner.model.hosts import MAX_PROBES, host_of
from batchrunner.policy.host_breaker import PARK_AFTER_FAILURES
from batchrunner.runner.events import HostsParked
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import Sandbox, SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.store.batch_reads import parked_hosts
from batchrunner.store.batches import load_jobs
from batchrunner.store.claims import budget_status
from batchrunner.store.host_breaker import unpark_hosts
from batchrunner.store.reports import finished_jobs
from tests.contract.openapi import judging
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.test_steering import steered
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import now, open_memory_store, simulate
from tests.sweeps import some

HOSTS, JOBS_EACH = 8, 12
MANY, FEW_EACH = 50, 18
DEAD = "site-7.test"
SLOTS = 30
#: Seconds of runs where a claim is about no duration.
SHORT = (10.0, 40.0)
SETTINGS = Settings(concurrency=SLOTS, backoff=timedelta(seconds=4))


def urls(hosts: int = HOSTS, each: int = JOBS_EACH) -> list[str]:
    """Return the pages of all hosts, in turns."""
    return [f"http://site-{n % hosts}.test/{n // hosts}" for n in range(hosts * each)]


def batch_of(
    settings: Settings = SETTINGS,
    script: dict[str, str] | None = None,
    pages: list[str] | None = None,
    **conditions: Any,
) -> CheckedBatch:
    dead = {f"http://{DEAD}/*": "goal_failure"} if script is None else script
    config = SandboxConfig(script=dead, **conditions)
    return CheckedBatch.of(pages or urls(), config, settings, agent=FixtureAgent())


def runs_on(simulated: CheckedBatch, host: str) -> list[SandboxRun]:
    return [run for run in simulated.sandbox.journal.runs if host_of(run.url) == host]


def most_at_once(runs: list[SandboxRun]) -> int:
    """Return how many of these runs were alive at once, at most."""
    alive: Counter[datetime] = Counter()
    for run in runs:
        alive[run.created_at] += 1
        assert run.finished_at is not None
        alive[run.finished_at] -= 1
    count = most = 0
    for at in sorted(alive):
        count += alive[at]
        most = max(most, count)
    return most


@pytest.mark.sweep
def test_a_dead_host_among_fifty_costs_its_window_and_its_probes_and_delays_no_other() -> None:
    async def run() -> None:
        pages = urls(MANY, FEW_EACH)
        simulated, healthy = batch_of(pages=pages), batch_of(script={}, pages=pages)
        assert await simulated.run() is ExitReason.PARKED
        simulated.check_always()
        others = (MANY - 1) * FEW_EACH
        assert simulated.jobs()[JobState.SUCCEEDED] == others
        spent = len(runs_on(simulated, DEAD))
        in_flight = SLOTS // MANY + 1  # when it was parked, with the jobs in turns
        assert PARK_AFTER_FAILURES <= spent <= PARK_AFTER_FAILURES + in_flight + MAX_PROBES
        assert len(simulated.sandbox.journal.runs) == others + spent
        parked = simulated.store.read(parked_hosts, simulated.batch.id)
        assert [(host.host, host.failed_probes) for host in parked] == [(DEAD, MAX_PROBES)]
        assert simulated.jobs()[JobState.AVAILABLE] == parked[0].waiting

        assert await healthy.run() is ExitReason.FINISHED
        ends = [last_end(each, but=DEAD) for each in (simulated, healthy)]
        assert ends[0] <= ends[1] * 1.1, "the dead host delayed the others"

    simulate(run)


def last_end(simulated: CheckedBatch, but: str) -> timedelta:
    runs = [run for run in simulated.sandbox.journal.runs if host_of(run.url) != but]
    return max(run.finished_at for run in runs if run.finished_at) - runs[0].created_at


@pytest.mark.sweep
def test_a_host_that_comes_back_is_used_again_and_no_job_has_paid_for_the_wait() -> None:
    async def run() -> None:
        script = {f"http://{DEAD}/*": "goal_failure"}
        few_slots = replace(SETTINGS, concurrency=10)
        simulated = batch_of(few_slots, script, durations=SHORT)
        assert await steered(simulated, (500, script.clear)) is ExitReason.FINISHED
        simulated.check_end()
        jobs = [
            job
            for job in finished_jobs(simulated.store, simulated.batch.id)
            if host_of(job.url) == DEAD
        ]
        assert len(jobs) == JOBS_EACH
        assert (
            sum(job.state is JobState.SUCCEEDED for job in jobs) >= JOBS_EACH - PARK_AFTER_FAILURES
        )
        waited = [job for job in jobs if job.attempts == 1]
        assert len(waited) >= JOBS_EACH // 2 - 2, "waiting used up attempts"
        shown = [event.hosts for event in simulated.events if isinstance(event, HostsParked)]
        assert [len(hosts) for hosts in shown] == [1, 0]

    simulate(run)


@pytest.mark.sweep
def test_the_next_runner_goes_on_probing_where_the_last_one_gave_up() -> None:
    async def run() -> None:
        script = {f"http://{DEAD}/*": "goal_failure"}
        simulated = batch_of(script=script)
        assert await simulated.run() is ExitReason.PARKED
        script.clear()
        simulated.store.write(unpark_hosts, simulated.batch.id, [])
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()

    simulate(run)


@pytest.mark.sweep
def test_a_service_that_is_throttled_or_slow_parks_no_host() -> None:
    async def run() -> None:
        script = {f"http://{DEAD}/*": "throttled/30"}
        simulated = batch_of(Settings(concurrency=SLOTS, queued_limit=timedelta(hours=9)), script)
        assert await simulated.run() is ExitReason.FINISHED
        assert [event for event in simulated.events if isinstance(event, HostsParked)] == []
        assert simulated.jobs() == {JobState.SUCCEEDED: HOSTS * JOBS_EACH}

    simulate(run)


@pytest.mark.sweep
@pytest.mark.parametrize("bound", some([1, 3], 1))
def test_a_bounded_host_never_gets_more_and_the_others_fill_the_slots(bound: int) -> None:
    async def run() -> None:
        rules = {DEAD: HostRule(concurrency=bound)}
        settings = Settings(concurrency=SLOTS, hosts=rules)
        simulated = CheckedBatch.of(
            [f"http://{DEAD}/{n}" for n in range(8)] + urls(10, 4),
            SandboxConfig(durations=SHORT),
            settings,
            agent=FixtureAgent(),
        )
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        assert most_at_once(runs_on(simulated, DEAD)) == bound
        everywhere = simulated.sandbox.journal.runs
        assert most_at_once(everywhere) == SLOTS, "the bounded host kept slots empty"

    simulate(run)


@pytest.mark.sweep
def test_runs_on_a_spaced_host_lie_apart() -> None:
    async def run() -> None:
        rules = {"*": HostRule(spacing=timedelta(seconds=20))}
        settings = Settings(concurrency=SLOTS, hosts=rules)
        simulated = CheckedBatch.of(
            urls(5, 6), SandboxConfig(durations=(15.0, 60.0)), settings, agent=FixtureAgent()
        )
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        starts: dict[str, list[datetime]] = defaultdict(list)
        for each in simulated.sandbox.journal.runs:
            starts[host_of(each.url)].append(each.created_at)
        for times in starts.values():
            gaps = [later - earlier for earlier, later in pairwise(times)]
            assert min(gaps) >= timedelta(seconds=19.5)
            assert sorted(gaps)[len(gaps) // 2] <= timedelta(seconds=25), "slower than it must be"

    simulate(run)


def dead_before_good(
    dead: dict[str, int], good: dict[str, int], rules: dict[str, HostRule]
) -> CheckedBatch:
    """Return a batch with a budget of 300 steps: jobs of a dead host, then of one that works."""

    def specs(host: str, agent: dict[str, int]) -> list[JobSpec]:
        options = {"agent_config": agent} if agent else {}
        return [
            JobSpec(key=f"{host}/{n}", url=f"http://{host}/{n}", goal="Read", options=options)
            for n in range(60)
        ]

    given = Settings(concurrency=10, budget=Budget(steps=300), hosts=rules)
    jobs = (*specs(DEAD, dead), *specs("good.test", good))
    config = SandboxConfig(script={f"http://{DEAD}/*": "goal_failure"}, durations=(5.0, 20.0))
    store = open_memory_store()
    sandbox = Sandbox(config=config, now=now, agent=FixtureAgent(), middleware=judging)
    loaded = store.write(load_jobs, JobFile(name="batch", settings=given, specs=jobs), now())
    return CheckedBatch(sandbox, store, loaded.batch, loaded.added, config)


@pytest.mark.sweep
def test_dear_jobs_of_a_parked_host_do_not_end_a_batch_that_has_budget_for_others() -> None:
    async def run() -> None:
        spaced = {"good.test": HostRule(spacing=timedelta(seconds=16))}
        simulated = dead_before_good({}, {"max_steps": 5}, spaced)
        assert await simulated.run() is ExitReason.BUDGET_USED_UP
        budget = simulated.store.read(budget_status, simulated.batch.id, now())
        assert budget is not None
        assert budget.room < 5, "there was enough for another run"

    simulate(run)


@pytest.mark.sweep
def test_a_batch_whose_budget_covers_no_job_of_a_working_host_ends_at_once() -> None:
    async def run() -> None:
        simulated, began = dead_before_good({"max_steps": 5}, {}, {}), now()
        assert await simulated.run() is ExitReason.BUDGET_USED_UP
        assert now() - began < timedelta(minutes=10), "it waited for probes of a dead host"

    simulate(run)
