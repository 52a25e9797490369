"""When jobs may be submitted: after the start time, and early enough before the deadline; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: How long before a deadline the runs in flight are cancelled: confirming that takes time.
LAST_CALL = timedelta(seconds=30)
#: Least time before a deadline for a submission: an unanswered one has to be reconciled.
MIN_LEAD = timedelta(seconds=60)
#: The same while no run has ended.
FIRST_LEAD = timedelta(minutes=2)
#: Runs that the pace remembers: newer runs outweigh older ones beyond this number.
PACE_MEMORY = 32


class Phase(StrEnum):
    """The current part of a runner's window."""

    EARLY = "early"  #: before the start: nothing is submitted
    OPEN = "open"
    LANDING = "landing"  #: nothing more is submitted; runs in flight have time to end
    OVER = "over"  #: runs in flight are cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """When jobs may be submitted; None: no start time, no deadline."""

    opens: datetime | None = None
    closes: datetime | None = None  #: at this time nothing is in flight


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How long runs take, and how much that varies."""

    runs: int = 0
    typical: timedelta = timedelta(0)
    spread: timedelta = timedelta(0)

    def learned(self, took: timedelta) -> Pace:
        """Return the pace with one more run; runs weigh the same until PACE_MEMORY are known."""
        if self.runs == 0:
            return Pace(runs=1, typical=took, spread=took / 2)
        known = min(self.runs + 1, PACE_MEMORY)
        return Pace(
            runs=self.runs + 1,
            typical=self.typical + (took - self.typical) / known,
            spread=self.spread + (abs(took - self.typical) - self.spread) / known,
        )

    def lead(self, limit: timedelta) -> timedelta:
        """Return how long before the deadline to submit the last run; *limit* is its time limit."""
        lead = self.typical + 2 * self.spread if self.runs else FIRST_LEAD
        return max(min(lead, limit), MIN_LEAD)


def until_over(window: Window, now: datetime) -> timedelta:
    """Return how long it takes until a window is OVER; very long if it never is, or is already."""
    if window.closes is None or window.closes - now <= LAST_CALL:
        return timedelta.max
    return window.closes - now - LAST_CALL


def phase(window: Window, now: datetime, pace: Pace, limit: timedelta) -> Phase:
    """Say which part of a window *now* is in; *limit* is the longest time that a run may take."""
    if window.opens is not None and now < window.opens:
        return Phase.EARLY
    if window.closes is None:
        return Phase.OPEN
    left = window.closes - now - LAST_CALL
    if left <= timedelta(0):
        return Phase.OVER
    return Phase.LANDING if left <= pace.lead(limit) else Phase.OPEN
