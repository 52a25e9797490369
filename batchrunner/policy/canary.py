"""The canary: which jobs run first, and whether their results justify running the rest; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchrunner.model import Canary, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The results of a batch's canary so far."""

    jobs: int
    open: int  #: jobs that are not in a final state yet
    good: int
    steps: int  #: steps billed for all its attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """Whether the rest of a batch may be submitted."""

    opened: bool
    says: str  #: the canary's results, and what was required if they are not enough


def choose_canary(kinds: Sequence[tuple[str, str]], count: int) -> list[int]:
    """
    Return the indexes of *count* jobs, spread over hosts and goals; *kinds* has each job's both.

    Each round takes one job of each host, with the goal that was chosen least on that host. If
    there are more hosts than jobs to choose, the hosts are spread evenly over the file.
    """
    by_host: dict[str, list[int]] = defaultdict(list)
    for index, (host, _) in enumerate(kinds):
        by_host[host].append(index)
    hosts = list(by_host.values())
    if len(hosts) > count:
        hosts = [hosts[at * len(hosts) // count] for at in range(count)]
    queues = [_alternate_goals([(index, kinds[index][1]) for index in host]) for host in hosts]
    rounds = max(map(len, queues), default=0)
    spread = [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]
    return sorted(spread[:count])


def _alternate_goals(jobs: Sequence[tuple[int, str]]) -> list[int]:
    """Return the indexes of jobs, ordered so that goals alternate."""
    taken: Counter[str] = Counter()
    turns = []
    for index, goal in jobs:
        turns.append((taken[goal], index))
        taken[goal] += 1
    return [index for _, index in sorted(turns)]


def gate(canary: Canary, sample: Sample, rate: Rate | None) -> GateDecision | None:
    """Say whether the rest may run; None while the canary has open jobs."""
    if sample.open:
        return None
    share = Decimal(sample.good) / sample.jobs if sample.jobs else Decimal(0)
    brought = f"{sample.good} of {sample.jobs} jobs succeeded ({share:.0%})"
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
