"""Sets a batch's budget and rate, reads the wallet, and shows steps as money."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from batchrunner.errors import ApiError, UsageError
from batchrunner.model import (
    ApiFault,
    ApiFaultKind,
    Batch,
    Budget,
    BudgetStatus,
    Rate,
    RateSource,
    RequestFailed,
    Wallet,
)
from batchrunner.policy.budget import BUDGET_SAYS, budget_of
from batchrunner.text.terminal import term_safe

if TYPE_CHECKING:
    from batchrunner.app.api_access import ApiAccess
    from batchrunner.app.run_observer import Say
    from batchrunner.store.store import Store

_CENT = Decimal("0.01")
_NONE = "none"
_SAYS = {RateSource.JOB_FILE: "as the job file says", RateSource.WALLET: "as the wallet says"}


def given_budget(text: str) -> Budget | None:
    """
    Return the budget that an option names; None for `none`.

    Raises:
        UsageError: It is no budget.
    """
    budget = budget_of(text.strip())
    if budget is None and text.strip() != _NONE:
        raise UsageError(
            f"--budget {text}: this is no budget",
            next=f"write {BUDGET_SAYS.replace('`', chr(39))}, or 'none' to take one off",
        )
    return budget


def set_up(store: Store, batch: Batch, api: ApiAccess, budget: str | None, say: Say) -> Batch:
    """
    Set the budget that an option names, read the price of a step from the wallet, report both.

    Raises:
        UsageError: The budget is money, and nothing says what a step costs.
    """
    from batchrunner.store.batches import find_batch
    from batchrunner.store.budget import set_budget

    if budget is not None:
        store.write(set_budget, batch.id, given_budget(budget))
    wallet = _wallet(store, batch, api, say)
    batch = store.read(find_batch, batch.name) or batch
    check_rate(batch.settings.budget, batch)
    check_rate(batch.settings.stop_loss.cost, batch, "stop_loss")
    if wallet is not None:
        say(f"the account has {money(wallet.balance)}")
        if wallet.rate and batch.step_price and wallet.rate < batch.step_price.amount:
            now, stays = f"${wallet.rate:f}", f"${batch.step_price.amount:f}"
            say(f"a step costs {now} now; {stays} stays in force for this batch")
    if line := _few_at_once(store, batch):
        say(line)
    return batch


def _few_at_once(store: Store, batch: Batch) -> str | None:
    """Return a line where the budget keeps slots empty from the start."""
    from batchrunner.app.clock import store_now
    from batchrunner.store.claims import budget_status
    from batchrunner.store.reports import batch_counts

    status = store.read(budget_status, batch.id, store_now(store))
    if status is None or status.needs is None:
        return None
    slots = min(batch.settings.concurrency, store.read(batch_counts, batch.id).open)
    return few_at_once(status.room // status.needs, slots)


def few_at_once(runs: int, slots: int) -> str | None:
    """Return a line where a budget covers fewer *runs* than there are slots, and covers any."""
    if not 0 < runs < slots:
        return None
    counted = "1 run" if runs == 1 else f"{runs} runs"
    return (
        f"the budget covers {counted} at once: jobs that say agent_config.max_steps use more slots"
    )


def check_rate(amount: Budget | None, batch: Batch, what: str = "budget") -> None:
    """Refuse a budget, or another sum, in money where nothing says what a step costs."""
    if amount is not None and amount.steps is None and batch.step_price is None:
        raise UsageError(
            f"the {what} of {amount} cannot be kept: nobody says what a step costs",
            next=f"write `rate: $0.016` (your price) below `settings`, or give the {what} in steps",
        )


def _wallet(store: Store, batch: Batch, api: ApiAccess, say: Say) -> Wallet | None:
    """
    Return the account's wallet and store its rate; one that cannot be read changes nothing.

    Raises:
        ApiError: There is no secure way to the API, and waiting is no use.
    """
    from batchrunner.store.budget import set_step_price
    from batchrunner.tinyfish.client import TinyFishClient

    async def ask() -> Wallet | None:
        async with TinyFishClient(api.url, api.key) as opened:
            return await opened.wallet()

    try:
        import anyio  # takes longer than a status

        wallet = anyio.run(ask)
    except RequestFailed as error:
        if error.fault.kind is ApiFaultKind.BARRED:
            raise _barred(error.fault, api) from error
        say(term_safe(f"the account's wallet cannot be read: {error}"))
        return None
    store.write(set_step_price, batch.id, wallet.rate if wallet else None)
    return wallet


def _barred(fault: ApiFault, api: ApiAccess) -> ApiError:
    said = term_safe(fault.message)
    advice = f"{fault.advice}; then run the same command again: nothing was sent"
    return ApiError(f"stopped: {said}", next=advice, where=api.url, why=said)


def money(amount: Decimal) -> str:
    """Return an amount in dollars, rounded up to the cent."""
    cents = amount.quantize(_CENT, rounding=ROUND_CEILING)
    return f"-${-cents:f}" if cents < 0 else f"${cents:f}"


def cost(steps: int, rate: Rate | None) -> str:
    """Return steps and, where the rate is known, their price and the source of the rate."""
    if rate is None:
        return f"{steps} steps"
    by = f"at ${rate.amount:f} a step, {_SAYS[rate.origin]}"
    return f"{steps} steps, {money(steps * rate.amount)} ({by})"


def budget_line(status: BudgetStatus, rate: Rate | None) -> str:
    """Return how much of a budget is used, and, where it covers no other run, what would."""
    unclear = f", {status.unclear} kept for runs whose cost is not known" if status.unclear else ""
    reserved = f", {status.reserved} reserved" if status.reserved else ""
    named = f" ({status.budget})" if status.budget.money is not None else ""
    used = f"{status.spent} of {status.limit} steps{named} spent{unclear}{reserved}"
    if not status.used_up:
        return f"budget: {used}"
    least = _least(status, rate)
    give = f": give at least {least}" if least else ""
    left = f"{max(status.room, 0)} of {status.limit} steps are left"
    return f"budget: {used}; {left}, too few for the next run, which may take {status.needs}{give}"


def _least(status: BudgetStatus, rate: Rate | None) -> Budget | None:
    """Return the lowest budget that covers the next run; None where its price is not known."""
    steps = status.limit - status.room + (status.needs or 0)
    if status.budget.money is None:
        return Budget(steps=steps)
    if rate is None:
        return None
    return Budget(money=(steps * rate.amount).quantize(_CENT, rounding=ROUND_CEILING))


def raised(status: BudgetStatus, rate: Rate | None) -> str:
    """Return a budget that covers the next run and more, as an option names it."""
    least = _least(status, rate)
    if status.budget.money is not None:
        known = least.money if least else None
        return f"${max(2 * status.budget.money, known or Decimal(0)):f}"
    return f"{max(2 * status.limit, least.steps or 0 if least else 0)} steps"


def cents(parts: Sequence[int], rate: Rate | None) -> list[str]:
    """Return the price of each part of the steps, and of the whole; in cents that add up."""
    from batchrunner.policy.time_and_cost import shares

    if rate is None:
        return []
    whole = (sum(parts) * rate.amount).quantize(_CENT, rounding=ROUND_CEILING)
    amounts = [Decimal(part) * _CENT for part in shares(parts, int(whole / _CENT))]
    return [money(amount) for amount in (*amounts, whole)]
