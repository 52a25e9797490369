"""Moves an account's runs through time: queued, running, ended, and with which faults."""

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
    FaultTarget,
    ReadFault,
    Status,
    draw_fault,
    fault_address_of,
)
from batchrunner.sandbox.journal import (
    CancelReceived,
    CreateReceived,
    Event,
    FaultyRead,
    Journal,
    JournalOpened,
    RunPerformed,
    SandboxRun,
)
from batchrunner.sandbox.scenario import SandboxConfig
from batchrunner.sandbox.seeded_random import seeded_id, seeded_share
from batchrunner.sandbox.visibility import VisibilityFilter

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


#: The fault of a create request that the balance does not cover, by variant.
_BROKE = {"402": "no_credits", "403": "no_credits_legacy", "403_credits": "no_credits_forbidden"}
#: The fault of a create request above the limit, by variant.
_OVER_LIMIT = {"refused": "over_limit", "refused_in_detail": "over_limit_in_detail"}
_TEN_MINUTES = 600.0


#: What stands in the place of a value that the agent makes up.
_MADE_UP_TEXT, _MADE_UP_NUMBER = "Qovarix Zelthune", 7318.46


def with_made_up_value(result: Any) -> Any:
    """Return a result with another first value, which no page of the sandbox holds."""
    if isinstance(result, Mapping):
        for name, value in result.items():
            changed = with_made_up_value(value)
            if changed is not value:
                return {**result, name: changed}
        return result
    if isinstance(result, list) and result:
        return [with_made_up_value(result[0]), *result[1:]]
    if isinstance(result, str):
        return _MADE_UP_TEXT
    is_number = isinstance(result, int | float) and not isinstance(result, bool)
    return _MADE_UP_NUMBER if is_number else result


