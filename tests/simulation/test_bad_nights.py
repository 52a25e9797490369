"""Nights on virtual time: one whose data goes bad is stopped early, and a clean one is not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, select

from batchrunner.model import JobState
from batchrunner.model.part import Part
from batchrunner.model.quality import QualityBounds
from batchrunner.policy.quality_watch import in_order
from batchrunner.policy.watched_results import WatchedResult, fields_of
from batchrunner.runner.events import BadDataFound
from batchrunner.runner.runner import ExitReason
from batchrunner.store.batches import find_batch
from batchrunner.store.controls import resume_batch
from batchrunner.store.edits import rerun_jobs
from batchrunner.store.part import choose_part
from batchrunner.store.quality_watch import newest_results, stop_for_quality
from batchrunner.store.schema import jobs
from tests.simulation.bad_nights import (
    STOP,
    TWO,
    Night,
    NightAgent,
    Spent,
    bad_night,
    spent_after,
)
from tests.simulation.checked_batch import CheckedBatch
from tests.simulation.planting import Bug, Planter, check_caught, each_of
from tests.simulation.short_batches import at_once
from tests.simulator.simulated_batch import KillSwitch, ProcessKilled, now, simulate

#: The largest share of the remaining cost that is spent after the data went bad.
TENTH = 0.1
SMALL = Night(jobs=120, concurrency=6, hosts=3, done_at_two=0.3, durations=(4, 8))
#: Jobs of so small a night that begin before it is sure.
FEW = 24


def noticed(simulated: CheckedBatch) -> list[BadDataFound]:
    return [event for event in simulated.events if isinstance(event, BadDataFound)]


def check_stopped(simulated: CheckedBatch, spent: Spent) -> None:
    assert spent.reason is ExitReason.BAD_QUALITY, spent
    assert spent.started_later < max(TENTH * spent.unstarted, FEW), spent
    assert simulated.jobs().get(JobState.RUNNING) is None, "runs in flight were not collected"
    found = simulated.store.read(find_batch, "batch")
    assert found is not None
    assert found.quality_stop is not None
    assert any(event.stopped for event in noticed(simulated))


async def stopped_and_not_begun_again() -> None:
    """Run a night that goes bad; start it again; resume it once its data is good again."""
    agent = NightAgent()
    simulated, spent = await bad_night(SMALL, agent)
    check_stopped(simulated, spent)
    runs = len(simulated.sandbox.journal.runs)
    assert await simulated.run() is ExitReason.BAD_QUALITY
    assert len(simulated.sandbox.journal.runs) == runs, "the next start spent something"

    assert simulated.store.write(resume_batch, simulated.batch.id, now())
    agent.bad_at = None
    assert await simulated.run() is ExitReason.FINISHED, "it was stopped for old results"
    simulated.check_end()


@pytest.mark.sweep
def test_a_night_that_goes_bad_at_two_is_stopped_until_it_is_resumed() -> None:
    simulate(stopped_and_not_begun_again)


async def sampled_first() -> None:
    """Run jobs from all over the file first; then the data of the others goes bad."""
    night = replace(SMALL, jobs=120)
    agent = NightAgent(seed=2)
    simulated = night.batch(agent)
    simulated.store.write(choose_part, simulated.batch.id, Part(jobs=60, spread=True))
    assert await simulated.run(part=True) is ExitReason.FINISHED
    agent.bad_at = began = now()
    spent = spent_after(simulated, began, await simulated.run())
    assert spent.reason is ExitReason.BAD_QUALITY
    assert spent.started_later < 25, spent


@pytest.mark.sweep
def test_results_are_compared_in_the_order_in_which_runs_finished() -> None:
    simulate(sampled_first)


async def asked_anew() -> None:
    """Ask anew for what went bad at the end of a batch, which was only reported."""
    night = Night(
        jobs=60,
        concurrency=2,
        hosts=3,
        done_at_two=0.7,
        durations=(15, 40),
        quality=QualityBounds(),
    )
    agent = NightAgent(seed=3)
    simulated, spent = await bad_night(night, agent)
    assert spent.reason is ExitReason.FINISHED
    assert [event.stopped for event in noticed(simulated)] == [False], "reported once, no stop"
    agent.bad_at = None
    simulated.events.clear()
    bad = [run.url for run in simulated.sandbox.journal.runs if run.finished_at >= TWO]
    keys = [f"job-{night.urls.index(url)}" for url in bad]
    simulated.store.write(rerun_jobs, simulated.batch.id, now(), keys=keys)
    settings = replace(simulated.batch.settings, quality=STOP)
    simulated.batch = replace(simulated.batch, settings=settings)
    assert await simulated.run() is ExitReason.FINISHED
    assert not noticed(simulated), "results that were asked anew count"


@pytest.mark.sweep
def test_results_that_were_asked_anew_do_not_count() -> None:
    simulate(asked_anew)


@pytest.mark.sweep
@pytest.mark.parametrize("steps", [1, 5])
def test_a_process_that_is_killed_while_it_stops_a_batch_is_followed_by_one_that_stops_it(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_switch = KillSwitch()

    def killed(tx: Connection, *args: Any) -> bool:
        if not kill_switch.dead:
            kill_switch.kill_at = kill_switch.steps + steps
        return stop_for_quality(tx, *args)

    async def run() -> None:
        agent = NightAgent(bad_at=TWO)
        await SMALL.wait_for_start()
        simulated = SMALL.batch(agent)
        with pytest.raises(ProcessKilled):
            await simulated.run(kill_switch)
        found = simulated.store.read(find_batch, "batch")
        assert found is not None
        assert found.quality_stop is None
        spent = spent_after(simulated, TWO, await simulated.run())
        check_stopped(simulated, spent)

    Planter(monkeypatch).replace(stop_for_quality, killed)
    simulate(run)


@pytest.mark.sweep
def test_two_processes_stop_a_batch_together() -> None:
    async def run() -> None:
        await SMALL.wait_for_start()
        simulated = replace(SMALL, concurrency=6).batch(NightAgent(bad_at=TWO, seed=5))
        endings: list[ExitReason] = []

        async def work() -> None:
            endings.append(await simulated.run(exited_owners=simulated.exited))

        await at_once(work, work)
        assert endings == [ExitReason.BAD_QUALITY] * 2
        check_stopped(simulated, spent_after(simulated, TWO, endings[0]))

    simulate(run)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("seed", "field", "night"),
    [
        (1, "price", Night(jobs=500)),
        (2, "stock", Night(jobs=500, hosts=1, done_at_two=0.3)),
        (3, "name", Night(jobs=500, hosts=250)),
        (4, "price", Night(jobs=500, hosts=3, done_at_two=0.1)),
        (5, "price", Night(jobs=500, done_at_two=0.7)),
        (6, "price", Night(jobs=1000, hosts=100, done_at_two=0.2, sorted_by_host=True)),
        (7, "stock", Night(jobs=1000, hosts=20, concurrency=100, done_at_two=0.3)),
        (8, "price", Night(jobs=2000, hosts=20, concurrency=100)),
        (9, "price", Night(jobs=500, durations=(20, 900))),
    ],
)
def test_less_than_a_tenth_is_spent_after_two(seed: int, field: str, night: Night) -> None:
    simulated, spent = simulate(partial(bad_night, night, NightAgent(seed=seed, bad_field=field)))
    check_stopped(simulated, spent)
    assert spent.share < TENTH, f"{spent.share:.1%} of what was left was spent: {spent}"


async def clean(night: Night, agent: NightAgent) -> None:
    """Run a night in which nothing goes bad for all hosts."""
    await night.wait_for_start()
    simulated = night.batch(agent)
    reason = await simulated.run()
    parks = ExitReason.PARKED if night.script else ExitReason.FINISHED  # hosts that always fail
    assert reason in (ExitReason.FINISHED, parks)
    assert not any(event.stopped for event in noticed(simulated))


FAILING = {"http://shop-1.test/*": "goal_failure", "http://shop-2.test/*": "blocked"}
CLEAN = [
    (1, Night(jobs=300)),
    (2, Night(jobs=500, hosts=1)),
    (3, Night(jobs=500, hosts=10, sorted_by_host=True)),
    (4, Night(jobs=500, hosts=10, script=FAILING)),
    (5, Night(jobs=500, hosts=10, script=FAILING, sorted_by_host=True)),
    (6, Night(jobs=1000, hosts=50, concurrency=100)),
]


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("seed", "night"),
    CLEAN,
)
def test_a_clean_night_is_not_stopped(seed: int, night: Night) -> None:
    simulate(partial(clean, night, NightAgent(seed=seed)))


@pytest.mark.sweep
def test_one_bad_host_among_many_is_reported_and_stops_nothing() -> None:
    agent = NightAgent(seed=7, bad_hosts=frozenset({"shop-3.test"}), bad_at=TWO)
    simulate(partial(clean, Night(jobs=500, hosts=10), agent))


# ---- planted bugs ----


def stop_is_not_kept(planter: Planter) -> None:
    planter.replace(stop_for_quality, lambda *_: True)


def results_are_in_the_order_of_the_file(planter: Planter) -> None:
    def by_position(results: Collection[WatchedResult]) -> list[WatchedResult]:
        return sorted(results, key=lambda each: each.job_id)

    planter.replace(in_order, by_position)


def superseded_results_count(planter: Planter) -> None:
    real = newest_results

    def with_superseded(tx: Connection, *args: Any) -> list[WatchedResult]:
        found, bad = real(tx, *args), fields_of('{"name": "Thing", "price": null}')
        old = tx.execute(select(jobs.c.id).where(jobs.c.superseded)).scalars().all()
        return found + [
            replace(found[0], job_id=job_id, attempt_id=-job_id, fields=bad, finished_at=now())
            for job_id in old
        ]

    planter.replace(newest_results, with_superseded)


@pytest.mark.sweep
@each_of(
    [
        Bug(stop_is_not_kept, stopped_and_not_begun_again, "finished"),
        Bug(results_are_in_the_order_of_the_file, sampled_first, "finished"),
        Bug(superseded_results_count, asked_anew, "count"),
    ]
)
def test_planted_bugs_are_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    check_caught(bug, monkeypatch)
