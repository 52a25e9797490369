"""Records and announces what holds this runner's jobs back: no credits, parked hosts."""

from __future__ import annotations

from collections.abc import Sequence

from batchrunner.model import AttemptDecision, DelayRequests
from batchrunner.model.time_and_cost import Hold
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import CreditsBack, HostsParked, OutOfCredits


class CreditNotice:
    """What the ledger says of this runner's credits."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._noted: DelayRequests | None = None
        self._hold: Hold | None = None

    async def note(self) -> None:
        """Bring the ledger up to what the newest create has shown."""
        dry = self._context.credit_block
        if dry is self._noted:
            return
        self._noted = dry
        await (self._release() if dry is None else self._keep(dry))

    async def _keep(self, dry: DelayRequests) -> None:
        context, why = self._context, dry.failure.message
        since = self._hold.since if self._hold else context.now()
        self._hold = Hold(since=since, check_at=dry.until, why=why)
        hold = context.store.hold
        await context.offload(
            lambda: hold(context.owner.id, context.batch.id, dry.until, why, context.now())
        )
        context.notify(OutOfCredits(hold=self._hold))

    async def _release(self) -> None:
        context, self._hold = self._context, None
        release = context.store.release
        await context.offload(lambda: release(context.owner.id, context.batch.id, context.now()))
        context.notify(CreditsBack())


class ParkedHostNotice:
    """What this runner has told of hosts that are parked."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._told: set[str] = set()

    async def tell(self, applied: Sequence[AttemptDecision]) -> None:
        """Tell which hosts are parked now, where verdicts may have changed that."""
        told = [verdict.host_result for verdict in applied if verdict.host_result]
        if not self._told and all(telling.passed for telling in told):
            return
        context = self._context
        hosts = await context.offload(lambda: context.store.parked(context.batch.id))
        names = {host.host for host in hosts}
        if names != self._told:
            self._told = names
            context.notify(HostsParked(hosts=tuple(hosts)))
