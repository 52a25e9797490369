"""An account's runs in time: who waits, who runs, who is due, and what befalls them."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from batchrunner.sandbox.fates import (
    LOOK_FATES,
    NORMAL,
    OVERDUE,
    REQUEST_FATES,
    RUN_FATES,
    Address,
    Kind,
    LookFate,
    Status,
    address_of,
    drawn,
)
from batchrunner.sandbox.ledger import Cancel, Create, Event, Ledger, Look, Opened, Performed, Run
from batchrunner.sandbox.seeded import identifier, share
from batchrunner.sandbox.world import World

_WRONG_SHAPE = {
    "path": "#",
    "expected": "an object as output_schema describes it",
    "received": "another object",
    "message": "The result does not match output_schema",
}


_TOO_MANY_STEPS = {
    "code": "MAX_STEPS_EXCEEDED",
    "message": "The run took as many steps as it may and was not done",
    "category": "AGENT_FAILURE",
    "retry_after": None,
}


class Account:
    """Keep an account's runs on a ledger and move them through time.

    Everything that happens is an event, written before it is applied; what the ledger's file
    holds is applied again at the start. Time is virtual: `advance` finds what began and ended at
    its exact instant, however late it is called, so nothing depends on when somebody looks. All
    instants are whole milliseconds, as the API shows them.
    """

    def __init__(self, *, world: World, ledger: Ledger, now: datetime) -> None:
        self.ledger = ledger
        self.unperformed: dict[str, Run] = {}  #: COMPLETED, and the agent has yet to be sent out
        self._world = world
        self._limit: int | None = None
        self._occupied = 0
        self._queue: deque[str] = deque()
        self._ends: list[tuple[datetime, int, str]] = []
        self._occasions: Counter[tuple[Kind, str]] = Counter()
        self._requests = self._births = self._looks = 0
        self._opened: datetime | None = None  # the first time, if the ledger is older than we
        self._latest = datetime.min.replace(tzinfo=UTC)
        for event in ledger.past():
            self._apply(event)
        self._record(Opened(at=self._instant(now), limit=world.limit))

    @property
    def balance(self) -> Decimal | None:
        """What is left of the credits as of the latest instant; None without a wallet."""
        since = self._latest - (self._opened or self._latest)
        credited = self._world.credited(since.total_seconds())
        return None if credited is None else credited - self.ledger.charged

    def advance(self, now: datetime) -> None:
        """End the runs that are due and start those that waited for their slots."""
        latest = self._instant(now)
        while self._ends and self._ends[0][0] <= latest:
            at, _, run_id = heapq.heappop(self._ends)
            run = self._run(run_id)
            if run.status is Status.RUNNING:  # a cancelled run leaves its entry behind
                self._end(run, at)

    def create(self, bodies: Sequence[Mapping[str, Any]], now: datetime) -> Create:
        """Take a valid create request and give what came of it: its fate and the runs created."""
        at = self._instant(now)
        urls = tuple(str(body["url"]) for body in bodies)
        fate, items = self._request_fate(urls)
        creates = fate is None or REQUEST_FATES[fate].creates
        request = Create(
            at=at,
            status=200 if fate is None else REQUEST_FATES[fate].status,
            fate=fate,
            urls=urls,
            items=items,
            runs=self._born(bodies, at) if creates else (),
        )
        self._record(request)
        return request

    def refuse(self, status: int, now: datetime) -> None:
        """Note a create request that did not pass validation."""
        self._record(Create(at=self._instant(now), status=status))

    def cancel(self, run_id: str, now: datetime) -> tuple[Run, bool] | None:
        """Cancel a run if it is open; give it, and whether it was; None for an unknown run."""
        at = self._instant(now)
        self.advance(at)
        run = self.find(run_id)
        if run is None:
            return None
        if not run.status.is_final:
            self._record(Cancel(at=at, run_id=run_id))
        return self._run(run_id), not run.status.is_final

    def bring(self, event: Performed) -> None:
        """Take what the agent brought back from a run that is due."""
        self._record(event)

    def find(self, run_id: str) -> Run | None:
        """Find a run that the API knows."""
        run = self.ledger.find(run_id)
        return run if run is not None and run.course.known else None

    def listed(self, now: datetime) -> list[Run]:
        """Give the runs that the list shows, oldest first."""
        latest = now - timedelta(seconds=self._world.late)
        return [run for run in self.ledger.runs if run.course.known and run.created_at <= latest]

    def look(self, runs: Iterable[Run], now: datetime) -> LookFate | None:
        """Count a look at these runs and say what answers in the place of the API, if anything."""
        met = [fate for run in runs if (fate := self._look_fate(run.url, now)) is not None]
        lot = share(self._world.seed, "look", self._looks)
        self._looks += 1
        fate = met[0] if met else drawn(Kind.LOOK, self._world.rates, lot)
        return None if fate is None else LOOK_FATES[fate]

    def _instant(self, now: datetime) -> datetime:
        # A clock that steps back must not make a second history out of the same events.
        self._latest = max(self._latest, _millisecond(now))
        return self._latest

    def _record(self, event: Event) -> None:
        self.ledger.write(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        self.advance(event.at)
        match event:
            case Opened():
                self._opened = self._opened or event.at
                self._limit = event.limit
                self._fill(event.at)
            case Create():
                self._enter(event)
            case Cancel():
                self._cancel(self._run(event.run_id), event.at)
            case Performed():
                self._settle(event)
            case Look():
                self._occasions[Kind.LOOK, event.url] += 1

    def _enter(self, request: Create) -> None:
        self.ledger.note(request)
        self._requests += 1
        self._births += len(request.runs)
        for url in set(request.urls):
            self._occasions[Kind.REQUEST, url] += 1
        for run in request.runs:
            self.ledger.put(run)
            self._occasions[Kind.RUN, run.url] += 1
            if run.course.starts:
                self._queue.append(run.run_id)
        self._fill(request.at)

    def _fill(self, at: datetime) -> None:
        while self._queue and (self._limit is None or self._occupied < self._limit):
            run = self._run(self._queue.popleft())
            if run.status is Status.PENDING:  # a cancelled run stays in the queue
                self._start(run, at)

    def _start(self, run: Run, at: datetime) -> None:
        self._occupied += 1
        self.ledger.put(replace(run, status=Status.RUNNING, started_at=at))
        if run.course.ends is not None:
            lasts = timedelta(milliseconds=round(run.duration * run.course.part * 1000))
            heapq.heappush(self._ends, (at + lasts, run.ordinal, run.run_id))

    def _end(self, run: Run, at: datetime) -> None:
        course = run.course
        ended = replace(run, status=course.ends or run.status, finished_at=at)
        if course.performs:
            self.unperformed[run.run_id] = ended
            self.ledger.put(ended)
        else:
            result = replace(
                ended,
                result=course.result,
                error=self._error(run),
                schema_errors=(_WRONG_SHAPE,) if course.breaks_schema else (),
            )
            self.ledger.put(self._charged(result, self._guessed(run, course.part)))
        self._occupied -= 1
        self._fill(at)

    def _cancel(self, run: Run, at: datetime) -> None:
        if run.status is Status.RUNNING:
            self._occupied -= 1
        ran = at - (run.started_at or at)
        part = min(ran.total_seconds() / run.duration, 1.0)
        cancelled = replace(run, status=Status.CANCELLED, finished_at=at)
        self.ledger.put(self._charged(cancelled, self._guessed(run, part)))
        self._fill(at)

    def _settle(self, event: Performed) -> None:
        due = self.unperformed.pop(event.run_id)
        most = self._most_steps(due)
        if len(event.actions) > most:
            stopped = replace(due, status=Status.FAILED, performed=True, error=_TOO_MANY_STEPS)
            self.ledger.put(self._charged(stopped, event.actions[:most]))
            return
        run = replace(
            due,
            performed=True,
            result=event.result,
            html=event.html,
            schema_errors=event.schema_errors,
        )
        self.ledger.put(self._charged(run, event.actions))

    def _charged(self, run: Run, actions: tuple[str, ...]) -> Run:
        return replace(run, actions=actions, charge=len(actions) * self._world.price)

    def _guessed(self, run: Run, part: float) -> tuple[str, ...]:
        steps = min(int(self._world.steps(run.run_id) * part), self._most_steps(run))
        return (f"Open {run.url}", *("Look for what the goal asks for",) * (steps - 1))[:steps]

    @staticmethod
    def _most_steps(run: Run) -> int:
        """Say after how many steps a run is ended, as the Agent reference tells."""
        most: int = run.body.get("agent_config", {}).get("max_steps", 150)
        return most

    def _error(self, run: Run) -> dict[str, Any] | None:
        error = run.course.error
        if error is None:
            return None
        told: dict[str, Any] = {
            "message": error.message,
            "category": error.category,
            "retry_after": self._world.told_wait if error.waits else None,
        }
        return told if error.code is None else {"code": error.code, **told}

    def _born(self, bodies: Sequence[Mapping[str, Any]], at: datetime) -> tuple[Run, ...]:
        runs: list[Run] = []
        earlier = Counter({body["url"]: self._occasions[Kind.RUN, body["url"]] for body in bodies})
        for body in bodies:
            nth = earlier[body["url"]]
            earlier[body["url"]] += 1
            fate, duration = self._course(body, nth)
            runs.append(
                Run(
                    run_id=identifier(self._world.seed, self._births + len(runs)),
                    ordinal=self._births + len(runs),
                    body=body,
                    fate=fate,
                    duration=duration,
                    created_at=at,
                )
            )
        return tuple(runs)

    def _course(self, body: Mapping[str, Any], nth: int) -> tuple[str, float]:
        fate = self._run_fate(body, nth)
        duration = self._world.duration(body["url"], nth)
        most = body.get("agent_config", {}).get("max_duration_seconds", duration)
        if most < duration and RUN_FATES[fate].ends is not None:
            return OVERDUE, float(most)
        return fate, duration

    def _run_fate(self, body: Mapping[str, Any], nth: int) -> str:
        url = str(body["url"])
        address = self._address(url)
        if address is not None:
            met = address.befalls(Kind.RUN, nth) and not address.spares(body)
            return address.fate if met else NORMAL
        lot = share(self._world.seed, "run", url, nth)
        return drawn(Kind.RUN, self._world.rates, lot) or NORMAL

    def _affords(self, count: int) -> bool:
        """Say whether the balance covers a first step of so many more runs."""
        if self.balance is None:
            return True
        alive = sum(1 for run in self.ledger.runs if not run.status.is_final)
        return self.balance >= self._world.price * (alive + count)

    def _request_fate(self, urls: tuple[str, ...]) -> tuple[str | None, tuple[int, ...]]:
        if not self._affords(len(urls)):
            return "no_credits", ()
        met: dict[str, list[int]] = {}
        for place, url in enumerate(urls):
            address = self._address(url)
            if address and address.befalls(Kind.REQUEST, self._occasions[Kind.REQUEST, url]):
                met.setdefault(address.fate, []).append(place)
        if met:
            first, places = next(iter(met.items()))
            return first, tuple(places)
        lot = share(self._world.seed, "request", self._requests)
        fate = drawn(Kind.REQUEST, self._world.rates, lot)
        place = int(share(self._world.seed, "place", self._requests) * len(urls))
        return fate, () if fate is None else (place,)

    def _look_fate(self, url: str, now: datetime) -> str | None:
        address = self._address(url)
        if address is None or not address.befalls(Kind.LOOK, self._occasions[Kind.LOOK, url]):
            return None
        if address.times is not None:  # looks are worth remembering only where they are counted
            self._record(Look(at=self._instant(now), url=url))
        return address.fate

    def _address(self, url: str) -> Address | None:
        return address_of(url, self._world.script)

    def _run(self, run_id: str) -> Run:
        run = self.ledger.find(run_id)
        if run is None:
            raise LookupError(run_id)
        return run


def _millisecond(now: datetime) -> datetime:
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
