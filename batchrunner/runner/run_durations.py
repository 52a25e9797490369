"""Learns how long runs take, from the runs that this runner saw end."""

from __future__ import annotations

from datetime import datetime, timedelta

from batchrunner.model import OpenAttempt
from batchrunner.policy.schedule import Pace

#: The average follows each new run by this part of the difference.
TYPICAL_MEMORY = 32


class RunDurations:
    """
    How long runs take.

    Runs that were cancelled say nothing about how long a run needs; they only count for `typical`,
    which decides how often to poll.
    """

    def __init__(self) -> None:
        self.total = Pace()  #: from the claim to the end
        self.running = Pace()  #: while they are RUNNING
        self.typical: timedelta | None = None  #: average from the claim to the end; None: unknown

    def learn(self, attempt: OpenAttempt, now: datetime) -> None:
        """Add an attempt that was closed just now."""
        took = now - attempt.opened_at
        if not attempt.cancel_reason:
            self.total = self.total.learned(took)
            self.running = self.running.learned(now - (attempt.started_at or attempt.opened_at))
        before = took if self.typical is None else self.typical
        self.typical = before + (took - before) / TYPICAL_MEMORY
