"""Money for people: what a batch has cost and may cost, and what the account's wallet says."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

import anyio
import click

from batchrunner.errors import UsageError
from batchrunner.model import ApiError, Batch, Budget, BudgetStatus, Rate, RateSource, Wallet
from batchrunner.policy.budget import BUDGET_SAYS, budget_of
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.run_batch import ApiAccess
    from batchrunner.store.store import Store

_CENT = Decimal("0.01")
_NONE = "none"
_SAYS = {RateSource.JOB_FILE: "as the job file says", RateSource.WALLET: "as the wallet says"}


def given_budget(text: str) -> Budget | None:
    """Return the budget that an option names; None where it takes one off."""
    budget = budget_of(text.strip())
    if budget is None and text.strip() != _NONE:
        raise UsageError(
            f"--budget {text}: this is no budget",
            next=f"write {BUDGET_SAYS.replace('`', chr(39))}, or 'none' to take one off",
        )
    return budget


def set_up(store: Store, batch: Batch, api: ApiAccess, budget: str | None) -> Batch:
    """
    Put a budget in force that an option names, ask the wallet what a step costs, and tell both.

    Raises:
        BatchrunnerError: The budget is money, and nobody knows what a step costs.
    """
    if budget is not None:
        store.set_budget(batch.id, given_budget(budget))
    wallet = _wallet(store, batch, api)
    batch = store.batch(batch.name) or batch
    check_rate(batch.settings.budget, batch)
    if wallet is not None:
        click.echo(f"the account has {money(wallet.balance)}", err=True)
        if wallet.rate and batch.step_price and wallet.rate < batch.step_price.amount:
            now, stays = f"${wallet.rate:f}", f"${batch.step_price.amount:f}"
            click.echo(f"a step costs {now} now; {stays} stays in force for this batch", err=True)
    if line := _few_at_once(store, batch):
        click.echo(line, err=True)
    return batch


def _few_at_once(store: Store, batch: Batch) -> str | None:
    """Say where a budget keeps slots empty from the start."""
    from batchrunner.app.clock import ledger_now

    purse = store.purse(batch.id, ledger_now(store))
    if purse is None or purse.needs is None:
        return None
    slots = min(batch.settings.concurrency, store.tally(batch.id).open)
    return few_at_once(purse.room // purse.needs, slots)


def few_at_once(runs: int, slots: int) -> str | None:
    """Say that a budget covers fewer *runs* than there are slots, where it covers any."""
    if not 0 < runs < slots:
        return None
    counted = "1 run" if runs == 1 else f"{runs} runs"
    return (
        f"the budget covers {counted} at once: jobs that say agent_config.max_steps use more slots"
    )


def check_rate(budget: Budget | None, batch: Batch) -> None:
    """Refuse a budget in money where nobody says what a step costs."""
    if budget is not None and budget.steps is None and batch.step_price is None:
        raise UsageError(
            f"the budget of {budget} cannot be kept: nobody says what a step costs",
            next="write `rate: $0.016` (your price) below `settings`, or give the budget in steps",
        )


def _wallet(store: Store, batch: Batch, api: ApiAccess) -> Wallet | None:
    """Return the account's wallet; where it cannot be read, what was known of its rate stays."""
    from batchrunner.tinyfish.client import TinyFishClient

    async def ask() -> Wallet | None:
        async with TinyFishClient(api.url, api.key) as opened:
            return await opened.wallet()

    try:
        wallet = anyio.run(ask)
    except ApiError as error:
        click.echo(term_safe(f"the account's wallet cannot be read: {error}"), err=True)
        return None
    store.set_rate(batch.id, wallet.rate if wallet else None)
    return wallet


def money(amount: Decimal) -> str:
    """Return an amount to the cent; what is not a whole cent is told as the next one."""
    cents = amount.quantize(_CENT, rounding=ROUND_CEILING)
    return f"-${-cents:f}" if cents < 0 else f"${cents:f}"


def cost(steps: int, rate: Rate | None) -> str:
    """Return what steps cost in money, where the rate is known, and who says so."""
    if rate is None:
        return f"{steps} steps"
    by = f"at ${rate.amount:f} a step, {_SAYS[rate.origin]}"
    return f"{steps} steps, {money(steps * rate.amount)} ({by})"


def purse_line(purse: BudgetStatus, rate: Rate | None) -> str:
    """Return how much of a budget is gone; where it covers no other run, what would."""
    unclear = f", {purse.unclear} kept for runs whose cost is not known" if purse.unclear else ""
    reserved = f", {purse.reserved} reserved" if purse.reserved else ""
    named = f" ({purse.budget})" if purse.budget.money is not None else ""
    gone = f"{purse.spent} of {purse.limit} steps{named} spent{unclear}{reserved}"
    if not purse.used_up:
        return f"budget: {gone}"
    least = _least(purse, rate)
    give = f": give at least {least}" if least else ""
    left = f"{max(purse.room, 0)} of {purse.limit} steps are left"
    return f"budget: {gone}; {left}, too few for the next run, which may take {purse.needs}{give}"


def _least(purse: BudgetStatus, rate: Rate | None) -> Budget | None:
    """Return the least budget that covers the next run; None where nobody knows what that costs."""
    steps = purse.limit - purse.room + (purse.needs or 0)
    if purse.budget.money is None:
        return Budget(steps=steps)
    if rate is None:
        return None
    return Budget(money=(steps * rate.amount).quantize(_CENT, rounding=ROUND_CEILING))


def raised(purse: BudgetStatus, rate: Rate | None) -> str:
    """Return a budget that covers the next run and more, as an option names it."""
    least = _least(purse, rate)
    if purse.budget.money is not None:
        known = least.money if least else None
        return f"${max(2 * purse.budget.money, known or Decimal(0)):f}"
    return f"{max(2 * purse.limit, least.steps or 0 if least else 0)} steps"


def cents(parts: Sequence[int], rate: Rate | None) -> list[str]:
    """Return what each part of the steps costs, and the whole; to the cent, so that they add up."""
    from batchrunner.policy.time_and_cost import shares

    if rate is None:
        return []
    whole = (sum(parts) * rate.amount).quantize(_CENT, rounding=ROUND_CEILING)
    told = [Decimal(part) * _CENT for part in shares(parts, int(whole / _CENT))]
    return [money(amount) for amount in (*told, whole)]
