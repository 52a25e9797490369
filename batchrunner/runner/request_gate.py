"""Delays one kind of request while the API or the account asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from batchrunner.runner.wakeup import WakeUp


class RequestGate:
    """One kind of request (creates or polls): how long it waits, and how it went lately."""

    def __init__(self, now: Callable[[], datetime], clock_jumped: WakeUp) -> None:
        self._now = now
        self._clock_jumped = clock_jumped
        self._opens_at = now()
        #: Requests since the newest success that met a failure that concerns all requests.
        self.consecutive_failures = 0
        self.has_succeeded = False  #: at least one request succeeded

    def delay_until(self, until: datetime) -> None:
        """Let no request pass before *until*; a longer delay that is in force stays."""
        self._opens_at = max(until, self._opens_at)

    @property
    def is_delayed(self) -> bool:
        """Whether requests wait at the moment."""
        return self._opens_at > self._now()

    def record_failure(self) -> None:
        """Count a request that met a failure that concerns all requests."""
        self.consecutive_failures += 1

    def record_success(self) -> None:
        """Forget earlier failures."""
        self.consecutive_failures, self.has_succeeded = 0, True

    async def wait_until_open(self) -> None:
        """Wait until requests may pass."""
        left = self._opens_at - self._now()
        while left.total_seconds() > 0:
            await self._clock_jumped.wait(left.total_seconds())
            left = self._opens_at - self._now()
