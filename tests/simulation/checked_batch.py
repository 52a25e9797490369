"""A simulated batch whose sandbox is checked against the API's description."""

from __future__ import annotations

from typing import Any, Self

from tests.contract.openapi import judging
from tests.simulator import simulated_batch


class CheckedBatch(simulated_batch.SimulatedBatch):
    """A batch on a sandbox whose answers are all compared with the contract."""

    @classmethod
    def of(cls, *args: Any, **kwargs: Any) -> Self:
        """Load one job for each url."""
        return super().of(*args, middleware=judging, **kwargs)
