"""The canary: which jobs run first, and whether their results justify running the rest; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from batchrunner.model import Canary, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The results of a batch's canary so far."""

    jobs: int
    open: int  #: jobs that are not in a final state yet
    good: int  #: jobs that succeeded, and whose results are not suspect
    suspect: int = 0  #: jobs that succeeded with a suspect result
    steps: int  #: steps billed for all its attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """Whether the rest of a batch may be submitted."""

    opened: bool
    says: str  #: the canary's results, and what was required if they are not enough


def choose_canary(kinds: Iterable[tuple[str, str]], count: int) -> list[int]:
    """
    Return the indexes of *count* jobs, spread over hosts and goals; *kinds* has each job's both.

    Each round takes one job of each host, with the goal that was chosen least on that host. If
    there are more hosts than jobs to choose, the hosts are spread evenly over the file.
    """
    firsts: dict[str, int] = {}
    queues: dict[str, _HostQueue] = {}
    for index, (host, goal) in enumerate(kinds):
        firsts.setdefault(host, index)
        if len(firsts) <= count:
            queues.setdefault(host, _HostQueue(count)).add(index, goal)
    if len(firsts) > count:
        hosts = list(firsts.values())
        return sorted(hosts[at * len(hosts) // count] for at in range(count))
    chosen = [queue.indexes() for queue in queues.values()]
    rounds = max(map(len, chosen), default=0)
    spread = [queue[turn] for turn in range(rounds) for queue in chosen if turn < len(queue)]
    return sorted(spread[:count])


class _HostQueue:
    """The first jobs of a host, ordered so that goals alternate; of many jobs it keeps few."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: Counter[str] = Counter()
        self._turns: list[tuple[int, int]] = []

    def add(self, index: int, goal: str) -> None:
        """Take note of a job."""
        if len(self._taken) == self._count:
            return  # there are enough goals: no job comes before the first one of each
        self._turns.append((self._taken[goal], index))
        self._taken[goal] += 1
        if len(self._turns) > 2 * self._count:
            self._turns = sorted(self._turns)[: self._count]

    def indexes(self) -> list[int]:
        """Return the indexes of the first jobs in their order."""
        return [index for _, index in sorted(self._turns)[: self._count]]


def gate(canary: Canary, sample: Sample, rate: Rate | None) -> GateDecision | None:
    """Say whether the rest may run; None while the canary has open jobs."""
    if sample.open:
        return None
    share = Decimal(sample.good) / sample.jobs if sample.jobs else Decimal(0)
    brought = f"{sample.good} of {sample.jobs} jobs succeeded ({share:.0%})"
    if sample.suspect:
        brought += f", and {sample.suspect} more with a suspect result"
    cost = f"{sample.steps} steps in all"
    missed = [*_rate_missed(canary, share), *_cost_missed(canary, sample, rate)]
    says = f"the canary: {brought}, {cost}"
    return GateDecision(opened=not missed, says="; ".join([says, *missed]))


def _rate_missed(canary: Canary, share: Decimal) -> list[str]:
    if canary.success_rate is None or share >= canary.success_rate:
        return []
    return [f"at least {canary.success_rate:.0%} were to succeed"]


def _cost_missed(canary: Canary, sample: Sample, rate: Rate | None) -> list[str]:
    limit = canary.row_cost
    if limit is None:
        return []
    if sample.good == 0:
        return [f"a success was to cost at most {limit}, and there was none"]
    steps = Decimal(sample.steps) / sample.good
    if limit.steps is not None:
        return [f"a success cost {steps:.1f} steps, {limit} at most"] if steps > limit.steps else []
    if rate is None:
        return [f"a success was to cost at most {limit}, and nobody says what a step costs"]
    money = steps * rate.amount
    if limit.money is None or money <= limit.money:
        return []
    return [f"a success cost ${money:.2f}, {limit} at most"]
