"""Wakes the loops that wait for it, as often as it is rung."""

from __future__ import annotations

import anyio


class WakeUp:
    """An event that can happen again."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        self._rung.set()
        self._rung = anyio.Event()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until it rings, or for *seconds* if they are given."""
        with anyio.move_on_after(seconds if seconds is None else max(seconds, 0.0)):
            await self._rung.wait()
