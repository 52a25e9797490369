"""An answer of the database that all loops of a runner share until something changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from batchrunner.store.store import ChangeMark

#: How long an answer of a server is shared at most: it does not show what others have changed.
SHARED_FOR = timedelta(seconds=0.25)

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """
    Asks again only after a change: on a file, by any process; on a server, by this one.

    Synchronous: loops call it where they would ask the database, one at a time.
    """

    def __init__(self, ask: Callable[[], T], mark: Callable[[], ChangeMark]) -> None:
        self._ask = ask
        self._mark = mark
        self._known: tuple[T, ChangeMark, datetime] | None = None

    def get(self, now: datetime) -> T:
        """Return the known answer if nothing has changed since; else ask."""
        mark = self._mark()  # before the question: what changes meanwhile makes the answer old
        if self._known is not None:
            answer, known_mark, asked_at = self._known
            is_new = mark.by_others is not None or abs(now - asked_at) < SHARED_FOR
            if mark == known_mark and is_new:
                return answer
        answer = self._ask()
        self._known = answer, mark, now
        return answer
