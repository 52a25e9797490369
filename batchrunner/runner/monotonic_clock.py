"""The ledger's time in this process: it never goes back, and tells when it leapt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

#: Wall-clock and monotonic time may part by this much between two readings: clocks are trimmed.
MAX_DRIFT = timedelta(seconds=5)


class MonotonicClock:
    """
    A clock that runs on through everything that is done to the machine's own.

    Where the wall clock is set back, it goes on at the pace of the monotonic one. Where the wall
    clock runs ahead by more than TRIM, the machine slept or was set forward: which of the two
    cannot be told, so what seems to have passed is not held against anybody.
    """

    def __init__(self, wall: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = timedelta(0)  # of the ledger's time from the wall clock's
        self._told, self._read_at = wall(), monotonic()
        self._turn = threading.Lock()
        self._jumps: list[tuple[datetime, datetime]] = []  # from when to when, oldest first

    def now(self) -> datetime:
        """Return the ledger's time; never earlier than it was before. Any thread may ask."""
        with self._turn:
            return self._read()

    def _read(self) -> datetime:
        read_at = self._monotonic()
        expected = self._told + timedelta(seconds=read_at - self._read_at)
        seen = self._wall() + self._offset
        parted = seen - expected
        if parted < -MAX_DRIFT:
            self._offset -= parted
            seen = expected
        elif parted > MAX_DRIFT:
            self._jumps.append((expected, seen))
        self._told, self._read_at = max(self._told, seen), read_at
        return self._told

    @property
    def jumped_at(self) -> datetime | None:
        """When the newest leap ended, if there was one."""
        return self._jumps[-1][1] if self._jumps else None

    @property
    def jumped_by(self) -> timedelta:
        """How much time the newest leap left out."""
        return self._jumps[-1][1] - self._jumps[-1][0] if self._jumps else timedelta(0)

    def before_jumps(self, patience: timedelta) -> datetime:
        """Return what time it would be had those leaps not been that ended within *patience*."""
        moment = self.now()
        for begun, ended in reversed(self._jumps):
            if moment - ended >= patience:
                break
            moment = begun
        return moment

    @property
    def wall(self) -> datetime:
        """What the machine's own clock shows."""
        return self._wall()

    def start_at(self, ledgers: datetime) -> None:
        """Take the ledger's time over when this process begins, wherever the wall clock is."""
        self._offset = ledgers - self._wall()
        self._told, self._read_at = ledgers, self._monotonic()

    def follow(self, ledgers: datetime) -> None:
        """Keep up with the ledger's time, which others keep as well; never go back to it."""
        self._offset = max(self._offset, ledgers - self._wall())
