"""Delays one kind of request while the API or the account asks for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from batchrunner.model import FailureCategory
from batchrunner.runner.wakeup import WakeUp


class RequestGate:
    """One kind of request (creates or polls): how long it waits, and how it went lately."""

    def __init__(self, now: Callable[[], datetime], clock_jumped: WakeUp) -> None:
        self._now = now
        self._clock_jumped = clock_jumped
        self._opens_at = now()
        #: Requests since the newest success that met a failure that concerns all requests.
        self.consecutive_failures = 0
        self.succeeded_at: datetime | None = None  #: when a request succeeded last
        self.is_throttled = False  #: the newest request met a 429
        self.refusals = 0  #: of the key, among the consecutive failures
        self.refused_since: datetime | None = None  #: when the first of these came

    @property
    def has_succeeded(self) -> bool:
        """Whether at least one request succeeded."""
        return self.succeeded_at is not None

    def delay_until(self, until: datetime) -> None:
        """Let no request pass before *until*; a longer delay that is in force stays."""
        self._opens_at = max(until, self._opens_at)

    @property
    def is_delayed(self) -> bool:
        """Whether requests wait at the moment."""
        return self._opens_at > self._now()

    def record_failure(self, category: FailureCategory) -> None:
        """Count a request that met a failure that concerns all requests."""
        self.consecutive_failures += 1
        self.is_throttled = category is FailureCategory.THROTTLED
        if category is FailureCategory.UNAUTHORIZED:
            self.refusals += 1
            self.refused_since = self.refused_since or self._now()

    def record_success(self) -> None:
        """Forget earlier failures."""
        self.consecutive_failures, self.is_throttled = 0, False
        self.succeeded_at = self._now()
        self.refusals, self.refused_since = 0, None

    async def wait_until_open(self) -> None:
        """Wait until requests may pass."""
        left = self._opens_at - self._now()
        while left.total_seconds() > 0:
            await self._clock_jumped.wait(left.total_seconds())
            left = self._opens_at - self._now()
