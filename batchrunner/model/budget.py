"""What runs cost and may cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from batchrunner.model.job_file import Budget


class RateSource(StrEnum):
    """Who says what a step costs."""

    JOB_FILE = "job file"
    WALLET = "wallet"  #: of the account, as the API showed it last


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """What a step costs, in dollars."""

    amount: Decimal
    origin: RateSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """What an account that pays for each step has, in dollars."""

    balance: Decimal
    rate: Decimal | None  #: what a step costs; None where the API does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetStatus:
    """How much of a batch's budget is gone, in steps."""

    budget: Budget
    limit: int  #: what the budget buys
    spent: int  #: known to be billed
    unclear: int  #: kept back for good, for runs whose cost nobody can tell any more
    reserved: int  #: kept back for runs in flight, or being looked for
    needs: int | None = None  #: most that the next due job may cost; None where none is due

    @property
    def room(self) -> int:
        """What may still be reserved."""
        return self.limit - self.spent - self.unclear - self.reserved

    @property
    def used_up(self) -> bool:
        """Whether a job is due, what is left does not cover it, and nothing will free more."""
        return self.needs is not None and self.reserved == 0 and self.room < self.needs
