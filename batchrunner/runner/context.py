"""What the loops of one runner share: the batch, the store, the API, the clock and the wake-ups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from batchrunner.model import Batch, Owner, WorkLeft
from batchrunner.policy.fair_shares import DB_POLL_INTERVAL
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.schedule import Phase, Window, phase, until_over
from batchrunner.runner.backpressure import RequestGates
from batchrunner.runner.events import Event
from batchrunner.runner.monotonic_clock import MonotonicClock
from batchrunner.runner.offload import Offload, RetryingOffload
from batchrunner.runner.run_durations import RunDurations
from batchrunner.runner.shared_answer import SharedAnswer
from batchrunner.runner.stop_state import StopState
from batchrunner.runner.streamed_create import StreamedCreate
from batchrunner.runner.wakeup import WakeUp
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.store.leases import renew_lease
from batchrunner.store.reports import work_left
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient

#: Requests of one kind in progress at once; each may carry a hundred runs.
MAX_PARALLEL_REQUESTS = 4
#: Longest time between two reads of the database, which other processes may have changed.
DB_POLL_SECONDS = DB_POLL_INTERVAL.total_seconds()

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(kw_only=True)
class RunnerContext:
    """One process's work on one batch, as all its loops see it."""

    store: Store
    api: TinyFishClient
    batch: Batch
    owner: Owner
    clock: MonotonicClock
    offload_once: Offload  #: runs a store call once; the caller handles its errors
    notify: Callable[[Event], None]
    key_digest: str | None = None  #: identifies the account in the store
    webhook_wakeup: WebhookWakeUp = field(default_factory=WebhookWakeUp)
    captures_html: bool = True  #: for grounding; False: the API refused it
    part: bool = False  #: submit only the part of the batch that was chosen
    submit_once: bool = False  #: submit what is due at the start, and nothing after that
    streamed_create: StreamedCreate | None = None  #: None: create runs without a stream
    window: Window = field(default_factory=Window)  #: by this machine's wall clock
    policy: Policy = field(init=False)
    durations: RunDurations = field(default_factory=RunDurations, init=False)
    work_changed: WakeUp = field(default_factory=WakeUp, init=False)  #: slots, jobs or plans
    results_added: WakeUp = field(default_factory=WakeUp, init=False)  #: attempts were closed
    jobs_left: bool = field(default=True, init=False)  #: some job is still to be submitted
    closed_attempts: int = field(default=0, init=False)  #: by this runner
    unanswered_added: WakeUp = field(default_factory=WakeUp, init=False)  #: a search is due
    runs_recorded_at: datetime | None = field(default=None, init=False)  #: newest ids of runs
    clock_jumped: WakeUp = field(default_factory=WakeUp, init=False)  #: waits may be over
    offload: RetryingOffload = field(init=False)  #: runs a store call until the database answers
    stop: StopState = field(init=False)
    gates: RequestGates = field(init=False)
    _work_left: SharedAnswer[WorkLeft] = field(init=False)

    def __post_init__(self) -> None:
        """Start with open gates and no reason to stop."""
        self.policy = Policy.of(self.batch.settings)
        self.offload = RetryingOffload(self.offload_once, self.now, self.notify)
        self._work_left = SharedAnswer(self._read_work_left, self.store.change_mark)
        self.stop = StopState(self.work_changed)
        self.gates = RequestGates(
            policy=self.policy,
            stop=self.stop,
            clock_jumped=self.clock_jumped,
            now=self.now,
            notify=self.notify,
        )

    def now(self) -> datetime:
        """Return the store's time."""
        return self.clock.now()

    @property
    def phase(self) -> Phase:
        """Where this runner is in the window in which it may submit jobs."""
        # The user means a deadline by the wall clock; the store's time may be ahead of it.
        return phase(self.window, self.clock.wall, self.durations.total, self.policy.running_limit)

    @property
    def until_over(self) -> timedelta:
        """How long it takes until the runs in flight are cancelled for the deadline."""
        return until_over(self.window, self.clock.wall)

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function of the store in a transaction that only reads."""
        return await self.offload(partial(self.store.read, function, *args, **kwargs))

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call a function of the store in a transaction that writes."""
        return await self.offload(partial(self.store.write, function, *args, **kwargs))

    async def renew_lease(self) -> None:
        """Extend the lease; raises LeaseLost if others have taken this owner's jobs."""
        await self.write(renew_lease, self.owner.id, self.now())

    async def work_left(self) -> WorkLeft:
        """Return how much work is left; the database is asked again only after a change."""
        return await self.offload(lambda: self._work_left.get(self.now()))

    async def work_left_now(self) -> WorkLeft:
        """Read how much work is left."""
        return await self.offload(self._read_work_left)

    def _read_work_left(self) -> WorkLeft:
        return self.store.read(work_left, self.owner.id, self.batch.id, self.part)

    def wake_all(self) -> None:
        """Let every waiting loop read the clock again."""
        for wakeup in (self.clock_jumped, self.work_changed, self.unanswered_added):
            wakeup.notify()
        self.webhook_wakeup.wake()
