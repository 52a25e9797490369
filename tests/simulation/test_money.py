"""Budgets on virtual time: no spend above them, whatever fails, and a bill that adds up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchrunner.api import Api
from batchrunner.model import Budget, JobState, Purse, Settings, Wallet
from batchrunner.policy.money import UNSAID_STEPS
from batchrunner.proof.agent import QuickAgent
from batchrunner.proof.night import EPOCH, Killed, Night, Power, now, pages, simulate
from batchrunner.proof.promises import Books
from batchrunner.runner import Ending
from batchrunner.sandbox import World
from batchrunner.sandbox.ledger import Run
from batchrunner.sandbox.seeded import share

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
JOBS = 60
QUICK = Settings(concurrency=10, backoff=timedelta(seconds=4))


def spender(budget: int, world: World, jobs: int = JOBS, **options: Any) -> Night:
    """Return a night that may spend so many steps."""
    bounded = replace(QUICK, budget=Budget(steps=budget))
    night = Night.of(pages(jobs), world, bounded, agent=QuickAgent(), options=options)
    night.waits = False
    return night


def billed(night: Night) -> int:
    """Return the steps that the sandbox has charged so far."""
    return sum(run.steps for run in night.sandbox.ledger.runs)


def purse(night: Night) -> Purse:
    found = night.store.purse(night.batch.id, now())
    assert found is not None
    return found


def created(night: Night) -> set[str]:
    return {run.run_id for run in night.sandbox.ledger.runs}


def cost(night: Night, begun: set[str]) -> int:
    """Return what these runs have cost in the end."""
    return sum(run.steps for run in night.sandbox.ledger.runs if run.run_id in begun)


def check_bill(night: Night) -> None:
    """Check that steps and money here are what the sandbox has charged, to the cent."""
    night.check_end()
    tally, rate = night.store.tally(night.batch.id), night.world.price
    assert tally.steps * rate == night.sandbox.ledger.charged


async def until_it_ends(night: Night, kills: int, seed: int) -> Ending:
    """Run a night through so many kills; check each time that nothing was overspent."""
    budget = night.batch.settings.budget
    assert budget is not None
    assert budget.steps is not None
    for kill in range(kills):
        power = Power(1 + int(share(seed, "kill", kill) * 1200))
        try:
            await night.run(power)
        except Killed:
            night.check_always()
        assert billed(night) <= budget.steps
    return await night.run()


@pytest.mark.parametrize("seed", range(20))
def test_no_night_of_faults_and_kills_spends_more_than_its_budget(seed: int) -> None:
    budget = 120 + 10 * seed

    async def night() -> None:
        spent = spender(budget, World(seed=seed, rates=RATES, late=10), **BOUNDED)
        assert await until_it_ends(spent, 5, seed) is Ending.SPENT
        assert not any(run.finished_at is None for run in spent.sandbox.ledger.runs if known(run))
        left = purse(spent)
        assert left.used_up
        assert left.spent == billed(spent), "the account is not the sandbox's bill"
        assert budget - MOST < left.spent + left.unclear <= budget, "it gave up too early"
        assert spent.jobs()[JobState.AVAILABLE] > 0
        await anyio.sleep(3600)
        begun = created(spent)
        spent.store.set_budget(spent.batch.id, Budget(steps=100_000))
        assert await spent.run() is Ending.FINISHED
        assert cost(spent, begun) <= budget, "runs that were in flight broke the budget"
        check_bill(spent)

    simulate(night)


def known(run: Run) -> bool:
    return run.fate != "lost"


@pytest.mark.parametrize("seed", range(3))
def test_runs_without_max_steps_are_reckoned_with_what_the_api_lets_them_take(seed: int) -> None:
    async def night() -> None:
        spent = spender(800, World(seed=seed, rates=RATES), jobs=120)
        assert await until_it_ends(spent, 3, seed) is Ending.SPENT
        assert 800 - UNSAID_STEPS < billed(spent) + purse(spent).unclear <= 800
        at_once = max(alive_at(spent, run.created_at) for run in spent.sandbox.ledger.runs)
        assert at_once <= 800 // UNSAID_STEPS

    simulate(night)


@pytest.mark.parametrize("seed", range(5))
def test_two_runners_share_one_budget(seed: int) -> None:
    async def night() -> None:
        shared = spender(300, World(seed=seed, rates=RATES), jobs=100, **BOUNDED)
        endings: list[Ending] = []

        async def run() -> None:
            endings.append(await shared.run(gone=shared.gone))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            tasks.start_soon(run)
        assert endings == [Ending.SPENT, Ending.SPENT]
        assert 300 - MOST < billed(shared) + purse(shared).unclear <= 300
        owners = {a.owner_id for a in Books.of(shared.store, shared.batch.id).attempts}
        assert owners == {"owner-1", "owner-2"}, "one of them did nothing"
        shared.store.set_budget(shared.batch.id, None)
        assert await shared.run() is Ending.FINISHED
        check_bill(shared)

    simulate(night)


def test_a_budget_that_is_raised_while_it_is_spent_goes_on_in_the_same_runner() -> None:
    async def night() -> None:
        raised = spender(200, World(), **BOUNDED)

        async def more() -> None:
            await anyio.sleep(30)
            raised.store.set_budget(raised.batch.id, Budget(steps=5000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(more)
            assert await raised.run() is Ending.FINISHED
        check_bill(raised)

    simulate(night)


def test_a_budget_below_one_run_submits_nothing_and_says_so() -> None:
    async def night() -> None:
        poor = spender(MOST - 1, World(), **BOUNDED)
        assert await poor.run() is Ending.SPENT
        assert poor.creates == 0
        assert purse(poor).used_up

    simulate(night)


def test_money_buys_steps_at_the_accounts_rate_and_none_where_nobody_knows_it() -> None:
    async def night() -> None:
        world = World(price=Decimal("0.016"))
        rich = spender(1, world, **BOUNDED)
        rich.store.set_budget(rich.batch.id, Budget(money=Decimal("2")))
        assert await rich.run() is Ending.SPENT
        assert rich.creates == 0
        rich.store.set_rate(rich.batch.id, world.price)
        assert await rich.run() is Ending.SPENT
        assert Decimal("2") - MOST * world.price < rich.sandbox.ledger.charged <= Decimal("2")

    simulate(night)


def test_a_pause_goes_before_a_budget() -> None:
    async def night() -> None:
        paused = spender(MOST - 1, World(), **BOUNDED)
        paused.store.pause(paused.batch.id, None, now())

        async def resume() -> None:
            await anyio.sleep(600)
            paused.store.resume(paused.batch.id)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resume)
            assert await paused.run() is Ending.SPENT
        assert now() >= EPOCH + timedelta(seconds=600)

    simulate(night)


def alive_at(night: Night, moment: datetime) -> int:
    runs = [run for run in night.sandbox.ledger.runs if known(run)]
    return sum(run.created_at <= moment < (run.finished_at or now()) for run in runs)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(1, 400),
    price=st.decimals(Decimal("0.001"), Decimal("0.1"), places=4),
    late=st.sampled_from([0, 10, 90]),
)
def test_the_account_of_money_is_the_sandboxs_bill_to_the_cent(
    seed: int, budget: int, price: Decimal, late: int
) -> None:
    async def night() -> None:
        world = World(seed=seed, rates=RATES, late=late, price=price)
        spent = spender(budget, world, jobs=30, **BOUNDED)
        while await spent.run() is Ending.SPENT:
            found = purse(spent)
            assert found.spent * price == spent.sandbox.ledger.charged <= found.limit * price
            spent.store.set_budget(spent.batch.id, Budget(steps=found.limit + 200))
        check_bill(spent)

    simulate(night)


def test_the_wallet_says_what_is_left_and_what_a_step_costs() -> None:
    async def night() -> None:
        world = World(credits=Decimal(3), price=Decimal("0.02"))
        paid = Night.of(pages(5), world, QUICK, agent=QuickAgent())
        async with Api("http://127.0.0.1", "key", transport=paid.sandbox.transport()) as api:
            assert await api.wallet() == Wallet(balance=Decimal(3), rate=world.price)
            await paid.run()
            left = await api.wallet()
            assert left is not None
            assert left.balance == 3 - paid.store.tally(paid.batch.id).steps * world.price < 3
        none = Night.of(pages(1), World(), QUICK)
        async with Api("http://127.0.0.1", "key", transport=none.sandbox.transport()) as api:
            assert await api.wallet() is None

    simulate(night)
