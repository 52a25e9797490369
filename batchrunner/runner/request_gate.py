"""Holds requests back while the API or the account asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from batchrunner.runner.wakeup import WakeUp


class RequestGate:
    """One kind of request, creates or looks: until when it waits, and what it met lately."""

    def __init__(self, now: Callable[[], datetime], alarm: WakeUp) -> None:
        self._now = now
        self._alarm = alarm
        self._until = now()
        self.consecutive_failures = (
            0  #: requests that met a failure of the pool, with none between that did not
        )
        self.has_succeeded = False  #: a request went well

    def delay_until(self, until: datetime) -> None:
        """Let nothing pass before *until*; an earlier promise of a longer wait stands."""
        self._until = max(until, self._until)

    def record_failure(self) -> None:
        """Count a request that met a failure of the pool."""
        self.consecutive_failures += 1

    def record_success(self) -> None:
        """Forget the failures before."""
        self.consecutive_failures, self.has_succeeded = 0, True

    async def wait_until_open(self) -> None:
        """Wait until requests may pass."""
        left = self._until - self._now()
        while left.total_seconds() > 0:
            await self._alarm.wait(left.total_seconds())
            left = self._until - self._now()
