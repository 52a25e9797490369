"""What the loops of one runner share: the ledger, the API, the clock, and news of each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, assert_never

import anyio

from batchrunner.api import Api
from batchrunner.classify import classify_fault, is_not_offered, is_nothing_there
from batchrunner.model import (
    ApiFault,
    Batch,
    Failed,
    FailureCategory,
    HoldOff,
    Owner,
    Postpone,
    Standing,
    Stop,
    Submission,
    Verdict,
)
from batchrunner.policy import Policy, pool_effect
from batchrunner.policy.windows import Pace, Phase, Window, phase
from batchrunner.runner.bell import Bell
from batchrunner.runner.clock import Clock
from batchrunner.runner.events import Event, Held, Judged, Stalled, Submitted
from batchrunner.runner.hints import Hints
from batchrunner.runner.lanes import Lane
from batchrunner.schema import SubmissionState
from batchrunner.store import Store, StoreError

#: Requests of one kind under way at once; each may carry a hundred runs.
AT_ONCE = 4
#: Longest time between two looks into the database, where others may have changed things.
GLANCE = 2.0

#: Seconds to wait for a database that is away; doubled with each try.
FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0
#: How long the database may be away before it is told.
PATIENCE = timedelta(seconds=10)

T = TypeVar("T")


class Offload(Protocol):
    """Runs a blocking call: in a thread, or, in a simulation, at once."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]:
        """Run *call* and return what it returns."""


@dataclass(kw_only=True)
class Shift:
    """One process's work on one batch, as all its loops see it."""

    store: Store
    api: Api
    batch: Batch
    owner: Owner
    clock: Clock
    offload_once: Offload  #: runs a call of the store's; what it raises is the caller's to handle
    notify: Callable[[Event], None]
    key: str | None = None  #: digest of the API's key, by which the ledger tells accounts apart
    hints: Hints = field(default_factory=Hints)
    window: Window = field(default_factory=Window)  #: by the clock on this machine's wall
    pace: Pace = field(default_factory=Pace)
    draining: bool = False  #: submit nothing more
    spent: bool = False  #: the budget covers no other run
    dry: HoldOff | None = None  #: the account had no credits for the newest create
    stop: Stop | None = None  #: why nothing more can be submitted
    blind: bool = False  #: the key does not even open looks any more
    policy: Policy = field(init=False)
    creates: Lane = field(init=False)
    looks: Lane = field(init=False)
    news: Bell = field(init=False)  #: slots or jobs came free, or the plan changed
    doubts: Bell = field(init=False)  #: a submission came into doubt
    alarm: Bell = field(init=False)  #: the clock leapt: what waits may have waited long enough

    def __post_init__(self) -> None:
        """Start with open lanes and silent bells."""
        self.policy = Policy.of(self.batch.settings)
        self.news, self.doubts, self.alarm = Bell(), Bell(), Bell()
        self.creates, self.looks = Lane(self.now, self.alarm), Lane(self.now, self.alarm)

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
        wait, since, told = FIRST_WAIT, self.now(), False
        while True:
            try:
                return await self.offload_once(call)
            except StoreError as error:
                if not error.passing:
                    raise
                if not told and self.now() - since >= PATIENCE:
                    self.notify(Stalled(why=error.message))
                    told = True
            await anyio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def renew(self) -> None:
        """Prolong the lease; raises LeaseLost if this owner was taken for dead."""
        await self.offload(lambda: self.store.renew(self.owner.id, self.now()))

    async def standing(self) -> Standing:
        """Say whether there is more to do."""
        return await self.offload(lambda: self.store.standing(self.owner.id, self.batch.id))

    async def record(self, submission: Submission, runs: Mapping[int, str]) -> frozenset[int]:
        """Write run ids by attempt id; return the submission's open attempts that have none yet."""
        left = await self.offload(
            lambda: self.store.record(self.owner.id, submission, runs, self.now())
        )
        if found := len(runs.keys() - left):
            self.notify(Submitted(runs=found))
            self.news.ring()
        return left

    async def disown(self, submission: Submission, run_ids: Collection[str]) -> None:
        """List runs that nobody needs as orphans; they are cancelled soon."""
        if run_ids:
            disown = self.store.disown
            await self.offload(lambda: disown(self.batch.id, submission, run_ids, self.now()))

    async def doubt(self, submission: Submission, search_at: datetime, why: str) -> None:
        """Say that a submission's runs may exist, and when to look for them."""
        await self.offload(lambda: self.store.doubt(self.owner.id, submission, search_at, why))
        self.doubts.ring()

    async def settle(
        self,
        submission: Submission,
        state: SubmissionState,
        verdicts: Sequence[Verdict],
        message: str,
        watch_at: datetime | None = None,
    ) -> None:
        """Close a submission that has no (more) runs, and the attempts that it carried."""
        applied = await self.offload(
            lambda: self.store.settle(
                self.owner.id, submission, state, verdicts, self.now(), message, watch_at
            )
        )
        self.notify(Judged(verdicts=tuple(applied)))
        self.news.ring()

    def wake(self) -> None:
        """Let everything that waits look at the clock again."""
        for bell in (self.alarm, self.news, self.doubts):
            bell.ring()
        self.hints.wake()

    # ---- what a failure means for all ----

    def hold(self, failures: Sequence[Failed], lane: Lane) -> None:
        """Hold requests back, or stop, if one of the failures that *lane* met concerns them all."""
        looking = lane is self.looks
        effect = pool_effect(self.policy, failures, lane.in_row, self.now(), looking=looking)
        match effect:
            case None:
                return
            case HoldOff():
                lane.met_failure()
                for held in [self.creates] if effect.creates_only else [self.creates, self.looks]:
                    held.hold(effect.until)
                if effect.failure.category is FailureCategory.BILLING_FAILURE:
                    self.dry = effect  # told when it is in the ledger
                elif not self.stop:
                    self.notify(Held(until=effect.until, failure=effect.failure))
            case Stop():
                self.stop, self.blind, self.draining = effect, looking, True
                self.news.ring()
            case _:
                assert_never(effect)

    def leave(self, fault: ApiFault) -> bool:
        """
        Stop where there is nothing at the address, and no answer of the API has been seen.

        Returns whether that is so. Once the API has answered, its absence is an outage like others.
        """
        if self.creates.proven or self.looks.proven or not is_nothing_there(fault):
            return False
        self.give_up(f"This address is not the API: {fault.message}", blind=True)
        return True

    def give_up(self, why: str, *, blind: bool = False) -> None:
        """Stop for a reason that is no job's fault; *blind* if not even looks are any use."""
        failure = Failed(category=FailureCategory.UNREACHABLE, message=why)
        self.stop, self.blind, self.draining = Stop(failure=failure), blind, True
        self.news.ring()


def is_for_good(fault: ApiFault) -> bool:
    """Whether a search that met this fault will never be answered."""
    refused = classify_fault(fault).category is FailureCategory.REJECTED
    return refused or is_not_offered(fault)


def of_the_pool(verdicts: Sequence[Verdict]) -> list[Failed]:
    """Return the failures that are not their jobs' own: what met one will meet the next."""
    return [
        verdict.transition.failure
        for verdict in verdicts
        if isinstance(verdict.transition, Postpone) and verdict.transition.together is None
    ]
