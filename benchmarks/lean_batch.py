"""A batch in which only the rules of polls, slots and order work: no store, no client, no judge."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from batchrunner.api_facts.limits import MAX_RUNS_PER_REQUEST
from batchrunner.model import AUTO, Job, OpenAttempt, RunStatus
from batchrunner.model.job_file import Looks
from batchrunner.policy.longest_first import LAST_JOBS_PER_SLOT, LastJob, longest_first
from batchrunner.policy.poll_interval import (
    POLL_RULES,
    in_flight_now,
    poll_interval,
    typical_duration,
)
from batchrunner.policy.slots import (
    QUEUE_LAG,
    Capacity,
    SlotUsage,
    concurrency_limit,
    learn_slots,
)
from batchrunner.runner.run_durations import HostDurations, RunDurations

EPOCH = datetime(2026, 11, 21, 22, tzinfo=UTC)
_NEW = OpenAttempt(
    attempt_id=0,
    run_id="",
    submission_id=0,
    marker=None,
    url="",
    job=Job(id=0, key="", attempt=1, failures=0),
    status=RunStatus.PENDING,
    opened_at=EPOCH,
)


class Mode(StrEnum):
    """How a batch asks for slots, and what the API does above the limit."""

    AUTO = "auto"  #: the program learns the slots, and the API queues what is above them
    FIXED = "fixed"  #: the user says how many slots there are
    REFUSED = "refused"  #: the user asks for more than there are, and the API refuses that


class LeanBatch:
    """One batch on an account whose runs all succeed."""

    def __init__(
        self,
        durations: Sequence[float],
        hosts: Sequence[str],
        slots: int,
        mode: Mode,
        looks: Looks,
        known: HostDurations | None = None,
    ) -> None:
        self.now, self.requests, self.creates = 0.0, 0, 0
        self._durations, self._hosts, self._slots = durations, hosts, slots
        self._asked = AUTO if mode is Mode.AUTO else slots
        self._rule = POLL_RULES[looks]
        self._left = dict.fromkeys(range(len(durations)))  # in file order
        self._queue: deque[int] = deque()
        self._running: list[tuple[float, int]] = []  # when each run ends
        self._ended: set[int] = set()  # runs whose end no poll has seen
        self._started: set[int] = set()
        self._open: dict[int, OpenAttempt] = {}  # as the newest poll showed it
        self._learned = RunDurations()
        self.host_durations = known or HostDurations()
        self._capacity: Capacity | None = None
        self._limit: int | None = None

    def run(self) -> None:
        """Submit and poll until every run has ended."""
        self._submit()
        while self._open:
            self._advance()
            self._count_requests(len(self._open))
            ended = self._poll()
            self._submit()
            if self._open:
                self.now += self._interval(ended).total_seconds()

    @property
    def _clock(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)

    def _count_requests(self, runs: int, *, creates: bool = False) -> None:
        count = -(-runs // MAX_RUNS_PER_REQUEST)
        self.requests += count
        self.creates += count * creates

    # ---- the API ----

    def _advance(self) -> None:
        while self._running and self._running[0][0] <= self.now:
            at, number = heapq.heappop(self._running)
            self._ended.add(number)
            self._fill(at)

    def _fill(self, at: float) -> None:
        while self._queue and len(self._running) < self._slots:
            number = self._queue.popleft()
            self._started.add(number)
            heapq.heappush(self._running, (at + self._durations[number], number))

    # ---- the runner ----

    def _poll(self) -> int:
        for number in self._ended:
            attempt = self._open.pop(number)
            self._learned.learn(attempt, self._clock)
            took = timedelta(seconds=self._durations[number])
            self.host_durations.learn(self._hosts[number], took)
        for number, attempt in self._open.items():
            if number in self._started and attempt.started_at is None:
                running = RunStatus.RUNNING
                self._open[number] = replace(attempt, status=running, started_at=self._clock)
        ended = len(self._ended)
        self._ended.clear()
        return ended

    def _submit(self) -> None:
        limit = concurrency_limit(self._asked, self._limit)
        room = min(limit - len(self._open), len(self._left))
        if room <= 0:
            return
        self._count_requests(room, creates=True)
        for number in self._next(room, limit):
            del self._left[number]
            self._open[number] = replace(_NEW, attempt_id=number, opened_at=self._clock)
            self._queue.append(number)
        self._fill(self.now)

    def _next(self, room: int, limit: int) -> list[int]:
        if len(self._left) > LAST_JOBS_PER_SLOT * limit:
            return [number for number, _ in zip(self._left, range(room), strict=False)]
        last = [LastJob(number, self._hosts[number]) for number in self._left]
        by_length = longest_first(last, self.host_durations.seconds, {})
        return [job.id for job in by_length[:room]]

    def _interval(self, ended: int) -> timedelta:
        attempts, now = list(self._open.values()), self._clock
        ages = [now - each.started_at for each in attempts if each.started_at]
        typical = typical_duration(self._learned.running, ages)
        found = self._capacity is not None and self._capacity.found
        in_flight = in_flight_now(
            attempts,
            ended,
            now,
            queue_known=found or typical is None,
            jobs_left=bool(self._left),
        )
        interval = poll_interval(self._rule, typical, in_flight)
        if self._asked == AUTO:
            self._learn_slots(attempts, interval, typical)
            self._submit()
        return interval

    def _learn_slots(
        self, attempts: Sequence[OpenAttempt], interval: timedelta, typical: timedelta | None
    ) -> None:
        limit = concurrency_limit(self._asked, self._limit)
        capacity = self._capacity or Capacity(slots=max(limit - 1, 1))
        pending = [each.opened_at for each in attempts if each.status is RunStatus.PENDING]
        fresh = sum(opened_at > self._clock - QUEUE_LAG for opened_at in pending)
        usage = SlotUsage(
            running=len(attempts) - len(pending), fresh=fresh, waiting=len(pending) - fresh
        )
        self._capacity = learn_slots(capacity, usage, limit)
        if self._capacity.found and typical is not None:
            interval = self._rule.rare(typical)
        self._limit = self._capacity.limit(interval, typical)
