"""Prices, wallets, and how much of a budget is used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from batchrunner.model.job_file import Budget


class RateSource(StrEnum):
    """Where the price of a step comes from."""

    JOB_FILE = "job file"
    WALLET = "wallet"  #: of the account, as the API last showed it


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """The price of a step, in dollars."""

    amount: Decimal
    origin: RateSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """The balance of an account that pays per step, in dollars."""

    balance: Decimal
    rate: Decimal | None  #: price of a step; None if the API does not say


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetStatus:
    """How much of a batch's budget is used, in steps."""

    budget: Budget
    limit: int  #: the whole budget
    spent: int  #: billed
    unclear: int  #: reserved for good, for runs whose cost will never be known
    reserved: int  #: reserved for runs in flight and for unanswered submissions
    needs: int | None = None  #: maximum cost of the next due job; None if none is due

    @property
    def room(self) -> int:
        """How many steps can still be reserved."""
        return self.limit - self.spent - self.unclear - self.reserved

    @property
    def used_up(self) -> bool:
        """Whether the rest does not cover the next due job, and no run in flight can free more."""
        return self.needs is not None and self.reserved == 0 and self.room < self.needs
