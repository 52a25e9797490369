"""Stores and reports what delays jobs: no credits, parked hosts."""

from __future__ import annotations

from collections.abc import Sequence

from batchrunner.model import AttemptDecision, DelayRequests
from batchrunner.model.time_and_cost import Hold
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import CreditsBack, HostsParked, OutOfCredits
from batchrunner.store.batch_reads import parked_hosts
from batchrunner.store.holds import end_hold, start_hold


class CreditNotice:
    """What the store says about the credits that this runner found."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._noted: DelayRequests | None = None
        self._hold: Hold | None = None

    async def note(self) -> None:
        """Store what the newest create has shown, if it is news."""
        credit_block = self._context.gates.credit_block
        if credit_block is self._noted:
            return
        self._noted = credit_block
        await (self._release() if credit_block is None else self._keep(credit_block))

    async def _keep(self, block: DelayRequests) -> None:
        context, reason = self._context, block.failure.message
        since = self._hold.since if self._hold else context.now()
        self._hold = Hold(since=since, check_at=block.until, reason=reason)
        await context.offload(
            lambda: context.store.write(
                start_hold, context.owner.id, context.batch.id, block.until, reason, context.now()
            )
        )
        context.notify(OutOfCredits(hold=self._hold))

    async def _release(self) -> None:
        context, self._hold = self._context, None
        await context.offload(
            lambda: context.store.write(end_hold, context.owner.id, context.batch.id, context.now())
        )
        context.notify(CreditsBack())


class ParkedHostNotice:
    """Which parked hosts this runner has reported."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._reported: set[str] = set()

    async def report_changes(self, applied: Sequence[AttemptDecision]) -> None:
        """Report the parked hosts if these decisions have changed them."""
        results = [decision.host_result for decision in applied if decision.host_result]
        if not self._reported and all(result.passed for result in results):
            return
        context = self._context
        hosts = await context.offload(lambda: context.store.read(parked_hosts, context.batch.id))
        names = {host.host for host in hosts}
        if names != self._reported:
            self._reported = names
            context.notify(HostsParked(hosts=tuple(hosts)))
