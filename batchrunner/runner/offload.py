"""Calls the store from async code, and repeats calls while the database is unavailable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import anyio

from batchrunner.runner.events import Event, StoreUnavailable
from batchrunner.store.database import StoreError

#: Seconds to wait before the first repetition of a store call; doubled with each one.
FIRST_STORE_RETRY_SECONDS = 0.1
MAX_STORE_RETRY_SECONDS = 10.0
#: How long the database may be unavailable before the runner reports it.
STORE_OUTAGE_NOTICE_AFTER = timedelta(seconds=10)

T = TypeVar("T")


class Offload(Protocol):
    """Runs a blocking call: in a thread, or, in a simulation, inline."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Run *call* and return its result."""


class StoreOutage:
    """How long store calls have been failing; it is reported once if that takes long."""

    def __init__(
        self,
        now: Callable[[], datetime],
        notify: Callable[[Event], None],
        *,
        since: datetime | None = None,
    ) -> None:
        self._now = now
        self._notify = notify
        self._since = since  #: None: the next failure begins it
        self._reported = False

    def note(self, error: StoreError) -> None:
        """Note a failed call."""
        self._since = self._since or self._now()
        if not self._reported and self._now() - self._since >= STORE_OUTAGE_NOTICE_AFTER:
            self._notify(StoreUnavailable(reason=error.message))
            self._reported = True

    def end(self) -> None:
        """Note a call that succeeded."""
        self._since, self._reported = None, False


class RetryingOffload:
    """
    Runs a store call, and repeats it while the database is unavailable.

    What a run has cost must not be lost because a disk was full for an hour. Only for calls that
    are safe to repeat even if they took effect and the answer got lost.
    """

    def __init__(
        self, offload: Offload, now: Callable[[], datetime], notify: Callable[[Event], None]
    ) -> None:
        self._offload = offload
        self._now = now
        self._notify = notify

    async def __call__(self, call: Callable[[], T], /) -> T:
        """Run *call* until the database answers, and return its result."""
        wait = FIRST_STORE_RETRY_SECONDS
        outage = StoreOutage(self._now, self._notify, since=self._now())
        while True:
            try:
                return await self._offload(call)
            except StoreError as error:
                if not error.passing:
                    raise
                outage.note(error)
            await anyio.sleep(wait)
            wait = min(wait * 2, MAX_STORE_RETRY_SECONDS)
