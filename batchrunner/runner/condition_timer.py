"""Knows for how long something about a run has been odd."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

#: Most that the time between two looks counts: over an outage or a sleep nobody looked.
MAX_GAP = timedelta(minutes=1)


class ConditionTimer:
    """How long each run has been odd, at every look that told; one look that is not ends it."""

    def __init__(self, now: datetime, gap: timedelta = MAX_GAP) -> None:
        self._noted_at = now
        self._gap = gap
        self._lasted: dict[str, timedelta] = {}

    def observe(self, odd: Iterable[str], now: datetime) -> None:
        """Note which runs a look found odd."""
        passed, self._noted_at = min(now - self._noted_at, self._gap), now
        for run_id in odd:
            before = self._lasted.get(run_id)
            self._lasted[run_id] = timedelta(0) if before is None else before + passed

    def forget(self, well: Iterable[str]) -> None:
        """Note which runs a look found well: it begins anew with them."""
        for run_id in well:
            self._lasted.pop(run_id, None)

    def has_lasted(self, run_id: str, patience: timedelta) -> bool:
        """Whether a run has been odd for as long as *patience* lasts."""
        return self._lasted.get(run_id, timedelta(-1)) >= patience
