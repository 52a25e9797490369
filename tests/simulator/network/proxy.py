"""The network between runners and sandbox, with faults in their time windows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import anyio
import httpx

from batchrunner.sandbox.seeded_random import seeded_share
from batchrunner.selftest.invariants import invariant
from tests.simulator.network.connection_faults import ANOTHER_HOST, CONNECTION_FAULTS
from tests.simulator.network.fault import (
    FaultyRequest,
    NetworkFault,
    RequestHistory,
    RequestKind,
    is_of_one_run,
)
from tests.simulator.network.gateway_faults import GATEWAY_FAULTS
from tests.simulator.network.hostile_results import HostileResults
from tests.simulator.network.response_faults import RESPONSE_FAULTS

#: Every fault that a window may have.
FAULTS: Mapping[str, NetworkFault] = {**CONNECTION_FAULTS, **GATEWAY_FAULTS, **RESPONSE_FAULTS}


#: If these last for long, nobody can know whether an unanswered create created runs.
FAULTS_LEAVING_RUNS_UNDECIDED = frozenset(
    {
        "blind_search",
        "cut_goals",
        "endless_list",
        "half_page",
        "ids_crossed",
        "ids_of_another",
        "null_goals",
        "numeric_ids",
    }
)


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """A time in which a share of the requests meets a fault."""

    fault: str
    begins: float  #: in seconds since the batch began
    ends: float
    share: float

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"unknown fault {self.fault!r}; there are {', '.join(FAULTS)}")


#: Precision of the times in the database, in seconds.
TIME_PRECISION = 2e-6


class FaultyNetwork(httpx.AsyncBaseTransport):
    """
    The network between runners and sandbox, with its faults.

    All runners of a batch share one. *fired* counts each fault that happened, by its name. If
    windows overlap, their shares add up. *hostile* and *huge* are the shares of runs whose results
    are hostile, or very long. With the same seed, the n-th request meets the same fault.

    A client must never follow a redirect, nor, if it *waits*, send a throttled create again before
    Retry-After is over. *waits* is False for clients that are killed, which forget what to wait
    for, and for clients whose clock is set.

    Raises:
        InvariantViolated: The client did one of these.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        fired: Counter[str],
        windows: Sequence[FaultWindow] = (),
        seed: int = 0,
        hostile: float = 0.0,
        huge: float = 0.0,
        waits: bool = True,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._inner = inner
        self._fired = fired
        self._windows = windows
        self._seed = seed
        self._hostile = HostileResults(seed=seed, rate=hostile, huge=huge, fired=fired)
        self._waits = waits
        self._clock = clock
        self._requests = 0
        self._history = RequestHistory()
        self._until: dict[str, float] = {}

    @property
    def served(self) -> dict[str, bytes]:
        """The hostile results that were served, by run id."""
        return self._hostile.served

    def may(self, faults: Collection[str]) -> bool:
        """Return whether one of these faults may occur."""
        return any(window.fault in faults for window in self._windows)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request to the sandbox and return its answer, or apply the fault of a window."""
        invariant(request.url.host != ANOTHER_HOST, "the client followed a redirect")
        kind, fault = RequestKind.of(request), self._drawn(request)
        if kind is RequestKind.CREATE and self._waits:
            self._check_wait(request)
        response = await (self._send(request) if fault is None else self._meet(request, fault))
        if kind is RequestKind.CREATE:
            self._note_wait(request, response)
        # An answer that arrives in pieces is not complete before the client gives up.
        shows = kind in (RequestKind.POLL, RequestKind.SEARCH) or is_of_one_run(request)
        return self._hostile.put_into(response) if shows and response.is_closed else response

    def _drawn(self, request: httpx.Request) -> str | None:
        """Draw the fault that a request meets, if any."""
        kind, now = RequestKind.of(request), self._clock()
        draw = seeded_share(self._seed, "network", self._requests)
        self._requests += 1
        for window in self._windows:
            if window.begins <= now < window.ends and kind in FAULTS[window.fault].applies_to:
                if draw < window.share:
                    return window.fault
                draw -= window.share
        return None

    async def _meet(self, request: httpx.Request, fault: str) -> httpx.Response:
        nth = self._fired[fault]
        faulty = FaultyRequest(request=request, nth=nth, history=self._history, onward=self._send)
        try:
            return await FAULTS[fault].respond(faulty)
        finally:
            self._fired[fault] += faulty.happened

    async def _send(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if RequestKind.of(request) is RequestKind.POLL and response.status_code == 200:
            self._history.polls.append(response.content)
        return response

    # ---- throttled creates ----

    def _check_wait(self, request: httpx.Request) -> None:
        now = self._clock()
        for url in _urls(request):
            early = self._until.get(url, now) - now
            invariant(early < TIME_PRECISION, "a create was sent again before Retry-After was over")

    def _note_wait(self, request: httpx.Request, response: httpx.Response) -> None:
        wait = response.headers.get("retry-after", "")
        if response.status_code == 429 and wait.isdigit():
            self._until |= dict.fromkeys(_urls(request), self._clock() + int(wait))


def _urls(request: httpx.Request) -> list[str]:
    body = json.loads(request.content)
    return [run["url"] for run in body.get("runs", [body])]
