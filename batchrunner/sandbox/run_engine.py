"""An account's runs in time: who waits, who runs, who is due, and what befalls them."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from batchrunner.sandbox.faults import (
    NORMAL,
    OVERDUE,
    READ_FAULTS,
    REQUEST_FAULTS,
    RUN_FAULTS,
    FaultAddress,
    FaultKind,
    ReadFault,
    Status,
    draw_fault,
    fault_address_of,
)
from batchrunner.sandbox.journal import Cancel, Create, Event, Journal, Look, Opened, Performed, Run
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id, seeded_share

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


#: What a create request meets that the balance does not cover.
_BROKE = {"402": "no_credits", "403": "no_credits_legacy", "403_credits": "no_credits_forbidden"}
_TEN_MINUTES = 600.0


class RunEngine:
    """Keep an account's runs on a ledger and move them through time.

    Everything that happens is an event, written before it is applied; what the ledger's file
    holds is applied again at the start. Time is virtual: `advance` finds what began and ended at
    its exact instant, however late it is called, so nothing depends on when somebody looks. All
    instants are whole milliseconds, as the API shows them.
    """

    def __init__(self, *, world: SandboxConfig, ledger: Journal, now: datetime) -> None:
        self.ledger = ledger
        self.unperformed: dict[str, Run] = {}  #: COMPLETED, and the agent has yet to be sent out
        self.told: list[Run] = []  #: ended since the start, and a webhook is to hear of it
        self._world = world
        self._ten_minutes = world.answers("run_timeout") == "ten_minutes"
        self._limit: int | None = None
        self._occupied = 0
        self._queue: deque[str] = deque()
        self._ends: list[tuple[datetime, int, str]] = []
        self._occasions: Counter[tuple[FaultKind, str]] = Counter()
        self._requests = self._births = self._looks = 0
        self._opened: datetime | None = None  # the first time, if the ledger is older than we
        self._latest = datetime.min.replace(tzinfo=UTC)
        for event in ledger.past():
            self._apply(event)
        self.told.clear()  # an earlier sandbox told them
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

    @property
    def next_end(self) -> datetime | None:
        """The instant at which the next run may end; None if none does by itself."""
        return self._ends[0][0] if self._ends else None

    def create(
        self,
        bodies: Sequence[Mapping[str, Any]],
        now: datetime,
        holder: str = "",
        *,
        waited: bool = False,
    ) -> Create:
        """Take a valid create request and give what came of it: its fate and the runs created.

        `waited` says that the client waits for the end, as with `/run`.
        """
        at = self._instant(now)
        urls = tuple(str(body["url"]) for body in bodies)
        fate, items = self._request_fate(urls)
        creates = fate is None or REQUEST_FAULTS[fate].creates
        request = Create(
            at=at,
            status=200 if fate is None else REQUEST_FAULTS[fate].status,
            fate=fate,
            urls=urls,
            items=items,
            runs=self._born(bodies, at, holder, waited=waited) if creates else (),
        )
        self._record(request)
        return request

    def refuse(self, status: int, now: datetime) -> None:
        """Note a create request that did not pass validation."""
        self._record(Create(at=self._instant(now), status=status))

    def cancel(self, run_id: str, now: datetime, holder: str = "") -> tuple[Run, bool] | None:
        """Cancel a run if it is open; give it, and whether it was; None for an unknown run.

        A run that somebody waits for stays as it is, unless the world has it otherwise.
        """
        at = self._instant(now)
        self.advance(at)
        run = self.find(run_id, holder)
        if run is None:
            return None
        if not run.status.is_final and self._cancels(run):
            self._record(Cancel(at=at, run_id=run_id))
        return self._run(run_id), not run.status.is_final

    def bring(self, event: Performed) -> None:
        """Take what the agent brought back from a run that is due."""
        self._record(event)

    def find(self, run_id: str, holder: str = "") -> Run | None:
        """Find a run that the API knows, and shows to this holder."""
        run = self.ledger.find(run_id)
        return run if run is not None and _is_shown(run, holder) else None

    def listed(self, now: datetime, holder: str = "") -> list[Run]:
        """Give the runs that the list shows to a holder, oldest first."""
        latest = now - timedelta(seconds=self._world.late)
        shown = (run for run in self.ledger.runs if _is_shown(run, holder))
        return [run for run in shown if run.created_at <= latest]

    def look(self, runs: Iterable[Run], now: datetime) -> ReadFault | None:
        """Count a look at these runs and say what answers in the place of the API, if anything."""
        met = [fate for run in runs if (fate := self._look_fate(run.url, now)) is not None]
        lot = seeded_share(self._world.seed, "look", self._looks)
        self._looks += 1
        fate = met[0] if met else draw_fault(FaultKind.LOOK, self._world.rates, lot)
        return None if fate is None else READ_FAULTS[fate]

    def artifact_fate(self, run: Run, *, taken: bool = False) -> str | None:
        """Name what befalls a run's artifacts; one that is taken counts as an occasion."""
        address = self._address(run.url)
        if address is None:
            lot = seeded_share(self._world.seed, "artifact", run.run_id)
            return draw_fault(FaultKind.ARTIFACT, self._world.rates, lot)
        occasion = FaultKind.ARTIFACT, run.url
        met = address.befalls(FaultKind.ARTIFACT, self._occasions[occasion])
        self._occasions[occasion] += taken
        return address.fate if met else None

    def _cancels(self, run: Run) -> bool:
        return not run.waited or self._world.answers("sync_cancel") == "done"

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
                self._occasions[FaultKind.LOOK, event.url] += 1

    def _enter(self, request: Create) -> None:
        self.ledger.note(request)
        self._requests += 1
        self._births += len(request.runs)
        for url in set(request.urls):
            self._occasions[FaultKind.REQUEST, url] += 1
        for run in request.runs:
            self.ledger.put(run)
            self._occasions[FaultKind.RUN, run.url] += 1
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
        shown = run.course.result if run.course.ends is None else None
        self.ledger.put(replace(run, status=Status.RUNNING, started_at=at, result=shown))
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
            self._close(result, self._guessed(run, course.part))
        self._occupied -= 1
        self._fill(at)

    def _cancel(self, run: Run, at: datetime) -> None:
        if run.status is Status.RUNNING:
            self._occupied -= 1
        ran = at - (run.started_at or at)
        part = min(ran.total_seconds() / run.duration, 1.0)
        cancelled = replace(run, status=Status.CANCELLED, finished_at=at)
        self._close(cancelled, self._guessed(run, part))
        self._fill(at)

    def _settle(self, event: Performed) -> None:
        due = self.unperformed.pop(event.run_id)
        most = self._most_steps(due)
        if len(event.actions) > most:
            stopped = replace(due, status=Status.FAILED, performed=True, error=_TOO_MANY_STEPS)
            self._close(stopped, event.actions[:most])
            return
        run = replace(
            due,
            performed=True,
            result=event.result,
            html=event.html,
            schema_errors=event.schema_errors,
        )
        self._close(run, event.actions)

    def _close(self, run: Run, actions: tuple[str, ...]) -> None:
        """Charge a run for what it did, and keep it as it will be for ever."""
        free = run.status is Status.FAILED and self._world.answers("failed_runs") == "free"
        charge = Decimal(0) if free else len(actions) * self._world.price
        closed = replace(run, actions=actions, charge=charge)
        self.ledger.put(closed)
        if "webhook_url" in run.body:
            self.told.append(closed)

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

    def _born(
        self, bodies: Sequence[Mapping[str, Any]], at: datetime, holder: str, *, waited: bool
    ) -> tuple[Run, ...]:
        runs: list[Run] = []
        earlier = Counter(
            {body["url"]: self._occasions[FaultKind.RUN, body["url"]] for body in bodies}
        )
        for body in bodies:
            nth = earlier[body["url"]]
            earlier[body["url"]] += 1
            fate, duration = self._course(body, nth)
            runs.append(
                Run(
                    run_id=seeded_id(self._world.seed, self._births + len(runs)),
                    ordinal=self._births + len(runs),
                    body=body,
                    fate=fate,
                    duration=duration,
                    created_at=at,
                    waited=waited,
                    holder=holder,
                )
            )
        return tuple(runs)

    def _course(self, body: Mapping[str, Any], nth: int) -> tuple[str, float]:
        fate = self._run_fate(body, nth)
        duration = self._world.duration(body["url"], nth)
        asked = body.get("agent_config", {}).get("max_duration_seconds", duration)
        most = min(asked, _TEN_MINUTES) if self._ten_minutes else asked
        if most < duration and RUN_FAULTS[fate].ends is not None:
            return OVERDUE, float(most)
        return fate, duration

    def _run_fate(self, body: Mapping[str, Any], nth: int) -> str:
        url = str(body["url"])
        address = self._address(url)
        if address is not None:
            met = address.befalls(FaultKind.RUN, nth) and not address.spares(body)
            return address.fate if met else NORMAL
        lot = seeded_share(self._world.seed, "run", url, nth)
        return draw_fault(FaultKind.RUN, self._world.rates, lot) or NORMAL

    def _affords(self, count: int) -> bool:
        """Say whether the balance covers a first step of so many more runs."""
        return self.balance is None or self.balance >= self._world.price * (self._alive() + count)

    def _holds(self, count: int) -> bool:
        """Say whether so many more runs are taken, be it to wait."""
        if self._limit is None or self._world.answers("over_limit") == "queued":
            return True
        return self._alive() + count <= self._limit

    def _alive(self) -> int:
        return sum(1 for run in self.ledger.runs if not run.status.is_final)

    def _request_fate(self, urls: tuple[str, ...]) -> tuple[str | None, tuple[int, ...]]:
        if not self._affords(len(urls)):
            return _BROKE[self._world.answers("no_credits")], ()
        if not self._holds(len(urls)):
            return "throttled", ()
        met: dict[str, list[int]] = {}
        for place, url in enumerate(urls):
            address = self._address(url)
            if address and address.befalls(
                FaultKind.REQUEST, self._occasions[FaultKind.REQUEST, url]
            ):
                met.setdefault(address.fate, []).append(place)
        if met:
            first, places = next(iter(met.items()))
            return first, tuple(places)
        lot = seeded_share(self._world.seed, "request", self._requests)
        fate = draw_fault(FaultKind.REQUEST, self._world.rates, lot)
        place = int(seeded_share(self._world.seed, "place", self._requests) * len(urls))
        return fate, () if fate is None else (place,)

    def _look_fate(self, url: str, now: datetime) -> str | None:
        address = self._address(url)
        if address is None or not address.befalls(
            FaultKind.LOOK, self._occasions[FaultKind.LOOK, url]
        ):
            return None
        if address.times is not None:  # looks are worth remembering only where they are counted
            self._record(Look(at=self._instant(now), url=url))
        return address.fate

    def _address(self, url: str) -> FaultAddress | None:
        return fault_address_of(url, self._world.script)

    def _run(self, run_id: str) -> Run:
        run = self.ledger.find(run_id)
        if run is None:
            raise LookupError(run_id)
        return run


def _is_shown(run: Run, holder: str) -> bool:
    return run.course.known and run.holder == holder


def _millisecond(now: datetime) -> datetime:
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
