"""Batches that are steered while they run, on virtual time: paused, bounded anew, added to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import anyio
import pytest

from batchrunner.model import FailureCategory, JobSpec, JobState, Settings
from batchrunner.policy.schedule import Window
from batchrunner.runner.events import BatchPaused, BatchResumed, CancelledForDeadline
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.store.controls import cancel_jobs, pause_batch, resume_batch, set_concurrency
from batchrunner.store.failure_reads import failed_attempts
from batchrunner.store.reports import batch_counts
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.machine_faults import (
    MachineFaults,
    SimulatedMachine,
    SimulatedProcess,
    TimeSpan,
)
from tests.simulator.simulated_batch import EPOCH, KillSwitch, ProcessKilled, now, pages, simulate
from tests.sweeps import some

QUICK = Settings(concurrency=10, backoff=timedelta(seconds=4))
#: Seconds of runs where a claim is about no duration.
SHORT = (15.0, 90.0)
#: How soon a runner heeds what is said elsewhere, in seconds; and what the answer takes.
SOON = 2.5


async def steered(simulated: CheckedBatch, *acts: tuple[float, Callable[[], object]]) -> ExitReason:
    """Run a batch, and do something after this many seconds each."""
    endings: list[ExitReason] = []

    async def run() -> None:
        endings.append(await simulated.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for seconds, act in acts:
            await anyio.sleep_until(seconds)
            act()
    return endings[0]


def created_between(simulated: CheckedBatch, begins: float, ends: float) -> int:
    """Count the creates that the sandbox got in a stretch of seconds."""
    since, until = EPOCH + timedelta(seconds=begins), EPOCH + timedelta(seconds=ends)
    return sum(since <= request.at < until for request in simulated.sandbox.journal.requests)


def alive_at(simulated: CheckedBatch, moment: datetime) -> int:
    runs = simulated.sandbox.journal.runs
    return sum(r.created_at <= moment < (r.finished_at or now()) for r in runs)


@pytest.mark.sweep
def test_a_paused_batch_submits_nothing_and_its_runner_stays_until_it_is_resumed() -> None:
    async def scenario() -> None:
        long = CheckedBatch.of(pages(24), SandboxConfig(durations=SHORT), QUICK)
        ending = await steered(
            long,
            (40, lambda: long.store.write(pause_batch, long.batch.id, "lunch", now())),
            (400, lambda: long.store.write(resume_batch, long.batch.id, now())),
        )
        assert ending is ExitReason.FINISHED
        long.check_end()
        assert created_between(long, 42, 400) == 0
        assert created_between(long, 400, 400 + SOON) > 0
        assert alive_at(long, EPOCH + timedelta(seconds=41)) > 0, "nothing was in flight"
        assert alive_at(long, EPOCH + timedelta(seconds=399)) == 0
        shown = [type(e) for e in long.events if isinstance(e, BatchPaused | BatchResumed)]
        assert shown == [BatchPaused, BatchResumed]
        assert long.jobs() == {JobState.SUCCEEDED: 24}

    simulate(scenario)


@pytest.mark.sweep
def test_what_was_in_flight_at_the_pause_is_collected_during_it() -> None:
    async def scenario() -> None:
        long = CheckedBatch.of(pages(16), SandboxConfig(durations=SHORT), QUICK)
        counts: list[int] = []
        done = lambda: counts.append(long.store.read(batch_counts, long.batch.id).done)  # noqa: E731
        await steered(
            long,
            (5, lambda: long.store.write(pause_batch, long.batch.id, None, now())),
            (200, done),
            (201, lambda: long.store.write(resume_batch, long.batch.id, now())),
        )
        assert counts == [10]
        long.check_end()

    simulate(scenario)


@pytest.mark.sweep
def test_a_paused_batch_can_be_started_and_waits() -> None:
    async def scenario() -> None:
        still = CheckedBatch.of(pages(5), SandboxConfig(durations=SHORT), QUICK)
        still.store.write(pause_batch, still.batch.id, "not yet", now())
        ending = await steered(
            still, (120, lambda: still.store.write(resume_batch, still.batch.id, now()))
        )
        assert ending is ExitReason.FINISHED
        assert created_between(still, 0, 120) == 0
        assert created_between(still, 120, 120 + SOON) == 1
        still.check_end()

    simulate(scenario)


@pytest.mark.sweep
def test_a_create_that_the_api_held_back_is_not_sent_into_a_pause() -> None:
    async def scenario() -> None:
        # The first create is throttled for a minute; others that were claimed with it wait.
        schemas = [
            {"type": "object", "properties": {f"p{n}": {"type": "string"}}} for n in "abcdef"
        ]
        specs = tuple(
            JobSpec(
                key=f"job-{n}",
                url=f"http://faults.test/throttled/{n}",
                goal="Read it",
                options={"output_schema": schema},
            )
            for n, schema in enumerate(schemas)
        )
        held = CheckedBatch.of([], SandboxConfig(retry_after=60), QUICK)
        held.add(specs)
        await steered(
            held,
            (10, lambda: held.store.write(pause_batch, held.batch.id, None, now())),
            (200, lambda: held.store.write(resume_batch, held.batch.id, now())),
        )
        assert created_between(held, 12, 200) == 0
        held.check_end()
        withdrawn = held.store.read(batch_counts, held.batch.id).retried
        assert withdrawn.get(FailureCategory.UNREACHABLE, 0) > 0, "none waited: this proves nothing"

    simulate(scenario)


@pytest.mark.sweep
def test_a_lower_bound_takes_effect_as_runs_end_and_a_higher_one_within_two_seconds() -> None:
    async def scenario() -> None:
        bounded = CheckedBatch.of(
            pages(150), SandboxConfig(durations=(20, 60)), QUICK, agent=FixtureAgent()
        )
        bounded.batch = replace(bounded.batch, settings=replace(QUICK, concurrency=25))
        await steered(
            bounded,
            (100, lambda: bounded.store.write(set_concurrency, bounded.batch.id, 3)),
            (300, lambda: bounded.store.write(set_concurrency, bounded.batch.id, 25)),
        )
        bounded.check_end()
        seconds = lambda at: EPOCH + timedelta(seconds=at)  # noqa: E731
        assert alive_at(bounded, seconds(99)) > 7
        assert {alive_at(bounded, seconds(at)) <= 3 for at in range(165, 300)} == {True}
        assert alive_at(bounded, seconds(300 + SOON)) > 20

    simulate(scenario)


def test_jobs_that_are_added_while_a_runner_works_are_run_within_two_seconds() -> None:
    async def scenario() -> None:
        grown = CheckedBatch.of(pages(2), SandboxConfig(durations=(60, 60)), QUICK)
        more = tuple(
            JobSpec(key=f"more-{n}", url=url, goal="Read the name and the price")
            for n, url in enumerate(pages(4))
        )

        def load() -> None:
            grown.add(more)

        await steered(grown, (20, load))
        grown.check_end()
        assert grown.jobs() == {JobState.SUCCEEDED: 6}
        assert created_between(grown, 20, 20 + SOON) == 1

    simulate(scenario)


# ---- crash points ----

SMALL = [*pages(4), "http://faults.test/dropped_after/1", "http://faults.test/system_failure/1"]


#: When a pause ends, in seconds.
RESUMED = 100


async def dies_while_paused(fuse: int) -> bool:
    """Kill a runner at a step in a pause, start another in it; whether the kill came."""
    simulated = CheckedBatch.of(
        SMALL,
        SandboxConfig(durations=(3, 9)),
        Settings(concurrency=3, backoff=timedelta(seconds=2)),
        agent=FixtureAgent(),
    )
    simulated.waits = False
    kill_switch = KillSwitch()

    async def pause() -> None:
        await anyio.sleep_until(4)
        simulated.store.write(pause_batch, simulated.batch.id, "wait", now())
        kill_switch.kill_at = kill_switch.steps + fuse
        await anyio.sleep_until(RESUMED)
        simulated.store.write(resume_batch, simulated.batch.id, now())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pause)
        try:
            await simulated.run(kill_switch)
        except ProcessKilled:
            simulated.check_always()
            await simulated.run()
    assert created_between(simulated, 6, RESUMED) == 0
    simulated.check_end()
    assert simulated.jobs() == {JobState.SUCCEEDED: len(SMALL)}
    return kill_switch.dead and now() > EPOCH + timedelta(seconds=RESUMED)


def each(steps: range, dies: Callable[[int], Awaitable[bool]]) -> int:
    """Count the kills that came."""
    return sum(simulate(lambda step=step: dies(step)) for step in steps)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("steps", "least"), [(50, 2), pytest.param(13, 8, marks=pytest.mark.sweep)]
)
def test_a_runner_that_dies_in_a_pause_loses_nothing_and_submits_nothing(
    steps: int, least: int
) -> None:
    assert each(range(1, 150, steps), dies_while_paused) >= least


# ---- a deadline ----


def window(opens: float | None, closes: float | None) -> Window:
    """Return a window in seconds since the batch began."""
    begins, ends = (at if at is None else EPOCH + timedelta(seconds=at) for at in (opens, closes))
    return Window(opens=begins, closes=ends)


def check_deadline(simulated: CheckedBatch, closes: float) -> None:
    """Check what is promised of a deadline: nothing in flight, nothing lost, nothing counted."""
    simulated.check_always()
    deadline = EPOCH + timedelta(seconds=closes)
    runs = simulated.sandbox.journal.runs
    assert all(run.finished_at and run.finished_at <= deadline for run in runs)
    assert now() <= deadline
    assert simulated.store.read(batch_counts, simulated.batch.id).jobs[JobState.RUNNING] == 0


@pytest.mark.sweep
def test_a_batch_ends_in_time_and_the_next_run_continues_it() -> None:
    async def scenario() -> None:
        long = CheckedBatch.of(pages(300), SandboxConfig(seed=5), QUICK)
        assert await long.run(window=window(None, 1800)) is ExitReason.OUT_OF_TIME
        check_deadline(long, 1800)
        runs, done = len(long.sandbox.journal.runs), long.jobs()[JobState.SUCCEEDED]
        assert runs - done <= 2, "nearly all that was paid for had time to land"
        assert done > 30
        late = [request.at for request in long.sandbox.journal.requests]
        assert max(late) > EPOCH + timedelta(seconds=1100), "it did not stop far too early"
        await anyio.sleep_until(80_000)
        assert await long.run(window=window(86_400, None)) is ExitReason.FINISHED
        assert created_between(long, 1800, 86_400) == 0
        assert created_between(long, 86_400, 86_400 + SOON) == 1
        long.check_end()

    simulate(scenario)


@pytest.mark.sweep
def test_what_still_runs_is_cancelled_accounted_and_available_again_uncounted() -> None:
    async def scenario() -> None:
        # Nobody can know from 20 short ones that the others are long.
        urls = [*pages(20), *(f"http://faults.test/stuck?{n}" for n in range(5))]
        cut = CheckedBatch.of(urls, SandboxConfig(durations=(10, 20)), QUICK)
        assert await cut.run(window=window(None, 900)) is ExitReason.OUT_OF_TIME
        check_deadline(cut, 900)
        assert cut.jobs() == {JobState.SUCCEEDED: 20, JobState.AVAILABLE: 5}
        counts = cut.store.read(batch_counts, cut.batch.id)
        assert counts.retried == {FailureCategory.TIMED_OUT: 5}
        assert counts.steps == sum(run.steps for run in cut.sandbox.journal.runs)
        again = cut.store.read(failed_attempts, cut.batch.id, final=False, most=9)
        assert [(each.counted, "deadline" in each.message) for each in again] == [(False, True)] * 5
        assert [e.runs for e in cut.events if isinstance(e, CancelledForDeadline)] == [5]

    simulate(scenario)


@pytest.mark.sweep
def test_what_the_user_cancels_is_not_brought_back_by_the_deadline() -> None:
    async def scenario() -> None:
        stuck = CheckedBatch.of(
            [f"http://faults.test/stuck?{n}" for n in range(4)], SandboxConfig(), QUICK
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: stuck.run(window=window(None, 900)))
            await anyio.sleep_until(871)
            stuck.store.write(cancel_jobs, stuck.batch.id, ["job-0"], now())
        check_deadline(stuck, 900)
        assert stuck.jobs() == {JobState.AVAILABLE: 3, JobState.CANCELLED: 1}

    simulate(scenario)


def test_too_little_time_submits_nothing() -> None:
    async def scenario() -> None:
        short = CheckedBatch.of(pages(5), SandboxConfig(), QUICK)
        assert await short.run(window=window(None, 100)) is ExitReason.OUT_OF_TIME
        assert (short.creates, now()) == (0, EPOCH)

    simulate(scenario)


@pytest.mark.sweep
def test_a_runner_that_waits_for_its_beginning_collects_what_is_in_flight() -> None:
    async def scenario() -> None:
        left = CheckedBatch.of(pages(15), SandboxConfig(durations=(30.0, 90.0)), QUICK)
        with anyio.move_on_after(20):
            await left.run()
        assert left.jobs()[JobState.RUNNING] == 10
        counts: list[int] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: left.run(window=window(500, None)))
            await anyio.sleep_until(499)
            counts.append(left.store.read(batch_counts, left.batch.id).done)
        assert counts == [10]
        assert created_between(left, 20, 500) == 0
        left.check_end()

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("awake", some([1000.0, 4000.0], 1))
def test_a_machine_that_slept_towards_or_over_its_deadline_holds_to_it(awake: float) -> None:
    async def scenario() -> None:
        # Few slots: what is promised of the time does not depend on how much is done in it.
        slept = CheckedBatch.of(pages(60), SandboxConfig(), replace(QUICK, concurrency=3))
        machine_faults = MachineFaults(sleeps=[TimeSpan(600, awake)])
        machine = SimulatedMachine(slept.store, machine_faults, 0, Counter())
        process = SimulatedProcess(machine=machine)
        clocks = {"now": machine.wall, "monotonic": machine.monotonic}
        slept.one_clock = False
        ending = await slept.run(process, window=window(None, 1800), **clocks)
        assert ending is ExitReason.OUT_OF_TIME
        slept.check_always()
        assert all(run.finished_at for run in slept.sandbox.journal.runs)
        assert created_between(slept, 600, awake) == 0
        assert (created_between(slept, awake, 9999) > 0) == (awake < 1800)
        if awake < 1800:
            check_deadline(slept, 1800)

    simulate(scenario)


#: A deadline, in seconds.
CLOSES = 160


async def dies_at_the_deadline(fuse: int) -> bool:
    """Kill a runner at a step near its deadline; whether the kill came."""
    urls = [*SMALL, "http://faults.test/stuck?1", "http://faults.test/stuck?2"]
    settings = Settings(concurrency=4, max_attempts=2, backoff=timedelta(seconds=2))
    simulated = CheckedBatch.of(
        urls, SandboxConfig(durations=(3, 9)), settings, agent=FixtureAgent()
    )
    simulated.waits = False
    kill_switch = KillSwitch()

    async def kill() -> None:
        await anyio.sleep_until(CLOSES - 35)
        kill_switch.kill_at = kill_switch.steps + fuse

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        try:
            await simulated.run(kill_switch, window=window(None, CLOSES))
        except ProcessKilled:
            simulated.check_always()
            await simulated.run(window=window(None, CLOSES))
        tasks.cancel_scope.cancel()
    simulated.check_always()
    assert simulated.jobs() == {JobState.SUCCEEDED: len(SMALL), JobState.AVAILABLE: 2}
    ended = simulated.store.read(failed_attempts, simulated.batch.id, final=False, most=99)
    assert not any(each.counted for each in ended if each.category is FailureCategory.TIMED_OUT)
    assert all(run.status.is_final for run in simulated.sandbox.journal.runs)
    return kill_switch.dead


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("steps", "least"), [(42, 2), pytest.param(14, 6, marks=pytest.mark.sweep)]
)
def test_a_runner_that_dies_at_its_deadline_leaves_nothing_alive_and_counts_nothing(
    steps: int, least: int
) -> None:
    assert each(range(1, 100, steps), dies_at_the_deadline) >= least
