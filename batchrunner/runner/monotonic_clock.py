"""The store's time in this process: it never goes back, and it notices clock jumps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

#: Wall-clock and monotonic time may differ by this much between two readings: NTP corrects clocks.
MAX_DRIFT = timedelta(seconds=5)


class MonotonicClock:
    """
    A clock that goes on steadily whatever happens to the machine's wall clock.

    If the wall clock is set back, this clock goes on at the pace of the monotonic clock. If the
    wall clock runs ahead by more than MAX_DRIFT, the machine slept or its clock was set forward.
    The two cannot be distinguished, so no lease or run is judged by the time that seems to have
    passed.
    """

    def __init__(self, wall: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = timedelta(0)  # the store's time minus the wall clock's
        self._last, self._read_at = wall(), monotonic()
        self._lock = threading.Lock()
        self._jumps: list[tuple[datetime, datetime]] = []  # start and end, oldest first

    def now(self) -> datetime:
        """Return the store's time, never earlier than before; safe to call from any thread."""
        with self._lock:
            return self._read()

    def _read(self) -> datetime:
        read_at = self._monotonic()
        expected = self._last + timedelta(seconds=read_at - self._read_at)
        actual = self._wall() + self._offset
        drift = actual - expected
        if drift < -MAX_DRIFT:
            self._offset -= drift
            actual = expected
        elif drift > MAX_DRIFT:
            self._jumps.append((expected, actual))
        self._last, self._read_at = max(self._last, actual), read_at
        return self._last

    @property
    def jumped_at(self) -> datetime | None:
        """When the newest jump ended; None if there was none."""
        return self._jumps[-1][1] if self._jumps else None

    @property
    def jumped_by(self) -> timedelta:
        """How much time the newest jump skipped."""
        return self._jumps[-1][1] - self._jumps[-1][0] if self._jumps else timedelta(0)

    def before_jumps(self, within: timedelta) -> datetime:
        """Return the time as it would be without the jumps that ended *within* this time."""
        moment = self.now()
        for start, end in reversed(self._jumps):
            if moment - end >= within:
                break
            moment = start
        return moment

    @property
    def wall(self) -> datetime:
        """The time of the machine's wall clock."""
        return self._wall()

    def start_at(self, store_time: datetime) -> None:
        """Begin at the store's time, whatever the wall clock says."""
        self._offset = store_time - self._wall()
        self._last, self._read_at = store_time, self._monotonic()

    def follow(self, store_time: datetime) -> None:
        """Keep up with the store's time, which other processes also advance; never go back."""
        self._offset = max(self._offset, store_time - self._wall())
