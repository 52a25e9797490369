"""Editions of a series as users see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from batchrunner.model.reports import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class EditionSummary:
    """How one edition of a series stands."""

    batch: Batch
    jobs: int
    succeeded: int
    failed: int
    cancelled: int
    steps: int  #: billed for all its attempts and orphans together
    began_at: datetime
    finished_at: datetime | None  #: when its newest job became final; None: none is

    @property
    def name(self) -> str:
        """The name of its batch, such as `prices@2026-12-01`."""
        return self.batch.name

    @property
    def edition(self) -> str:
        """The name of the edition, such as `2026-12-01`."""
        return self.batch.edition or ""

    @property
    def open(self) -> int:
        """Jobs that have not reached a final state."""
        return self.jobs - self.succeeded - self.failed - self.cancelled

    @property
    def cost(self) -> Decimal | None:
        """What it has cost, in dollars; None where the price of a step is unknown."""
        price = self.batch.step_price
        return None if price is None else self.steps * price.amount
