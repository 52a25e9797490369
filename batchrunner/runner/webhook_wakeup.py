"""Webhook wake-ups: a webhook says that a run may have ended, and makes the poller poll earlier."""

from __future__ import annotations

from batchrunner.runner.wakeup import WakeUp


class WebhookWakeUp:
    """Brings the next poll forward; knows the address to which the API sends its webhooks."""

    def __init__(self, webhook_url: str | None = None) -> None:
        #: Named in create requests. It contains a secret, and is stored nowhere.
        self.webhook_url = webhook_url
        self.pending = False  #: a webhook has arrived since the newest poll began
        self.count = 0
        self._wakeup = WakeUp()

    def notify(self) -> None:
        """Report that a run may have ended; any number of reports asks for one poll."""
        self.count += 1
        if not self.pending:
            self.pending = True
            self._wakeup.notify()

    def wake(self) -> None:
        """Let the waiting task read the clock again, without asking for a poll."""
        self._wakeup.notify()

    def take_pending(self) -> bool:
        """Return whether a webhook asked for a poll, and clear that request."""
        was_pending, self.pending = self.pending, False
        return was_pending

    async def wait(self, seconds: float) -> None:
        """Wait for a webhook, at most for *seconds*; return at once if one is pending."""
        if not self.pending:
            await self._wakeup.wait(seconds)
