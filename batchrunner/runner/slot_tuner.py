"""Learns how many slots the account has, from how long runs wait for one."""

from __future__ import annotations

from datetime import timedelta

from batchrunner.policy.poll_interval import PollRule
from batchrunner.policy.slots import Capacity, learn_slots
from batchrunner.runner.context import RunnerContext
from batchrunner.runner.events import ConcurrencyChanged
from batchrunner.store import account_limit
from batchrunner.store.slot_usage import slot_usage, store_learned_concurrency

#: How long to wait before reading again whether the user has set the concurrency.
FIXED_LIMIT_RECHECK_AFTER = timedelta(seconds=30)


class SlotTuner:
    """This runner's estimate of the account's slots; the store has the limit, for all runners."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._capacity: Capacity | None = None
        self._next_read_at = self._next_try_at = context.now()

    @property
    def queue_found(self) -> bool:
        """Whether the API was seen to queue runs above the account's slots."""
        return self._capacity is not None and self._capacity.found

    async def learn(self, rule: PollRule, interval: timedelta, typical: timedelta | None) -> None:
        """
        Read the queue of all runners together, and set the limit to what it shows.

        Once there is a queue, enough runs wait for polls as rare as the *rule* says.
        """
        await self._try_one_more()
        context = self._context
        if context.now() < self._next_read_at:
            return
        found = await context.offload(
            lambda: context.store.read(slot_usage, context.batch.id, context.now())
        )
        if found is None:
            self._next_read_at = context.now() + FIXED_LIMIT_RECHECK_AFTER
            return
        queue, limit = found
        # A limit keeps one run more than there are slots, which waits: so it shows the slots.
        before = self._capacity or Capacity(slots=max(limit - 1, 1))
        self._capacity = learn_slots(before, queue, limit)
        if self._capacity.found and typical is not None:
            interval = rule.rare(typical)
        new_limit = self._capacity.limit(interval, typical, queue.stuck)
        if new_limit != limit:
            await context.offload(
                lambda: context.store.write(store_learned_concurrency, context.batch.id, new_limit)
            )
        if new_limit != limit or self._capacity.found != before.found:
            slots, found_limit = self._capacity.slots, self._capacity.found
            context.notify(ConcurrencyChanged(most=new_limit, slots=slots, found=found_limit))
            context.work_changed.notify()

    async def _try_one_more(self) -> None:
        """Raise the limit that 429 answers have shown, now and then: it may have changed."""
        context, now = self._context, self._context.now()
        if now < self._next_try_at:
            return
        known = await context.offload(
            lambda: context.store.read(account_limit.account_limit, context.batch.id)
        )
        due_in = known.refused_at + known.wait - now if known else FIXED_LIMIT_RECHECK_AFTER
        self._next_try_at = now + min(due_in, FIXED_LIMIT_RECHECK_AFTER)
        if known is not None and due_in <= timedelta() and not known.trying:
            await context.offload(
                lambda: context.store.write(account_limit.try_one_more, context.batch.id, now)
            )
            context.work_changed.notify()