class RunEngine:
    """Keeps an account's runs in a journal, and moves them through time.

    Everything that happens is an event, written before it is applied; the events in the journal's
    file are applied again at the start. Time is virtual: `advance` starts and ends runs at their
    exact instants, however late it is called, so nothing depends on when runs are read. All
    instants are whole milliseconds, as the API shows them.
    """

    def __init__(self, *, config: SandboxConfig, journal: Journal, now: datetime) -> None:
        self.journal = journal
        self.unperformed: dict[str, SandboxRun] = {}  #: COMPLETED, but without the agent's result
        self.to_report: list[SandboxRun] = []  #: ended, and to be sent to a webhook
        self._config = config
        self._ten_minutes = config.answers("run_timeout") == "ten_minutes"
        self._limit: int | None = None
        self._occupied = 0
        self._queue: deque[str] = deque()
        self._ends: list[tuple[datetime, int, str]] = []
        self._occasions: Counter[tuple[FaultTarget, str]] = Counter()
        self._requests = self._created = self._reads = 0
        self._opened: datetime | None = None  # by the first sandbox on this journal
        self._latest = datetime.min.replace(tzinfo=UTC)
        for event in journal.past_events():
            self._apply(event)
        self.to_report.clear()  # an earlier sandbox reported them
        self._record(JournalOpened(at=self._instant(now), limit=config.limit))
        self.visible = VisibilityFilter(
            visibility=config.visibility,
            seed=config.seed,
            late=config.late,
            opened=self._opened or now,
        )

    @property
    def balance(self) -> Decimal | None:
        """The credits that are left at the latest instant; None without a wallet."""
        since = self._latest - (self._opened or self._latest)
        credited = self._config.credited(since.total_seconds())
        return None if credited is None else credited - self.journal.charged

    def advance(self, now: datetime) -> None:
        """End the runs that are due, and start runs that waited for their slots."""
        latest = self._instant(now)
        while self._ends and self._ends[0][0] <= latest:
            at, _, run_id = heapq.heappop(self._ends)
            run = self._run(run_id)
            if run.status is Status.RUNNING:  # a cancelled run keeps its entry
                self._end(run, at)

    @property
    def next_end(self) -> datetime | None:
        """When the next run ends; None if no run ends by itself."""
        return self._ends[0][0] if self._ends else None

    def create(
        self,
        bodies: Sequence[Mapping[str, Any]],
        now: datetime,
        holder: str = "",
        *,
        waited: bool = False,
    ) -> CreateReceived:
        """Take a valid create request; return its fault and the runs that it created.

        `waited` means that the client waits for the run's end, as with `/run`.
        """
        at = self._instant(now)
        urls = tuple(str(body["url"]) for body in bodies)
        fault, items = self._request_fault(urls)
        creates = fault is None or REQUEST_FAULTS[fault].creates
        request = CreateReceived(
            at=at,
            status=200 if fault is None else REQUEST_FAULTS[fault].status,
            fault=fault,
            urls=urls,
            items=items,
            runs=self._new_runs(bodies, at, holder, waited=waited) if creates else (),
        )
        self._record(request)
        if fault is not None and REQUEST_FAULTS[fault].repeats:
            again = self._new_runs(bodies, at, holder, waited=waited, replayed=True)
            self._record(replace(request, status=None, runs=again))
        return request

    def refuse(self, status: int, now: datetime) -> None:
        """Record a create request that did not pass validation."""
        self._record(CreateReceived(at=self._instant(now), status=status))

    def cancel(
        self, run_id: str, now: datetime, holder: str = ""
    ) -> tuple[SandboxRun, bool] | None:
        """Cancel a run if it is open; return it and whether it was open; None if it is unknown.

        A run whose client waits for it is not cancelled, unless a variant says so.
        """
        at = self._instant(now)
        self.advance(at)
        run = self.find(run_id, holder)
        if run is None:
            return None
        if not run.status.is_final and self._cancels(run):
            self._record(CancelReceived(at=at, run_id=run_id))
        return self._run(run_id), not run.status.is_final

    def take_result(self, event: RunPerformed) -> None:
        """Take what the agent brought back from a run that is due."""
        self._record(event)

    def find(self, run_id: str, holder: str = "") -> SandboxRun | None:
        """Return a run if the API shows it to the holder of this key."""
        run = self.journal.find(run_id)
        return run if run is not None and _is_shown(run, holder) else None

    def listed(self, now: datetime, holder: str = "") -> list[SandboxRun]:
        """Return the runs that the list shows to the holder of a key, oldest first."""
        shown = (run for run in self.journal.runs if _is_shown(run, holder))
        return self.visible.listed(shown, now)

    def polled(self, run_id: str, now: datetime, holder: str = "") -> SandboxRun | None:
        """Return a run if a read by its id shows it to the holder of this key."""
        run = self.find(run_id, holder)
        return run if run is not None and self.visible.is_polled(now) else None

    def read(self, runs: Iterable[SandboxRun], now: datetime) -> ReadFault | None:
        """Count a read of these runs; return the fault that answers it, if any."""
        met = [fault for run in runs if (fault := self._read_fault(run.url, now)) is not None]
        lot = seeded_share(self._config.seed, "look", self._reads)
        self._reads += 1
        fault = met[0] if met else draw_fault(FaultTarget.READ, self._config.rates, lot)
        return None if fault is None else READ_FAULTS[fault]

    def artifact_fault(self, run: SandboxRun, *, taken: bool = False) -> str | None:
        """Return the fault of a run's artifacts; with *taken*, count this as one time."""
        address = self._address(run.url)
        if address is None:
            lot = seeded_share(self._config.seed, "artifact", run.run_id)
            return draw_fault(FaultTarget.ARTIFACT, self._config.rates, lot)
        occasion = FaultTarget.ARTIFACT, run.url
        met = address.applies(FaultTarget.ARTIFACT, self._occasions[occasion])
        self._occasions[occasion] += taken
        return address.fault if met else None

    def _cancels(self, run: SandboxRun) -> bool:
        return not run.waited or self._config.answers("sync_cancel") == "done"

    def _instant(self, now: datetime) -> datetime:
        # If the clock is set back, the same events must not lead to another history.
        self._latest = max(self._latest, _millisecond(now))
        return self._latest

    def _record(self, event: Event) -> None:
        self.journal.write(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        self.advance(event.at)
        match event:
            case JournalOpened():
                self._opened = self._opened or event.at
                self._limit = event.limit
                self._fill(event.at)
            case CreateReceived():
                self._enter(event)
            case CancelReceived():
                self._cancel(self._run(event.run_id), event.at)
            case RunPerformed():
                self._settle(event)
            case FaultyRead():
                self._occasions[FaultTarget.READ, event.url] += 1

    def _enter(self, request: CreateReceived) -> None:
        self.journal.add_request(request)
        self._requests += 1
        self._created += len(request.runs)
        for url in set(request.urls):
            self._occasions[FaultTarget.REQUEST, url] += 1
        for run in request.runs:
            self.journal.put(run)
            self._occasions[FaultTarget.RUN, run.url] += 1
            if run.course.starts:
                self._queue.append(run.run_id)
        self._fill(request.at)

    def _fill(self, at: datetime) -> None:
        while self._queue and (self._limit is None or self._occupied < self._limit):
            run = self._run(self._queue.popleft())
            if run.status is Status.PENDING:  # a cancelled run stays in the queue
                self._start(run, at)

    def _start(self, run: SandboxRun, at: datetime) -> None:
        self._occupied += 1
        shown = run.course.result if run.course.ends is None else None
        self.journal.put(replace(run, status=Status.RUNNING, started_at=at, result=shown))
        if run.course.ends is not None:
            lasts = timedelta(milliseconds=round(run.duration * run.course.part * 1000))
            heapq.heappush(self._ends, (at + lasts, run.ordinal, run.run_id))

    def _end(self, run: SandboxRun, at: datetime) -> None:
        course = run.course
        ended = replace(run, status=course.ends or run.status, finished_at=at)
        if course.performs:
            self.unperformed[run.run_id] = ended
            self.journal.put(ended)
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

    def _cancel(self, run: SandboxRun, at: datetime) -> None:
        if run.status is Status.RUNNING:
            self._occupied -= 1
        ran = at - (run.started_at or at)
        part = min(ran.total_seconds() / run.duration, 1.0)
        cancelled = replace(run, status=Status.CANCELLED, finished_at=at)
        self._close(cancelled, self._guessed(run, part))
        self._fill(at)

    def _settle(self, event: RunPerformed) -> None:
        due = self.unperformed.pop(event.run_id)
        max_steps = self._max_steps(due)
        if len(event.actions) > max_steps:
            stopped = replace(due, status=Status.FAILED, performed=True, error=_TOO_MANY_STEPS)
            self._close(stopped, event.actions[:max_steps])
            return
        run = replace(
            due,
            performed=True,
            result=with_made_up_value(event.result) if due.course.makes_up else event.result,
            html=event.html,
            schema_errors=event.schema_errors,
        )
        self._close(run, event.actions)

    def _close(self, run: SandboxRun, actions: tuple[str, ...]) -> None:
        """Charge a run for its steps; it never changes after that."""
        free = run.status is Status.FAILED and self._config.answers("failed_runs") == "free"
        charge = Decimal(0) if free else len(actions) * self._config.price
        closed = replace(run, actions=actions, charge=charge)
        self.journal.put(closed)
        if "webhook_url" in run.body:
            self.to_report.append(closed)

    def _guessed(self, run: SandboxRun, part: float) -> tuple[str, ...]:
        steps = min(int(self._config.steps(run.run_id) * part), self._max_steps(run))
        return (f"Open {run.url}", *("Look for what the goal asks for",) * (steps - 1))[:steps]

    @staticmethod
    def _max_steps(run: SandboxRun) -> int:
        """Return after how many steps a run is ended, as the Agent reference says."""
        max_steps: int = run.body.get("agent_config", {}).get("max_steps", 150)
        return max_steps

    def _error(self, run: SandboxRun) -> dict[str, Any] | None:
        error = run.course.error
        if error is None:
            return None
        shown: dict[str, Any] = {
            "message": error.message,
            "category": error.category,
            "retry_after": self._config.retry_after_seconds if error.waits else None,
        }
        return shown if error.code is None else {"code": error.code, **shown}

    def _new_runs(
        self,
        bodies: Sequence[Mapping[str, Any]],
        at: datetime,
        holder: str,
        *,
        waited: bool,
        replayed: bool = False,
    ) -> tuple[SandboxRun, ...]:
        runs: list[SandboxRun] = []
        earlier = Counter(
            {body["url"]: self._occasions[FaultTarget.RUN, body["url"]] for body in bodies}
        )
        for body in bodies:
            nth = earlier[body["url"]]
            earlier[body["url"]] += 1
            fault, duration = self._course(body, nth)
            runs.append(
                SandboxRun(
                    run_id=seeded_id(self._config.seed, self._created + len(runs)),
                    ordinal=self._created + len(runs),
                    body=body,
                    fault=fault,
                    duration=duration,
                    created_at=at,
                    waited=waited,
                    replayed=replayed,
                    holder=holder,
                )
            )
        return tuple(runs)

    def _course(self, body: Mapping[str, Any], nth: int) -> tuple[str, float]:
        fault = self._run_fault(body, nth)
        duration = self._config.duration(body["url"], nth)
        asked = body.get("agent_config", {}).get("max_duration_seconds", duration)
        limit = min(asked, _TEN_MINUTES) if self._ten_minutes else asked
        if limit < duration and RUN_FAULTS[fault].ends is not None:
            return OVERDUE, float(limit)
        return fault, duration

    def _run_fault(self, body: Mapping[str, Any], nth: int) -> str:
        url = str(body["url"])
        address = self._address(url)
        if address is not None:
            met = address.applies(FaultTarget.RUN, nth) and not address.exempts(body)
            return address.fault if met else NORMAL
        lot = seeded_share(self._config.seed, "run", url, nth)
        return draw_fault(FaultTarget.RUN, self._config.rates, lot) or NORMAL

    def _affords(self, count: int) -> bool:
        """Return whether the balance covers a first step of *count* more runs."""
        return self.balance is None or self.balance >= self._config.price * (
            self._unfinished_runs() + count
        )

    def _holds(self, count: int) -> bool:
        """Return whether *count* more runs are accepted, to run or to wait."""
        if self._limit is None or self._config.answers("over_limit") == "queued":
            return True
        return self._unfinished_runs() + count <= self._limit

    def _unfinished_runs(self) -> int:
        return sum(1 for run in self.journal.runs if not run.status.is_final)

    def _request_fault(self, urls: tuple[str, ...]) -> tuple[str | None, tuple[int, ...]]:
        if not self._affords(len(urls)):
            return _BROKE[self._config.answers("no_credits")], ()
        if not self._holds(len(urls)):
            return _OVER_LIMIT[self._config.answers("over_limit")], ()
        met: dict[str, list[int]] = {}
        for index, url in enumerate(urls):
            address = self._address(url)
            if address and address.applies(
                FaultTarget.REQUEST, self._occasions[FaultTarget.REQUEST, url]
            ):
                met.setdefault(address.fault, []).append(index)
        if met:
            first, indexes = next(iter(met.items()))
            return first, tuple(indexes)
        lot = seeded_share(self._config.seed, "request", self._requests)
        fault = draw_fault(FaultTarget.REQUEST, self._config.rates, lot)
        index = int(seeded_share(self._config.seed, "place", self._requests) * len(urls))
        return fault, () if fault is None else (index,)

    def _read_fault(self, url: str, now: datetime) -> str | None:
        address = self._address(url)
        if address is None or not address.applies(
            FaultTarget.READ, self._occasions[FaultTarget.READ, url]
        ):
            return None
        if address.times is not None:  # only counted faults must be remembered
            self._record(FaultyRead(at=self._instant(now), url=url))
        return address.fault

    def _address(self, url: str) -> FaultAddress | None:
        return fault_address_of(url, self._config.script)

    def _run(self, run_id: str) -> SandboxRun:
        run = self.journal.find(run_id)
        if run is None:
            raise LookupError(run_id)
        return run


def _is_shown(run: SandboxRun, holder: str) -> bool:
    return run.course.known and run.holder == holder


def _millisecond(now: datetime) -> datetime:
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
