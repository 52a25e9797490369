"""Tells which hosts are kept back, whenever that changes."""

from __future__ import annotations

from collections.abc import Sequence

from batchrunner.model import AttemptDecision
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import HostsParked


class ParkedHostNotice:
    """What this runner has told of hosts that are parked."""

    def __init__(self, shift: RunnerContext) -> None:
        self._shift = shift
        self._told: set[str] = set()

    async def tell(self, applied: Sequence[AttemptDecision]) -> None:
        """Tell which hosts are parked now, where verdicts may have changed that."""
        told = [verdict.host_result for verdict in applied if verdict.host_result]
        if not self._told and all(telling.passed for telling in told):
            return
        shift = self._shift
        hosts = await shift.offload(lambda: shift.store.parked(shift.batch.id))
        names = {host.host for host in hosts}
        if names != self._told:
            self._told = names
            shift.notify(HostsParked(hosts=tuple(hosts)))
