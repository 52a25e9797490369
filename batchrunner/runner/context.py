"""What the loops of one runner share: the ledger, the API, the clock, and news of each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, assert_never

import anyio

from batchrunner.classify import classify_fault, is_not_offered, is_not_the_api
from batchrunner.model import (
    ApiFault,
    AttemptDecision,
    Batch,
    DelayRequests,
    Failed,
    FailureCategory,
    Owner,
    Snooze,
    StopSubmitting,
    Submission,
    WorkLeft,
)
from batchrunner.policy.retry_rules import Policy
from batchrunner.policy.run_decision import pool_effect
from batchrunner.policy.schedule import Pace, Phase, Window, phase
from batchrunner.runner.events import (
    AttemptsClosed,
    Event,
    RequestsDelayed,
    RunsSubmitted,
    StoreUnavailable,
)
from batchrunner.runner.monotonic_clock import MonotonicClock
from batchrunner.runner.request_gate import RequestGate
from batchrunner.runner.wakeup import WakeUp
from batchrunner.runner.webhook_wakeup import WebhookWakeUp
from batchrunner.store.database import StoreError
from batchrunner.store.schema import SubmissionState
from batchrunner.store.store import Store
from batchrunner.tinyfish.client import TinyFishClient
from batchrunner.tinyfish.console_client import ConsoleClient
from batchrunner.tinyfish.sse import StreamEvent

#: Requests of one kind under way at once; each may carry a hundred runs.
MAX_PARALLEL_REQUESTS = 4
#: Longest time between two looks into the database, where others may have changed things.
DB_POLL_SECONDS = 2.0

#: Seconds to wait for a database that is away; doubled with each try.
FIRST_STORE_RETRY_SECONDS = 0.1
MAX_STORE_RETRY_SECONDS = 10.0
#: How long the database may be away before it is told.
STORE_OUTAGE_NOTICE_AFTER = timedelta(seconds=10)

T = TypeVar("T")


class Offload(Protocol):
    """Runs a blocking call: in a thread, or, in a simulation, at once."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Run *call* and return what it returns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamedCreate:
    """How to create a run as a stream of events, for somebody who watches it."""

    api: ConsoleClient
    on_event: Callable[[StreamEvent], None]


