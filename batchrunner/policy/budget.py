"""Budgets: how they are written, what a run may cost at most, and steps in dollars; pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any

from batchrunner.api_facts.limits import DEFAULT_STEP_LIMIT
from batchrunner.model import Budget, Rate, RateSource, Settings

_STEPS = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15}) ?steps?", re.ASCII)
_DOLLARS = re.compile(r"\$ ?((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12})(?:\.[0-9]{1,8})?)", re.ASCII)

#: How budgets and rates are written; completes the sentence 'it must be …'.
BUDGET_SAYS = "steps like `500 steps`, or dollars like `$20`"
RATE_SAYS = "dollars for one step, like `$0.016`"


def budget_of(text: str) -> Budget | None:
    """Parse a budget; None if the text is not one."""
    steps = _STEPS.fullmatch(text)
    if steps:
        count = int(steps[1].replace(",", ""))
        return Budget(steps=count) if count else None
    money = dollars(text)
    return None if money is None else Budget(money=money)


def dollars(text: str) -> Decimal | None:
    """Parse an amount above 0 in dollars; None if the text is not one."""
    found = _DOLLARS.fullmatch(text)
    amount = Decimal(found[1].replace(",", "")) if found else Decimal(0)
    return amount if amount > 0 else None


def rate_in_force(settings: Settings, wallet: Decimal | None) -> Rate | None:
    """
    Return what a step costs by the job file or by the account's *wallet*; None if neither says.

    If both do, the higher price counts: a price that has risen must not break a budget.
    """
    known = [
        Rate(amount=amount, origin=origin)
        for amount, origin in (
            (settings.rate, RateSource.JOB_FILE),
            (wallet, RateSource.WALLET),
        )
        if amount is not None and amount > 0
    ]
    return max(known, key=lambda rate: rate.amount, default=None)


def limit_of(budget: Budget, rate: Rate | None) -> int:
    """Return how many steps a budget buys: 0 if it is in dollars and the rate is unknown."""
    if budget.steps is not None:
        return budget.steps
    if budget.money is None or rate is None:
        return 0
    return int((budget.money / rate.amount).to_integral_value(ROUND_DOWN))


def max_steps(options: Mapping[str, Any], longest: int = 0) -> int:
    """
    Return how many steps a run with these options may take at most.

    *longest* is the number of steps of a run in the same batch that exceeded its limit: it may
    happen again.
    """
    agent = options.get("agent_config")
    given = agent.get("max_steps") if isinstance(agent, Mapping) else None
    return max(given if isinstance(given, int) else DEFAULT_STEP_LIMIT, longest)


def affordable(needs: Sequence[int], room: int, probes: Collection[int] = ()) -> list[int]:
    """
    Return the indexes of the first runs that together cost no more than *room*.

    An expensive run is not skipped in favour of later, cheaper ones: it could wait forever. Only
    *probes* are skipped, because a broken host must not delay the others.
    """
    chosen = []
    for index, need in enumerate(needs):
        if need <= room:
            chosen.append(index)
            room -= need
        elif index not in probes:
            break
    return chosen
