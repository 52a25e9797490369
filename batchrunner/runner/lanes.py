"""Holds requests back while the API or the account asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from batchrunner.runner.bell import Bell


class Lane:
    """One kind of request, creates or looks: until when it waits, and what it met lately."""

    def __init__(self, now: Callable[[], datetime], alarm: Bell) -> None:
        self._now = now
        self._alarm = alarm
        self._until = now()
        self.in_row = 0  #: requests that met a failure of the pool, with none between that did not
        self.proven = False  #: a request went well

    def hold(self, until: datetime) -> None:
        """Let nothing pass before *until*; an earlier promise of a longer wait stands."""
        self._until = max(until, self._until)

    def met_failure(self) -> None:
        """Count a request that met a failure of the pool."""
        self.in_row += 1

    def went_well(self) -> None:
        """Forget the failures before."""
        self.in_row, self.proven = 0, True

    async def clear(self) -> None:
        """Wait until requests may pass."""
        left = self._until - self._now()
        while left.total_seconds() > 0:
            await self._alarm.wait(left.total_seconds())
            left = self._until - self._now()
