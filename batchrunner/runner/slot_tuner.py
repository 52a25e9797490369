"""Learns how many slots the account has, from how long runs wait for one."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.policy.slots import Capacity, learn_slots
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import ConcurrencyChanged

#: How long a bound that the user has set is taken for granted.
GRANTED = timedelta(seconds=30)


class SlotTuner:
    """What this runner knows of the account's slots; the bound itself is in the ledger, for all."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._known: Capacity | None = None
        self._ask_at = context.now()

    async def learn(self, look: timedelta, typical: timedelta | None) -> None:
        """Look at the queue, of all runners together, and set the bound to what it teaches."""
        context = self._context
        if context.now() < self._ask_at:
            return
        found = await context.offload(lambda: context.store.queue(context.batch.id, context.now()))
        if found is None:
            self._ask_at = context.now() + GRANTED
            return
        queue, bound = found
        # One run more than there are slots is kept waiting: so a bound names the slots.
        before = self._known or Capacity(slots=max(bound - 1, 1))
        self._known = learn_slots(before, queue, bound)
        new = self._known.bound(look, typical, queue.stuck)
        if new != bound:
            await context.offload(lambda: context.store.learn_slots(context.batch.id, new))
        if new != bound or self._known.found != before.found:
            context.notify(
                ConcurrencyChanged(most=new, slots=self._known.slots, found=self._known.found)
            )
            context.work_changed.notify()