@dataclass(kw_only=True)
class RunnerContext:
    """One process's work on one batch, as all its loops see it."""

    store: Store
    api: TinyFishClient
    batch: Batch
    owner: Owner
    clock: MonotonicClock
    offload_once: Offload  #: runs a call of the store's; what it raises is the caller's to handle
    notify: Callable[[Event], None]
    key_digest: str | None = (
        None  #: digest of the API's key, by which the ledger tells accounts apart
    )
    webhook_wakeup: WebhookWakeUp = field(default_factory=WebhookWakeUp)
    window: Window = field(default_factory=Window)  #: by the clock on this machine's wall
    pace: Pace = field(default_factory=Pace)
    draining: bool = False  #: submit nothing more
    submit_once: bool = False  #: submit what is due at the start, and nothing after that
    streamed_create: StreamedCreate | None = None  #: None: create runs without a stream
    budget_used_up: bool = False  #: the budget covers no other run
    credit_block: DelayRequests | None = None  #: the account had no credits for the newest create
    stop: StopSubmitting | None = None  #: why nothing more can be submitted
    polling_disabled: bool = False  #: the key does not even open looks any more
    policy: Policy = field(init=False)
    create_gate: RequestGate = field(init=False)
    poll_gate: RequestGate = field(init=False)
    work_changed: WakeUp = field(init=False)  #: slots or jobs came free, or the plan changed
    unanswered_added: WakeUp = field(init=False)  #: a submission came into doubt
    clock_jumped: WakeUp = field(
        init=False
    )  #: the clock leapt: what waits may have waited long enough

    def __post_init__(self) -> None:
        """Start with open lanes and silent bells."""
        self.policy = Policy.of(self.batch.settings)
        self.work_changed, self.unanswered_added, self.clock_jumped = WakeUp(), WakeUp(), WakeUp()
        self.create_gate, self.poll_gate = (
            RequestGate(self.now, self.clock_jumped),
            RequestGate(self.now, self.clock_jumped),
        )

    def now(self) -> datetime:
        """Return the ledger's time."""
        return self.clock.now()

    @property
    def phase(self) -> Phase:
        """Where this runner is in the window in which it may submit jobs."""
        # A deadline is the user's, who looks at the wall: the ledger's time may be ahead of that.
        return phase(self.window, self.clock.wall, self.pace, self.policy.running_limit)

    # ---- the ledger ----

    async def offload(self, call: Callable[[], T]) -> T:
        """
        Run a call of the store's, for as long as it takes the database to be there.

        What a run has cost is not to be lost because a disk was full for an hour. Only for calls
        that may be made again after they took effect unseen.
        """
        wait, since, told = FIRST_STORE_RETRY_SECONDS, self.now(), False
        while True:
            try:
                return await self.offload_once(call)
            except StoreError as error:
                if not error.passing:
                    raise
                if not told and self.now() - since >= STORE_OUTAGE_NOTICE_AFTER:
                    self.notify(StoreUnavailable(reason=error.message))
                    told = True
            await anyio.sleep(wait)
            wait = min(wait * 2, MAX_STORE_RETRY_SECONDS)

    async def renew_lease(self) -> None:
        """Prolong the lease; raises LeaseLost if this owner was taken for dead."""
        await self.offload(lambda: self.store.renew(self.owner.id, self.now()))

    async def work_left(self) -> WorkLeft:
        """Say whether there is more to do."""
        return await self.offload(lambda: self.store.standing(self.owner.id, self.batch.id))

    async def record_runs(self, submission: Submission, runs: Mapping[int, str]) -> frozenset[int]:
        """Write run ids by attempt id; return the submission's open attempts that have none yet."""
        left = await self.offload(
            lambda: self.store.record(self.owner.id, submission, runs, self.now())
        )
        if found := len(runs.keys() - left):
            self.notify(RunsSubmitted(runs=found))
            self.work_changed.notify()
        return left

    async def add_orphans(self, submission: Submission, run_ids: Collection[str]) -> None:
        """List runs that nobody needs as orphans; they are cancelled soon."""
        if run_ids:
            disown = self.store.disown
            await self.offload(lambda: disown(self.batch.id, submission, run_ids, self.now()))

    async def mark_unanswered(self, submission: Submission, search_at: datetime, why: str) -> None:
        """Say that a submission's runs may exist, and when to look for them."""
        await self.offload(lambda: self.store.doubt(self.owner.id, submission, search_at, why))
        self.unanswered_added.notify()

    async def close_submission(
        self,
        submission: Submission,
        state: SubmissionState,
        verdicts: Sequence[AttemptDecision],
        message: str,
        watch_at: datetime | None = None,
    ) -> None:
        """Close a submission that has no (more) runs, and the attempts that it carried."""
        applied = await self.offload(
            lambda: self.store.settle(
                self.owner.id, submission, state, verdicts, self.now(), message, watch_at
            )
        )
        self.notify(AttemptsClosed(decisions=tuple(applied)))
        self.work_changed.notify()

    def wake_all(self) -> None:
        """Let everything that waits look at the clock again."""
        for bell in (self.clock_jumped, self.work_changed, self.unanswered_added):
            bell.notify()
        self.webhook_wakeup.wake()

    # ---- what a failure means for all ----

    def apply_backpressure(self, failures: Sequence[Failed], lane: RequestGate) -> None:
        """Hold requests back, or stop, if one of the failures that *lane* met concerns them all."""
        looking = lane is self.poll_gate
        effect = pool_effect(
            self.policy, failures, lane.consecutive_failures, self.now(), looking=looking
        )
        match effect:
            case None:
                return
            case DelayRequests():
                lane.record_failure()
                for held in (
                    [self.create_gate]
                    if effect.creates_only
                    else [self.create_gate, self.poll_gate]
                ):
                    held.delay_until(effect.until)
                if effect.failure.category is FailureCategory.BILLING_FAILURE:
                    self.credit_block = effect  # told when it is in the ledger
                elif not self.stop:
                    self.notify(RequestsDelayed(until=effect.until, failure=effect.failure))
            case StopSubmitting():
                self.stop, self.polling_disabled, self.draining = effect, looking, True
                self.work_changed.notify()
            case _:
                assert_never(effect)

    def stop_if_not_api(self, fault: ApiFault) -> bool:
        """
        Stop where there is nothing at the address, and no answer of the API has been seen.

        Returns whether that is so. Once the API has answered, its absence is an outage like others.
        """
        if (
            self.create_gate.has_succeeded
            or self.poll_gate.has_succeeded
            or not is_not_the_api(fault)
        ):
            return False
        self.stop_for(f"This address is not the API: {fault.message}", blind=True)
        return True

    def stop_for(self, why: str, *, blind: bool = False) -> None:
        """Stop for a reason that is no job's fault; *blind* if not even looks are any use."""
        failure = Failed(category=FailureCategory.UNREACHABLE, message=why)
        self.stop, self.polling_disabled, self.draining = (
            StopSubmitting(failure=failure),
            blind,
            True,
        )
        self.work_changed.notify()


def is_permanent(fault: ApiFault) -> bool:
    """Whether a search that met this fault will never be answered."""
    refused = classify_fault(fault).category is FailureCategory.REJECTED
    return refused or is_not_offered(fault)


def pool_wide_failures(verdicts: Sequence[AttemptDecision]) -> list[Failed]:
    """Return the failures that are not their jobs' own: what met one will meet the next."""
    return [
        verdict.transition.failure
        for verdict in verdicts
        if isinstance(verdict.transition, Snooze) and verdict.transition.max_batch_size is None
    ]
