"""When jobs may be submitted: from a beginning on, and in time to land before a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: How long before a deadline runs that have not landed are cancelled: what confirming that takes.
LAST_CALL = timedelta(seconds=30)
#: Least time that is left for a submission to land: finding out what became of a lost answer.
MIN_LEAD = timedelta(seconds=60)
#: What is left for it while no run has ended yet.
FIRST_LEAD = timedelta(minutes=2)
#: Newest runs that count most.
PACE_MEMORY = 32


class Phase(StrEnum):
    """Where a runner is in its window."""

    EARLY = "early"  #: nothing is submitted yet
    OPEN = "open"
    LANDING = "landing"  #: nothing more is submitted; what is in flight has time to end
    OVER = "over"  #: what has not ended by now is cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When jobs may be submitted; None: no beginning, no deadline."""

    opens: datetime | None = None
    closes: datetime | None = None  #: at this moment nothing is in flight


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long runs take, from their submission on, and how far apart they are in that."""

    runs: int = 0
    typical: timedelta = timedelta(0)
    spread: timedelta = timedelta(0)

    def learned(self, took: timedelta) -> Pace:
        """Return the pace with one more run in it; all count the same until MEMORY are known."""
        if self.runs == 0:
            return Pace(runs=1, typical=took, spread=took / 2)
        known = min(self.runs + 1, PACE_MEMORY)
        return Pace(
            runs=self.runs + 1,
            typical=self.typical + (took - self.typical) / known,
            spread=self.spread + (abs(took - self.typical) - self.spread) / known,
        )

    def lead(self, limit: timedelta) -> timedelta:
        """Return how long before an end to submit the last run; *limit* is the longest it takes."""
        lead = self.typical + 2 * self.spread if self.runs else FIRST_LEAD
        return max(min(lead, limit), MIN_LEAD)


def phase(window: Window, now: datetime, pace: Pace, limit: timedelta) -> Phase:
    """Say where *now* lies in a window; *limit* is the longest time that a run may take."""
    if window.opens is not None and now < window.opens:
        return Phase.EARLY
    if window.closes is None:
        return Phase.OPEN
    left = window.closes - now - LAST_CALL
    if left <= timedelta(0):
        return Phase.OVER
    return Phase.LANDING if left <= pace.lead(limit) else Phase.OPEN
