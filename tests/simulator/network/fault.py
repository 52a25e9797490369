"""One request on its way to the API, and the fault that it meets there."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import httpx


class RequestKind(StrEnum):
    """What a request asks the API for."""

    CREATE = "create"
    LOOK = "look"
    SEARCH = "search"
    CANCEL = "cancel"

    @classmethod
    def of(cls, request: httpx.Request) -> RequestKind | None:
        """Say what a request asks for; None for what a runner never asks."""
        method, path = request.method, request.url.path
        if method == "POST" and path.startswith("/v1/automation/"):
            return cls.CREATE
        if method == "POST" and path == "/v1/runs/batch":
            return cls.LOOK
        if method == "POST" and path.endswith("/cancel"):
            return cls.CANCEL
        return cls.SEARCH if (method, path) == ("GET", "/v1/runs") else None


EVERYTHING = frozenset(RequestKind)


def is_of_one_run(request: httpx.Request) -> bool:
    """Whether a request is a look at one run by itself: no fault befalls that."""
    return request.method == "GET" and request.url.path.startswith("/v1/runs/")


@dataclass
class RequestHistory:
    """What went over the line before."""

    looks: deque[bytes] = field(default_factory=lambda: deque(maxlen=20))  #: answers to them
    hidden: set[str] = field(default_factory=set)  #: runs that were called unknown once
    told: list[str] = field(default_factory=list)  #: run ids of creates that met a fault of these
    held: list[str] = field(default_factory=list)  #: run ids of a create that was not answered


@dataclass(kw_only=True)
class FaultyRequest:
    """One request that meets a fault."""

    request: httpx.Request
    nth: int  #: how many met the same fault before
    past: RequestHistory
    onward: Callable[[httpx.Request], Awaitable[httpx.Response]]
    struck: bool = False  #: the fault really happened

    async def answer(self) -> httpx.Response:
        """Let the API have the request, and return what it says."""
        return await self.onward(self.request)

    def strike(self) -> None:
        """Note that the fault really happens: from here on the client sees another thing."""
        self.struck = True


#: Takes a request to the API, or not, and returns what the client gets; or raises.
Does: TypeAlias = Callable[[FaultyRequest], Awaitable[httpx.Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFault:
    """Say what happens to the requests that a fault befalls."""

    says: str
    does: Does
    befalls: frozenset[RequestKind] = EVERYTHING
