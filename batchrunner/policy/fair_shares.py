"""How the live runners of a batch share its slots; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: Longest time between two reads of the database, which other processes may have changed.
DB_POLL_INTERVAL = timedelta(seconds=2)
#: Slots that others have left for so long are free for everybody: each runner has looked once.
LEFT_AFTER = DB_POLL_INTERVAL
#: How long a runner that has tried to claim counts as one that wants slots.
WANTS_FOR = 2 * DB_POLL_INTERVAL
#: How long the slots that cannot be divided stay with the same runners: each looks twice.
TURN = 2 * DB_POLL_INTERVAL


def slot_share(bound: int, owners: Sequence[str], me: str, now: datetime) -> int:
    """
    Return how many of *bound* slots are for *me*, one of the batch's live *owners*.

    The shares of all add up to *bound*. What cannot be divided goes to each in turn, so that nobody
    is without a slot for long if there are fewer slots than owners.
    """
    each, rest = divmod(max(bound, 0), len(owners))
    turn = int(now.timestamp() // TURN.total_seconds())
    place = (sorted(owners).index(me) + turn) % len(owners)
    return each + (place < rest)


@dataclass(slots=True)
class LeftSlots:
    """One runner's memory of the slots beyond its share, and since when others leave them."""

    #: At least so many slots have been left since then; both only grow.
    _since: list[tuple[datetime, int]] = field(default_factory=list)
    _seen_at: datetime | None = None

    def take(self, free: int, own: int, now: datetime) -> int:
        """
        Return how many of the *free* slots to take.

        That is up to *own* at once, which are left of this runner's share, and beyond them what
        others have left for LEFT_AFTER.
        """
        at_once = max(min(free, own), 0)
        left = max(free, 0) - at_once
        self._observe(left, now)
        ripe = max((count for since, count in self._since if now - since >= LEFT_AFTER), default=0)
        self._since = [(since, count - ripe) for since, count in self._since if count > ripe]
        return at_once + ripe

    def forget(self) -> None:
        """Begin anew: nothing is left to others."""
        self._since.clear()

    def ripe_at(self) -> datetime | None:
        """Return when slots that are left may be taken; None if none are left."""
        return self._since[0][0] + LEFT_AFTER if self._since else None

    def _observe(self, left: int, now: datetime) -> None:
        """Note that so many slots are left."""
        if self._seen_at is None or not timedelta(0) <= now - self._seen_at <= WANTS_FOR:
            self.forget()  # nobody has looked for long, or the clock was set
        since, self._seen_at = now, now
        while self._since and self._since[-1][1] >= left:
            since, _ = self._since.pop()
        if left:
            self._since.append((since, left))
