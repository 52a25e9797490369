"""A database that is lost half-way is rebuilt from the API's list; nothing is paid for twice."""

from __future__ import annotations

from functools import partial

import pytest

from batchrunner.model import JobState
from batchrunner.runner.runner import ExitReason
from tests.simulation.recovering import (
    KilledAtRun,
    begun,
    equal_jobs,
    looked_up,
    lost_half_way,
    mixed_urls,
    recover,
    restored_backup,
    runs_by_url,
    runs_of_policy,
    two_copies,
    with_new_database,
)
from tests.simulation.short_batches import run_to_end
from tests.simulator.simulated_batch import ProcessKilled, simulate
from tests.sweeps import some


def test_a_batch_whose_database_is_lost_half_way_costs_what_its_policy_wants() -> None:
    simulate(lost_half_way)


@pytest.mark.sweep
@pytest.mark.parametrize("variants", [{}, {"listed_runs": "short"}])
def test_so_does_a_batch_of_500(variants: dict[str, str]) -> None:
    simulate(partial(lost_half_way, 500, variants=variants))


@pytest.mark.sweep
@pytest.mark.parametrize("runs", [1, 5, 19, 21, 22])
def test_it_does_not_matter_when_the_database_is_lost(runs: int) -> None:
    async def scenario() -> None:
        urls = mixed_urls(20)
        simulated = begun(urls)
        with pytest.raises(ProcessKilled):
            await simulated.run(KilledAtRun(simulated, runs))
        rebuilt = with_new_database(simulated, urls)
        await recover(rebuilt, urls)
        await run_to_end(rebuilt)
        assert runs_by_url(rebuilt) == runs_of_policy(urls)

    simulate(scenario)


@pytest.mark.sweep
def test_recovering_twice_changes_nothing_more() -> None:
    async def scenario() -> None:
        urls = mixed_urls(5)
        simulated = begun(urls)
        await run_to_end(simulated)
        rebuilt = with_new_database(simulated, urls)
        first, second = await recover(rebuilt, urls), await recover(rebuilt, urls)
        assert (first.adopted, first.spare, first.left_alone) == (6, 0, [])
        assert (second.adopted, second.known) == (0, 6)
        rebuilt.check_end()

    simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("saved_at", some([40.0, 1.0, 10.0, 25.0, 60.0, 75.0], 1))
def test_a_backup_that_is_restored_and_recovered_costs_what_the_policy_wants(
    saved_at: float,
) -> None:
    simulate(partial(restored_backup, saved_at))


def test_runs_of_jobs_that_nothing_distinguishes_are_left_out() -> None:
    simulate(equal_jobs)


def test_runs_that_are_alive_or_younger_than_a_day_are_found_by_three_jobs() -> None:
    simulate(looked_up)


@pytest.mark.sweep
@pytest.mark.parametrize("late", some([0.0, 40.0, 90.0], 1))
def test_neither_a_database_nor_its_restored_copy_cancels_runs_of_the_other(late: float) -> None:
    simulate(partial(two_copies, late=late))


@pytest.mark.sweep
def test_runs_of_two_databases_become_attempts_of_one_job_and_what_is_too_much_is_counted() -> None:
    async def scenario() -> None:
        urls = mixed_urls(5)
        simulated = begun(urls)
        await run_to_end(simulated)
        again = with_new_database(simulated, urls)
        await again.run()
        third = with_new_database(again, urls)
        result = await recover(third, urls)
        assert (result.adopted, result.spare) == (6, 5)  # each job succeeded twice
        assert third.jobs() == {JobState.SUCCEEDED: 5}
        assert await third.run() is ExitReason.FINISHED
        assert len(third.sandbox.journal.runs) == 11

    simulate(scenario)
