"""Stops a runner from another thread or from a signal handler: first drain, then leave."""

from __future__ import annotations

import threading
from enum import IntEnum


class StopRequest(IntEnum):
    """What a runner is asked to do; a later one includes the earlier ones."""

    NONE = 0
    DRAIN = 1  #: submit nothing more, and wait for runs in flight
    LEAVE = 2  #: return at once; runs go on remotely, and the next start adopts them


class StopControl:
    """Carries stop requests to a runner; any thread may use it, at any time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._request = StopRequest.NONE
        self._closed = False

    @property
    def request(self) -> StopRequest:
        """Return the strongest request so far."""
        return self._request

    def drain(self) -> None:
        """Ask for nothing more to be submitted; the runner returns when its runs have ended."""
        self._ask(StopRequest.DRAIN)

    def leave(self) -> None:
        """Ask the runner to return at once."""
        self._ask(StopRequest.LEAVE)

    def reopen(self) -> None:
        """Let a second runner wait for requests, after the first one has ended."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """Let everybody who waits for a request return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_for_more(self, known: StopRequest) -> StopRequest:
        """Wait for a stronger request than *known*, or for `close`; return the strongest."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._request > known)
            return self._request

    def _ask(self, request: StopRequest) -> None:
        with self._changed:
            self._request = max(self._request, request)
            self._changed.notify_all()
