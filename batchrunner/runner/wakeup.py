"""An event that can happen again and again, and wakes the loops that wait for it."""

from __future__ import annotations

import anyio


class WakeUp:
    """An event that can happen more than once."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def notify(self) -> None:
        """Wake every task that waits now."""
        self._event.set()
        self._event = anyio.Event()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for the next notification, at most for *seconds* if they are given."""
        with anyio.move_on_after(seconds if seconds is None else max(seconds, 0.0)):
            await self._event.wait()
