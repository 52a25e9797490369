"""How many slots an account has, learned from how long its runs stay PENDING; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil, sqrt

from batchrunner.model import AUTO
from batchrunner.model.job_file import MAX_CONCURRENCY

#: Assumed slots of an account before anything is learned.
FIRST_CONCURRENCY = 4
#: A run that stays PENDING for longer waits for a slot; starting a run takes less.
QUEUE_LAG = timedelta(seconds=10)
#: Consecutive polls that must see fewer runs than slots before the number of slots is lowered: a
#: single poll may see a slot between two runs.
MIN_POLLS_TO_LEARN = 2
#: By how many times its square root more runs may end between two polls than on average.
SPREAD_OF_ENDS = 1.5


def concurrency_limit(asked: int, learned: int | None, accepted: int | None = None) -> int:
    """
    Return how many runs may be in flight: as *asked*, or as learned if that is AUTO.

    *accepted* is how many the account accepts, if it refused more.
    """
    limit = learned or FIRST_CONCURRENCY if asked == AUTO else asked
    return limit if accepted is None else min(limit, accepted)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotHolders:
    """A batch's open attempts over all runners, and which of them are unanswered."""

    open: int
    unanswered: int = 0  #: searches do not find their runs, which may exist
    released: int = 0  #: of these, the attempts that have been unanswered for long
    untested: int = 0  #: of these, the attempts that were hardly searched for
    orphans: int = 0  #: orphans that have not ended: they take up slots like other runs

    @property
    def need_control_run(self) -> bool:
        """Whether nothing else is in flight: only one more run can show whether searches work."""
        return 0 < self.unanswered == self.open and not self.untested

    def free_slots(self, limit: int) -> int:
        """
        Return how many more runs may be in flight.

        Unanswered attempts give up their slots after a while, but never more than *limit* of them:
        their runs may exist. If every attempt is unanswered, one more run is let through.
        """
        free = limit - self.open - self.orphans + min(self.released, limit)
        return max(free, 1) if self.need_control_run else free


@dataclass(frozen=True, kw_only=True, slots=True)
class SlotUsage:
    """A batch's runs in flight over all runners, as last seen."""

    running: int
    fresh: int  #: PENDING, but not for longer than QUEUE_LAG
    waiting: int  #: PENDING for longer, and no run that was submitted later has started
    stuck: int = 0  #: PENDING although runs that were submitted later have started


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """What is known about an account's slots."""

    slots: int = FIRST_CONCURRENCY
    found: bool = False  #: a queue was seen, so there are no more slots
    polls_below: int = 0  #: consecutive polls that saw a queue and fewer runs than slots
    most_running: int = 0  #: most runs that these polls saw

    def limit(self, interval: timedelta, typical: timedelta | None, stuck: int = 0) -> int:
        """
        Return how many runs to have in flight to keep every slot busy between two polls.

        *interval* is the time between polls. Runs that are *stuck* in the queue get no slot.
        """
        ends = self.slots * interval / typical if typical else 0.0
        return min(self.slots + max(runs_ahead(ends), 1) + stuck, MAX_CONCURRENCY)


def runs_ahead(ends: float) -> int:
    """
    Return how many runs to have waiting for slots, if *ends* runs end between two polls on average.

    The number that really ends varies by about its square root, and some are spare for that.
    """
    return ceil(ends + SPREAD_OF_ENDS * sqrt(ends))


def ends_covered(ahead: int) -> float:
    """Return how many runs may end on average between two polls while *ahead* runs wait."""
    return ((sqrt(SPREAD_OF_ENDS**2 + 4 * ahead) - SPREAD_OF_ENDS) / 2) ** 2


def learn_slots(known: Capacity, queue: SlotUsage, limit: int) -> Capacity:
    """
    Return what is known after one more poll; *limit* is the most runs that may be in flight.

    Above the account's limit the API accepts runs and queues them, without a 429 (Runs guide). So
    a queue means that every slot is busy. No queue while *limit* runs are in flight means that
    there may be more slots.
    """
    if queue.waiting:
        return _learn_from_queue(known, max(queue.running, 1))
    unqueued = replace(known, polls_below=0, most_running=0)
    if queue.fresh or queue.running + queue.stuck < limit:
        return unqueued
    grown = queue.running + 1 if known.found else queue.running * 3 // 2 + 1
    return replace(unqueued, slots=max(known.slots, grown))


def _learn_from_queue(known: Capacity, running: int) -> Capacity:
    if running >= known.slots and known.found:
        return Capacity(slots=running, found=True)
    if not known.found:
        return Capacity(slots=running, found=True)
    polls_below, most_running = known.polls_below + 1, max(known.most_running, running)
    if polls_below < MIN_POLLS_TO_LEARN:
        return replace(known, polls_below=polls_below, most_running=most_running)
    return Capacity(slots=most_running, found=True)
