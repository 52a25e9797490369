"""A request on its way to the API, and the fault that it meets."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import httpx


class RequestKind(StrEnum):
    """What a request is for."""

    CREATE = "create"
    POLL = "poll"
    SEARCH = "search"
    CANCEL = "cancel"

    @classmethod
    def of(cls, request: httpx.Request) -> RequestKind | None:
        """Return what a request is for; None for a request that runners never send."""
        method, path = request.method, request.url.path
        if method == "POST" and path.startswith("/v1/automation/"):
            return cls.CREATE
        if method == "POST" and path == "/v1/runs/batch":
            return cls.POLL
        if method == "POST" and path.endswith("/cancel"):
            return cls.CANCEL
        return cls.SEARCH if (method, path) == ("GET", "/v1/runs") else None


EVERYTHING = frozenset(RequestKind)


def is_of_one_run(request: httpx.Request) -> bool:
    """Return whether a request reads a single run: no fault applies to that."""
    return request.method == "GET" and request.url.path.startswith("/v1/runs/")


@dataclass
class RequestHistory:
    """What was sent and received before."""

    #: The newest answers to polls.
    polls: deque[bytes] = field(default_factory=lambda: deque(maxlen=20))
    #: Runs that were reported as unknown once.
    hidden: set[str] = field(default_factory=set)
    #: Run ids of creates that met "ids_of_another".
    earlier_ids: list[str] = field(default_factory=list)
    #: Run ids of the newest create that met "ids_crossed": the next one gets them.
    withheld_ids: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class FaultyRequest:
    """A request that meets a fault."""

    request: httpx.Request
    nth: int  #: requests that met the same fault before
    history: RequestHistory
    onward: Callable[[httpx.Request], Awaitable[httpx.Response]]
    happened: bool = False  #: the fault really happened

    async def answer(self) -> httpx.Response:
        """Send the request to the API, and return its answer."""
        return await self.onward(self.request)

    def note_happened(self) -> None:
        """Note that the fault happens: the client does not get the API's answer."""
        self.happened = True


#: Sends a request to the API or does not, and returns what the client gets, or raises.
Respond: TypeAlias = Callable[[FaultyRequest], Awaitable[httpx.Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFault:
    """What happens to the requests that a fault applies to."""

    description: str
    respond: Respond
    applies_to: frozenset[RequestKind] = EVERYTHING
