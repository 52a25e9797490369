"""Budgets on virtual time: no spend above them, whatever fails, and a bill that adds up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrunner.api_facts.limits import DEFAULT_STEP_LIMIT
from batchrunner.model import Budget, BudgetStatus, JobState, Settings, Wallet
from batchrunner.policy import run_decision
from batchrunner.runner.runner import ExitReason
from batchrunner.sandbox import SandboxConfig
from batchrunner.sandbox.journal import SandboxRun
from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.selftest import invariants
from batchrunner.selftest.invariants import StoreSnapshot
from batchrunner.store import budget, job_starts
from batchrunner.store.budget import set_budget, set_step_price
from batchrunner.store.claims import budget_status
from batchrunner.store.controls import pause_batch, resume_batch
from batchrunner.store.reports import batch_counts
from batchrunner.tinyfish.client import TinyFishClient
from tests.simulation.checked_batch import CheckedBatch
from tests.simulator.fixture_agent import FixtureAgent
from tests.simulator.simulated_batch import EPOCH, KillSwitch, ProcessKilled, now, pages, simulate
from tests.sweeps import examples, seeds, some

RATES = {
    "system_failure": 0.1,
    "goal_failure": 0.05,
    "agent_failure": 0.03,
    "lost": 0.02,
    "throttled": 0.05,
    "unavailable": 0.05,
    "error_before": 0.05,
    "error_after": 0.1,
    "dropped_before": 0.05,
    "dropped_after": 0.1,
    "unreachable": 0.1,
}
#: No run of the sandbox takes more steps than this.
MOST = 12
BOUNDED = {"agent_config": {"max_steps": MOST}}
JOBS = 30
#: How long the cost of an absent create is reserved here: far longer than any run is late.
RESERVED_FOR = timedelta(minutes=2)
QUICK = Settings(concurrency=10, backoff=timedelta(seconds=4))
#: Near its end a budget has room for few runs at a time: short runs keep a batch short.
SHORT = (8.0, 30.0)
#: Steps of a process among which it is killed; every batch has more.
KILL_STEPS = 600


@pytest.fixture(autouse=True, scope="module")
def short_reservations() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "UNCLEAR_AFTER", RESERVED_FOR)
        for module in (run_decision, invariants):  # short runs are polled each second
            patch.setattr(module, "LOST_AFTER", RESERVED_FOR)
        yield


def faulty(seed: int, **config: Any) -> SandboxConfig:
    """Return a config in which everything fails now and then."""
    return SandboxConfig(seed=seed, rates=RATES, durations=SHORT, **config)


def spender(budget: int, config: SandboxConfig, jobs: int = JOBS, **options: Any) -> CheckedBatch:
    """Return a batch that may spend this many steps."""
    bounded = replace(QUICK, budget=Budget(steps=budget))
    simulated = CheckedBatch.of(pages(jobs), config, bounded, agent=FixtureAgent(), options=options)
    simulated.waits = False
    return simulated


def at_worst(simulated: CheckedBatch, most: int) -> int:
    """
    Return the most that might have been billed at any instant, had each run alive taken *most*.

    This is what a budget bounds. Whether a batch really overspends is chance.
    """
    changes = [(run.created_at, most) for run in simulated.sandbox.journal.runs if known(run)]
    changes += [
        (run.finished_at, run.steps - most)
        for run in simulated.sandbox.journal.runs
        if known(run) and run.finished_at
    ]
    return max(accumulate(steps for _, steps in sorted(changes)), default=0)


def billed(simulated: CheckedBatch) -> int:
    """Return the steps that the sandbox has charged so far."""
    return sum(run.steps for run in simulated.sandbox.journal.runs)


def budget_of(simulated: CheckedBatch) -> BudgetStatus:
    found = simulated.store.read(budget_status, simulated.batch.id, now())
    assert found is not None
    return found


def created(simulated: CheckedBatch) -> set[str]:
    return {run.run_id for run in simulated.sandbox.journal.runs}


def cost(simulated: CheckedBatch, begun: set[str]) -> int:
    """Return what these runs have cost in the end."""
    return sum(run.steps for run in simulated.sandbox.journal.runs if run.run_id in begun)


def check_bill(simulated: CheckedBatch) -> None:
    """Check that steps and money here are what the sandbox has charged, to the cent."""
    simulated.check_end()
    counts, rate = simulated.store.read(batch_counts, simulated.batch.id), simulated.config.price
    assert counts.steps * rate == simulated.sandbox.journal.charged


async def until_it_ends(
    simulated: CheckedBatch, kills: int, seed: int, most: int = MOST
) -> ExitReason:
    """Run a batch through this many kills; check that it could overspend at no moment."""
    budget = simulated.batch.settings.budget
    assert budget is not None
    assert budget.steps is not None
    for kill in range(kills):
        kill_switch = KillSwitch(1 + int(seeded_share(seed, "kill", kill) * KILL_STEPS))
        try:
            await simulated.run(kill_switch)
        except ProcessKilled:
            simulated.check_always()
    ending = await simulated.run()
    assert at_worst(simulated, most) <= budget.steps, "more was in flight than the budget covers"
    return ending


@pytest.mark.sweep
@pytest.mark.parametrize("seed", some(seeds(5), 1))
def test_no_batch_with_faults_and_kills_spends_more_than_its_budget(seed: int) -> None:
    budget = 100 + 5 * seed

    async def scenario() -> None:
        spent = spender(budget, faulty(seed, late=10), **BOUNDED)
        assert await until_it_ends(spent, 5, seed) is ExitReason.BUDGET_USED_UP
        assert not any(run.finished_at is None for run in spent.sandbox.journal.runs if known(run))
        left = budget_of(spent)
        assert left.used_up
        assert left.spent == billed(spent), "the account is not the sandbox's bill"
        assert budget - MOST < left.spent + left.unclear <= budget, "it gave up too early"
        assert spent.jobs()[JobState.AVAILABLE] > 0
        await anyio.sleep(3600)
        begun = created(spent)
        spent.store.write(set_budget, spent.batch.id, Budget(steps=100_000))
        assert await spent.run() is ExitReason.FINISHED
        assert cost(spent, begun) <= budget, "runs that were in flight broke the budget"
        check_bill(spent)

    simulate(scenario)


def known(run: SandboxRun) -> bool:
    return run.fault != "lost"


@pytest.mark.parametrize("seed", some(seeds(2), 1))
def test_a_reservation_below_the_worst_is_caught(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_starts, "max_steps", lambda *_: 5)

    async def scenario() -> None:
        await until_it_ends(spender(100 + 5 * seed, faulty(seed), **BOUNDED), 0, seed)

    with pytest.raises(AssertionError, match="more was in flight than the budget covers"):
        simulate(scenario)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", seeds(1))
def test_runs_without_max_steps_are_reckoned_with_what_the_api_lets_them_take(seed: int) -> None:
    async def scenario() -> None:
        spent = spender(600, faulty(seed), jobs=120)
        ending = await until_it_ends(spent, 3, seed, most=DEFAULT_STEP_LIMIT)
        assert ending is ExitReason.BUDGET_USED_UP
        assert 600 - DEFAULT_STEP_LIMIT < billed(spent) + budget_of(spent).unclear <= 600

    simulate(scenario)


# With other seeds the runner that starts first may spend the whole budget.
@pytest.mark.sweep
@pytest.mark.parametrize("seed", [1])
def test_two_runners_share_one_budget(seed: int) -> None:
    async def scenario() -> None:
        shared = spender(200, faulty(seed), jobs=44, **BOUNDED)
        endings: list[ExitReason] = []

        async def run() -> None:
            endings.append(await shared.run(exited_owners=shared.exited))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            tasks.start_soon(run)
        assert endings == [ExitReason.BUDGET_USED_UP, ExitReason.BUDGET_USED_UP]
        assert at_worst(shared, MOST) <= 200, "more was in flight than the budget covers"
        assert 200 - MOST < billed(shared) + budget_of(shared).unclear <= 200
        owners = {a.owner_id for a in StoreSnapshot.of(shared.store, shared.batch.id).attempts}
        assert owners == {"owner-1", "owner-2"}, "one of them did nothing"
        shared.store.write(set_budget, shared.batch.id, None)
        assert await shared.run() is ExitReason.FINISHED
        check_bill(shared)

    simulate(scenario)


@pytest.mark.sweep
def test_a_budget_that_is_raised_while_it_is_spent_goes_on_in_the_same_runner() -> None:
    async def scenario() -> None:
        raised = spender(100, SandboxConfig(durations=SHORT), **BOUNDED)

        async def more() -> None:
            await anyio.sleep(30)
            raised.store.write(set_budget, raised.batch.id, Budget(steps=5000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(more)
            assert await raised.run() is ExitReason.FINISHED
        check_bill(raised)

    simulate(scenario)


def test_a_budget_below_one_run_submits_nothing_and_says_so() -> None:
    async def scenario() -> None:
        poor = spender(MOST - 1, SandboxConfig(), **BOUNDED)
        assert await poor.run() is ExitReason.BUDGET_USED_UP
        assert poor.creates == 0
        assert budget_of(poor).used_up

    simulate(scenario)


@pytest.mark.sweep
def test_money_buys_steps_at_the_accounts_price_and_none_if_the_price_is_unknown() -> None:
    async def scenario() -> None:
        config = SandboxConfig(price=Decimal("0.016"), durations=SHORT)
        rich = spender(1, config, **BOUNDED)
        rich.store.write(set_budget, rich.batch.id, Budget(money=Decimal("1")))
        assert await rich.run() is ExitReason.BUDGET_USED_UP
        assert rich.creates == 0
        rich.store.write(set_step_price, rich.batch.id, config.price)
        assert await rich.run() is ExitReason.BUDGET_USED_UP
        assert Decimal("1") - MOST * config.price < rich.sandbox.journal.charged <= Decimal("1")

    simulate(scenario)


@pytest.mark.sweep
def test_a_pause_goes_before_a_budget() -> None:
    async def scenario() -> None:
        paused = spender(MOST - 1, SandboxConfig(), **BOUNDED)
        paused.store.write(pause_batch, paused.batch.id, None, now())

        async def resume() -> None:
            await anyio.sleep(600)
            paused.store.write(resume_batch, paused.batch.id, now())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resume)
            assert await paused.run() is ExitReason.BUDGET_USED_UP
        assert now() >= EPOCH + timedelta(seconds=600)

    simulate(scenario)


@pytest.mark.sweep
@settings(max_examples=examples(12))
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(1, 200),
    price=st.decimals(Decimal("0.001"), Decimal("0.1"), places=4),
    late=st.sampled_from([0, 10]),  # those that may be late for the end: test_account.py
)
def test_the_account_of_money_is_the_sandboxs_bill_to_the_cent(
    seed: int, budget: int, price: Decimal, late: int
) -> None:
    async def scenario() -> None:
        config = faulty(seed, late=late, price=price)
        spent = spender(budget, config, jobs=12, **BOUNDED)
        while await spent.run() is ExitReason.BUDGET_USED_UP:
            found = budget_of(spent)
            assert found.spent * price == spent.sandbox.journal.charged <= found.limit * price
            spent.store.write(set_budget, spent.batch.id, Budget(steps=found.limit + 200))
        check_bill(spent)

    simulate(scenario)


def test_the_wallet_says_what_is_left_and_what_a_step_costs() -> None:
    async def scenario() -> None:
        config = SandboxConfig(credits=Decimal(3), price=Decimal("0.02"))
        paid = CheckedBatch.of(pages(5), config, QUICK, agent=FixtureAgent())
        async with TinyFishClient(
            "http://127.0.0.1", "key", transport=paid.sandbox.transport()
        ) as api:
            assert await api.wallet() == Wallet(balance=Decimal(3), rate=config.price)
            await paid.run()
            left = await api.wallet()
            assert left is not None
            assert (
                left.balance
                == 3 - paid.store.read(batch_counts, paid.batch.id).steps * config.price
                < 3
            )
        none = CheckedBatch.of(pages(1), SandboxConfig(), QUICK)
        async with TinyFishClient(
            "http://127.0.0.1", "key", transport=none.sandbox.transport()
        ) as api:
            assert await api.wallet() is None

    simulate(scenario)
