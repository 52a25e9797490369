"""Learns how long runs take, from the runs that this runner saw end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from batchrunner.model import OpenAttempt
from batchrunner.policy.schedule import Pace

#: The average follows each new run by this part of the difference.
TYPICAL_MEMORY = 32
#: Hosts whose durations are kept; of more, those that ended a run last.
MAX_HOSTS = 20_000


class RunDurations:
    """
    How long runs take.

    Runs that were cancelled say nothing about how long a run needs; they only count for `typical`.
    """

    def __init__(self) -> None:
        self.total = Pace()  #: from the claim to the end
        self.running = Pace()  #: while they are RUNNING
        self.typical: timedelta | None = None  #: average from the claim to the end; None: unknown
        self.by_host = HostDurations()

    def learn(self, attempt: OpenAttempt, now: datetime) -> None:
        """Add an attempt that was closed just now."""
        took = now - attempt.opened_at
        if not attempt.cancel_reason:
            self.total = self.total.learned(took)
            self.running = self.running.learned(now - (attempt.started_at or attempt.opened_at))
        before = took if self.typical is None else self.typical
        self.typical = before + (took - before) / TYPICAL_MEMORY


class HostDurations:
    """How long runs of each host take: an average, with that of all hosts for one run of it."""

    def __init__(self) -> None:
        self._all = Pace()
        self._by_host: dict[str, Pace] = {}  # the host that ended a run last is the last

    def learn(self, host: str, took: timedelta) -> None:
        """Add a run that ended by itself."""
        self._all = self._all.learned(took)
        self._by_host[host] = self._by_host.pop(host, Pace()).learned(took)
        if len(self._by_host) > MAX_HOSTS:
            del self._by_host[next(iter(self._by_host))]

    def learn_past(self, runs: Iterable[tuple[str, timedelta]]) -> None:
        """Add earlier runs, the newest first, of hosts that are unknown so far."""
        known = set(self._by_host)
        for host, took in reversed([*runs]):
            if host not in known:
                self.learn(host, took)

    def seconds(self, host: str) -> float:
        """Return how long a run of a host takes; of an unknown one, as long as any."""
        pace, usual = self._by_host.get(host, Pace()), self._all.typical.total_seconds()
        known = min(pace.runs, TYPICAL_MEMORY)
        return (pace.typical.total_seconds() * known + usual) / (known + 1)
