"""Hints that runs may have ended: they make the runner look, and tell it nothing else."""

from __future__ import annotations

from batchrunner.runner.wakeup import WakeUp


class WebhookWakeUp:
    """What brings a look forward, and the address at which the API gives such hints."""

    def __init__(self, address: str | None = None) -> None:
        self.webhook_url = (
            address  #: what creates name; it holds a secret, and is written down nowhere
        )
        self.pending = False  #: since the newest look began
        self.count = 0
        self._bell = WakeUp()

    def notify(self) -> None:
        """Say that a run may have ended; it is one look, however often this is said."""
        self.count += 1
        if not self.pending:
            self.pending = True
            self._bell.notify()

    def wake(self) -> None:
        """Let who waits look at the clock again; it is no hint."""
        self._bell.notify()

    def take_pending(self) -> bool:
        """Begin a look: say whether a hint asked for it, and forget that hint."""
        heard, self.pending = self.pending, False
        return heard

    async def wait(self, seconds: float) -> None:
        """Wait for a hint, or for *seconds*; not at all if one came since the look began."""
        if not self.pending:
            await self._bell.wait(seconds)
