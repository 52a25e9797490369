"""Writes down while the account has no credits, so that every terminal can tell."""

from __future__ import annotations

from batchrunner.model import DelayRequests
from batchrunner.model.time_and_cost import Hold
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import CreditsBack, OutOfCredits


class CreditNotice:
    """What the ledger says of this runner's credits."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._noted: DelayRequests | None = None
        self._hold: Hold | None = None

    async def note(self) -> None:
        """Bring the ledger up to what the newest create has shown."""
        dry = self._shift.credit_block
        if dry is self._noted:
            return
        self._noted = dry
        await (self._release() if dry is None else self._keep(dry))

    async def _keep(self, dry: DelayRequests) -> None:
        shift, why = self._shift, dry.failure.message
        since = self._hold.since if self._hold else shift.now()
        self._hold = Hold(since=since, check_at=dry.until, why=why)
        hold = shift.store.hold
        await shift.offload(
            lambda: hold(shift.owner.id, shift.batch.id, dry.until, why, shift.now())
        )
        shift.notify(OutOfCredits(hold=self._hold))

    async def _release(self) -> None:
        shift, self._hold = self._shift, None
        release = shift.store.release
        await shift.offload(lambda: release(shift.owner.id, shift.batch.id, shift.now()))
        shift.notify(CreditsBack())
