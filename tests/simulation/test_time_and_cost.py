"""Where the hours and credits of a batch went, on virtual time: the parts are the API's bill."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import anyio
import pytest

from batchrunner.model import JobState, Settings
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import CostCause, Hold
from batchrunner.runner.events import CreditsBack, OutOfCredits
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.selftest.invariants import StoreSnapshot, hidden_runs
from batchrunner.store.batch_reads import current_hold
from batchrunner.store.reports import batch_counts
from batchrunner.store.time_and_cost import batch_time_and_cost
from tests.contract.openapi import judging
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.fuzz import FuzzedBatch
from tests.simulator.scenario import draw_scenario
from tests.simulator.simulated_batch import EPOCH, now, pages, simulate
from tests.sweeps import seeds, some

QUICK = Settings(concurrency=10, backoff=timedelta(seconds=4))


def check_parts(simulated: CheckedBatch) -> None:
    """Check that all parts add up to the whole, at whatever moment."""
    found, at = batch_time_and_cost(simulated.store, simulated.batch.id, now()), now()
    assert found.whole.steps == simulated.store.read(batch_counts, simulated.batch.id).steps
    assert all(span >= timedelta(0) for span in found.buckets.values())
    lives = [
        max(min(job.finished_at or at, at) - job.loaded_at, timedelta(0))
        for job in StoreSnapshot.of(simulated.store, simulated.batch.id).jobs
    ]
    assert found.jobs == len(lives)
    assert found.time == sum(lives, timedelta(0)), "an hour was counted twice, or left out"


def check_bill(simulated: CheckedBatch) -> None:
    """Check that the parts are what the sandbox has charged for all that could be known."""
    found, runs = (
        batch_time_and_cost(simulated.store, simulated.batch.id, now()),
        simulated.sandbox.journal.runs,
    )
    known = {
        attempt.run_id for attempt in StoreSnapshot.of(simulated.store, simulated.batch.id).attempts
    }
    unseen = hidden_runs(runs, simulated.config.late, now()) - known
    bill = sum((run.charge for run in runs if run.run_id not in unseen), Decimal(0))
    assert found.whole.steps * simulated.config.price == bill
    assert CostCause.IN_FLIGHT not in found.causes


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(seeds(3), 1))
def test_after_a_batch_with_faults_the_parts_are_the_apis_bill_to_the_cent(seed: int) -> None:
    """Such a batch has kills, lost answers, late runs, suspended machines and clock changes."""
    fuzzed = FuzzedBatch(draw_scenario(seed, 30), judging)

    async def scenario() -> None:
        played = await fuzzed.run()
        check_parts(fuzzed.simulated)
        if played.ended:
            check_bill(fuzzed.simulated)

    simulate(scenario)


LOST_ANSWERS = {"error_after": 0.2, "dropped_after": 0.2, "unreachable": 0.1, "goal_failure": 0.1}


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(seeds(2), 1))
def test_runs_that_the_api_lists_when_their_create_was_given_up_are_in_the_bill(seed: int) -> None:
    async def scenario() -> None:
        config = SandboxConfig(seed=seed, rates=LOST_ANSWERS, late=90, price=Decimal("0.0155"))
        late = CheckedBatch.of(pages(30), config, QUICK, agent=FixtureAgent())
        late.waits = False
        assert await late.run() is ExitReason.FINISHED
        late.check_end()
        check_parts(late)
        check_bill(late)

    simulate(scenario)


#: Credits are gone at two in the morning and back at four.
GONE, BACK = timedelta(hours=4), timedelta(hours=6)
#: How soon jobs are submitted again when credits are back: as often as it is tried.
SOON = timedelta(minutes=2)
#: Steps that 220 jobs take until about two, of the 1,100 that they take in all.
ENOUGH = 965


def short_of_credits() -> CheckedBatch:
    price = Decimal("0.016")
    deposits = ((BACK.total_seconds(), Decimal(1000)),)
    config = SandboxConfig(
        durations=(600, 900), price=price, credits=price * ENOUGH, deposits=deposits
    )
    return CheckedBatch.of(pages(220), config, QUICK, agent=FixtureAgent())


@pytest.mark.sweep
def test_credits_that_are_gone_at_two_and_back_at_four_cost_two_hours_and_nothing_else() -> None:
    glances: list[Hold | None] = []

    async def scenario() -> None:
        broke = short_of_credits()

        async def glance() -> None:
            for at in (timedelta(hours=1), timedelta(hours=5), timedelta(hours=6, minutes=20)):
                await anyio.sleep_until(at.total_seconds())
                glances.append(broke.store.read(current_hold, broke.batch.id, now()))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(glance)
            assert await broke.run() is ExitReason.FINISHED
        broke.check_end()
        assert broke.jobs() == {JobState.SUCCEEDED: 220}, "a job failed for lack of credits"
        requests = broke.sandbox.journal.requests
        dry = [request.at - EPOCH for request in requests if request.fault == "no_credits"]
        assert abs(dry[0] - GONE) < timedelta(minutes=20)
        assert BACK - SOON <= dry[-1] < BACK
        paid = [request.at - EPOCH for request in requests if request.status == 200]
        again = min(at for at in paid if at >= BACK)
        assert again - BACK <= SOON, "it did not go on by itself"
        assert len([at for at in dry if at > dry[0] + SOON]) <= (BACK - dry[0]) / SOON * 1.2
        check_glances(glances, dry[0])
        shown = [type(e) for e in broke.events if isinstance(e, OutOfCredits | CreditsBack)]
        assert shown[-1] is CreditsBack
        check_parts(broke)
        check_bill(broke)
        stages = batch_time_and_cost(broke.store, broke.batch.id, now()).buckets
        assert stages[TimeBucket.CREDITS] > 20 * (BACK - dry[0]) / 2

    simulate(scenario)


def check_glances(glances: list[Hold | None], dry: timedelta) -> None:
    """Check what another terminal shows before, in the middle, and when credits are back."""
    before, middle, after = glances
    assert (before, after) == (None, None)
    assert middle is not None
    assert timedelta(0) <= middle.since - (EPOCH + dry) < SOON
    assert middle.reason
    at = EPOCH + timedelta(hours=5)
    assert at - SOON <= middle.check_at <= at + SOON
