"""How many slots an account really has, learned from how long its runs wait in the queue; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil

from batchrunner.model import AUTO

#: Most runs in flight, whatever was learned.
MAX_CONCURRENCY = 1000
#: With how many slots an account is believed to begin.
FIRST_CONCURRENCY = 4
#: A run that stays PENDING for longer waits for a slot; starting one takes less.
QUEUE_LAG = timedelta(seconds=10)
#: Looks in a row that must see fewer runs than slots before it is believed that some are gone:
#: one may just have seen a slot between two runs.
MIN_POLLS_TO_LEARN = 2
#: Runs submitted ahead for each that ends between two looks (docs/ledger.md tells the figures).
RUNS_AHEAD = 1.5


def concurrency_limit(asked: int, learned: int | None) -> int:
    """Return how many runs may be in flight: what was *asked* for, or what was learned."""
    return learned or FIRST_CONCURRENCY if asked == AUTO else asked


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotUsage:
    """A batch's runs in flight, over all runners, as the API showed them last."""

    running: int
    fresh: int  #: PENDING, but not for long
    waiting: int  #: PENDING for longer than LAG, and none that was submitted later has started
    stuck: int = 0  #: PENDING though others that were submitted later have started


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What is known of an account's slots."""

    slots: int = FIRST_CONCURRENCY
    found: bool = False  #: a queue has been seen: there are no more
    below: int = 0  #: looks in a row that saw a queue and fewer runs than slots
    polls: int = 0  #: most runs that these looks saw

    def bound(self, look: timedelta, typical: timedelta | None, stuck: int = 0) -> int:
        """
        Return how many runs to have in flight: what keeps every slot busy between two looks.

        Runs that are *stuck* in the queue will not get one.
        """
        ends = self.slots * look / typical if typical else 0.0
        return min(self.slots + max(ceil(RUNS_AHEAD * ends), 1) + stuck, MAX_CONCURRENCY)


def learn_slots(known: Capacity, queue: SlotUsage, bound: int) -> Capacity:
    """
    Return what is known after a look at what is in flight, of which *bound* is the most.

    Above its limit an account's runs are taken and wait: no 429 comes (Runs guide). So a queue
    says that what runs is all there is, and that nothing waits where all is in flight says that
    there may be more.
    """
    if queue.waiting:
        return _queued(known, max(queue.running, 1))
    calm = replace(known, below=0, polls=0)
    if queue.fresh or queue.running + queue.stuck < bound:
        return calm
    grown = queue.running + 1 if known.found else queue.running * 3 // 2 + 1
    return replace(calm, slots=max(known.slots, grown))


def _queued(known: Capacity, running: int) -> Capacity:
    if running >= known.slots and known.found:
        return Capacity(slots=running, found=True)
    if not known.found:
        return Capacity(slots=running, found=True)
    below, seen = known.below + 1, max(known.polls, running)
    if below < MIN_POLLS_TO_LEARN:
        return replace(known, below=below, polls=seen)
    return Capacity(slots=seen, found=True)
