"""What the way to the API does to requests and answers: one row for each fault."""

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
from tests.simulator.network.hostile_results import HostileResults
from tests.simulator.network.response_faults import RESPONSE_FAULTS

#: Every name that a spell may have.
FAULTS: Mapping[str, NetworkFault] = {**CONNECTION_FAULTS, **RESPONSE_FAULTS}


#: Where these go on for long, nothing can tell whether a run exists that a create did not tell of.
FAULTS_LEAVING_DOUBT = frozenset(
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
    """A time in which a share of the requests that a fault applies to meet it."""

    fault: str
    begins: float  #: seconds since the night began
    ends: float
    share: float

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"unknown fault {self.fault!r}; there are {', '.join(FAULTS)}")


#: Seconds; the ledger's time is no more exact than that.
EXACT = 2e-6


class FaultyNetwork(httpx.AsyncBaseTransport):
    """
    The way to the sandbox, and what befalls requests and answers on it.

    It outlives runners: give each the same one. *fired* counts each time that a fault really
    happened, by the name of the fault or the poison. Where spells overlap their shares add up.
    *poison* and *huge* are the shares of runs whose results are hostile, or very long. Of two
    networks with one seed the n-th request meets the same fault.

    Raises Broken where a client does what no network can excuse: it follows a redirect, or, if it
    *waits*, sends what was throttled again before it was allowed. A client that is killed may take
    with it what it was told, and one whose clock is set forward takes its waits for over.
    """

    def __init__(
        self,
        inner: httpx.AsyncBaseTransport,
        *,
        fired: Counter[str],
        spells: Sequence[FaultWindow] = (),
        seed: int = 0,
        poison: float = 0.0,
        huge: float = 0.0,
        waits: bool = True,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._inner = inner
        self._fired = fired
        self._spells = spells
        self._seed = seed
        self._poison = HostileResults(seed=seed, rate=poison, huge=huge, fired=fired)
        self._waits = waits
        self._clock = clock
        self._requests = 0
        self._past = RequestHistory()
        self._until: dict[str, float] = {}

    @property
    def served(self) -> dict[str, bytes]:
        """The hostile results that were shown, by run id."""
        return self._poison.served

    def may(self, faults: Collection[str]) -> bool:
        """Whether one of these faults is among the spells."""
        return any(spell.fault in faults for spell in self._spells)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Take a request to the sandbox and its answer back, or do what a spell asks for."""
        invariant(request.url.host != ANOTHER_HOST, "a redirect was followed")
        asked, fault = RequestKind.of(request), self._drawn(request)
        if asked is RequestKind.CREATE and self._waits:
            self._check_wait(request)
        response = await (self._send(request) if fault is None else self._meet(request, fault))
        if asked is RequestKind.CREATE:
            self._note_wait(request, response)
        # What comes in pieces is never whole before the client gives it up.
        shows = asked in (RequestKind.LOOK, RequestKind.SEARCH) or is_of_one_run(request)
        return self._poison.put_into(response) if shows and response.is_closed else response

    def _drawn(self, request: httpx.Request) -> str | None:
        """Draw the fault that a request meets, if one does."""
        asked, now = RequestKind.of(request), self._clock()
        lot = seeded_share(self._seed, "network", self._requests)
        self._requests += 1
        for spell in self._spells:
            if spell.begins <= now < spell.ends and asked in FAULTS[spell.fault].befalls:
                if lot < spell.share:
                    return spell.fault
                lot -= spell.share
        return None

    async def _meet(self, request: httpx.Request, fault: str) -> httpx.Response:
        nth = self._fired[fault]
        trip = FaultyRequest(request=request, nth=nth, past=self._past, onward=self._send)
        try:
            return await FAULTS[fault].does(trip)
        finally:
            self._fired[fault] += trip.struck

    async def _send(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if RequestKind.of(request) is RequestKind.LOOK and response.status_code == 200:
            self._past.looks.append(response.content)
        return response

    # ---- what was throttled ----

    def _check_wait(self, request: httpx.Request) -> None:
        now = self._clock()
        for url in _urls(request):
            early = self._until.get(url, now) - now
            invariant(early < EXACT, "sent before Retry-After was over")

    def _note_wait(self, request: httpx.Request, response: httpx.Response) -> None:
        wait = response.headers.get("retry-after", "")
        if response.status_code == 429 and wait.isdigit():
            self._until |= dict.fromkeys(_urls(request), self._clock() + int(wait))


def _urls(request: httpx.Request) -> list[str]:
    body = json.loads(request.content)
    return [run["url"] for run in body.get("runs", [body])]
