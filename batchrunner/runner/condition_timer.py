"""Measures for how long a condition of a run has lasted, counting only time that was observed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

#: Longest time between two observations that counts: nobody observes during an outage or a sleep.
MAX_GAP = timedelta(minutes=1)


class ConditionTimer:
    """How long each run has met a condition, in every observation that covered the run."""

    def __init__(self, now: datetime, max_gap: timedelta = MAX_GAP) -> None:
        self._observed_at = now
        self._max_gap = max_gap
        self._lasted: dict[str, timedelta] = {}

    def observe(self, run_ids: Iterable[str], now: datetime) -> None:
        """Note which runs met the condition in an observation."""
        passed, self._observed_at = min(now - self._observed_at, self._max_gap), now
        for run_id in run_ids:
            before = self._lasted.get(run_id)
            self._lasted[run_id] = timedelta(0) if before is None else before + passed

    def forget(self, run_ids: Iterable[str]) -> None:
        """Note which runs did not meet the condition: they begin again at zero."""
        for run_id in run_ids:
            self._lasted.pop(run_id, None)

    def has_lasted(self, run_id: str, duration: timedelta) -> bool:
        """Return whether a run has met the condition for at least *duration*."""
        return self._lasted.get(run_id, timedelta(-1)) >= duration
