"""Concurrency by itself, on virtual time: the account's slots are found, and followed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import anyio
import pytest

from batchrunner.model import AUTO, Created, JobState, Settings
from batchrunner.runner.events import ConcurrencyChanged
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.store.batches import find_batch
from batchrunner.store.controls import cancel_jobs, set_concurrency
from batchrunner.store.reports import batch_counts
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.test_steering import steered
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import EPOCH, simulate
from tests.sweeps import some

SETTINGS = Settings(concurrency=AUTO, queued_limit=timedelta(hours=10))


def pages(count: int) -> list[str]:
    return [f"http://site.test/{n}" for n in range(count)]


def batch_of(limit: int, jobs: int, stuck: str = "") -> CheckedBatch:
    script = {stuck: "queued"} if stuck else {}
    config = SandboxConfig(limit=limit, durations=(20, 120), script=script)
    return CheckedBatch.of(pages(jobs), config, SETTINGS, agent=FixtureAgent())


def queued_at(simulated: CheckedBatch, moment: datetime) -> int:
    """Return how many of the batch's runs waited for a slot at a moment."""
    return sum(
        run.created_at <= moment < (run.started_at or run.finished_at or moment)
        for run in ours(simulated)
    )


def ours(simulated: CheckedBatch) -> list[SandboxRun]:
    return [run for run in simulated.sandbox.journal.runs if "site.test" in run.url]


@pytest.mark.sweep
@pytest.mark.parametrize("limit", some([2, 1, 7, 40], 1))
def test_the_accounts_slots_are_found_to_plus_or_minus_one(limit: int) -> None:
    async def run() -> None:
        simulated = batch_of(limit, 15 * limit + 30)
        assert await simulated.run() is ExitReason.FINISHED
        simulated.check_end()
        found = [event for event in simulated.events if isinstance(event, ConcurrencyChanged)]
        slots = [event.slots for event in found if event.found]
        assert limit - 1 <= slots[-1] <= limit + 1
        busy, waits = shares(simulated, limit)
        assert busy > 0.9, f"slots stood empty: {busy:.1%}"
        assert waits < 2 + 0.35 * limit, f"far more was submitted than there are slots: {waits:.1f}"

    simulate(run)


def shares(simulated: CheckedBatch, limit: int) -> tuple[float, float]:
    """Return how busy the slots were and how many runs waited, in the middle of the batch."""
    last = max(run.finished_at for run in ours(simulated) if run.finished_at)
    begins, ends = EPOCH + timedelta(minutes=3), last - timedelta(minutes=3)
    seconds = (ends - begins).total_seconds()
    busy = sum(_overlap(run.started_at, run.finished_at, begins, ends) for run in ours(simulated))
    waits = sum(_overlap(run.created_at, run.started_at, begins, ends) for run in ours(simulated))
    return busy / seconds / limit, waits / seconds


def _overlap(
    since: datetime | None, until: datetime | None, begins: datetime, ends: datetime
) -> float:
    if since is None or until is None:
        return 0.0
    return max((min(until, ends) - max(since, begins)).total_seconds(), 0.0)


def others(simulated: CheckedBatch, count: int) -> Callable[[], object]:
    """Return what makes another program take so many slots, and keep them."""

    async def take() -> None:
        simulated.config.script["http://other.test/*"] = "stuck"  # type: ignore[index]
        runs = [{"url": f"http://other.test/{n}", "goal": "Stay"} for n in range(count)]
        async with TinyFishClient(
            "http://127.0.0.1", "key", transport=simulated.sandbox.transport()
        ) as api:
            assert isinstance(await api.create(runs, None), Created)

    return take


@pytest.mark.sweep
def test_the_bound_follows_when_another_program_takes_four_of_seven_slots() -> None:
    async def run() -> None:
        simulated = batch_of(7, 250)
        at_the_time: list[int] = []

        async def meanwhile() -> None:
            await anyio.sleep_until(600)
            at_the_time.append(simulated.store.read(find_batch, "batch").settings.concurrency)  # type: ignore[union-attr]
            await others(simulated, 4)()  # type: ignore[misc]

        endings: list[ExitReason] = []

        async def work() -> None:
            endings.append(await simulated.run())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(meanwhile)
        assert endings == [ExitReason.FINISHED]
        slots = [event.slots for event in simulated.events if isinstance(event, ConcurrencyChanged)]
        assert 7 in slots
        assert 2 <= slots[-1] <= 4
        late = EPOCH + timedelta(seconds=1200)
        assert queued_at(simulated, late) <= 3
        assert simulated.jobs() == {JobState.SUCCEEDED: 250}

    simulate(run)


@pytest.mark.sweep
def test_a_run_that_is_stuck_in_the_queue_is_not_taken_for_a_full_account() -> None:
    async def run() -> None:
        simulated = batch_of(20, 160, stuck="http://site.test/2")
        await steered(
            simulated, (3000, lambda: simulated.store.write(cancel_jobs, 1, ["job-2"], EPOCH))
        )
        slots = [event.slots for event in simulated.events if isinstance(event, ConcurrencyChanged)]
        assert max(slots) >= 19

    simulate(run)


@pytest.mark.sweep
def test_what_the_user_sets_goes_before_what_was_learned_and_auto_goes_back() -> None:
    async def run() -> None:
        simulated = batch_of(10, 200)
        alive: list[int] = []
        note = lambda: alive.append(simulated.store.read(batch_counts, 1).jobs[JobState.RUNNING])  # noqa: E731
        await steered(
            simulated,
            (200, lambda: simulated.store.write(set_concurrency, 1, 2)),
            (500, note),
            (501, lambda: simulated.store.write(set_concurrency, 1, AUTO)),
            (700, note),
        )
        assert alive[0] == 2
        assert alive[1] >= 10

    simulate(run)
