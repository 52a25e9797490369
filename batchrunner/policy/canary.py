"""The canary: which jobs go first, and whether what they bring is worth the rest; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchrunner.model import Canary, Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What a batch's canary has brought so far."""

    jobs: int
    open: int  #: not in a final state yet
    good: int
    steps: int  #: billed for all its attempts


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """Whether the rest of a batch may be submitted."""

    opened: bool
    says: str  #: what the canary brought, and what was wanted where it is not enough


def choose_canary(kinds: Sequence[tuple[str, str]], count: int) -> list[int]:
    """
    Return the places of *count* jobs, spread over hosts and goals; a job's kind is both.

    Round by round one job of each host, each of a goal that was taken least there; where there
    are more hosts than places, of hosts that lie evenly apart in the file.
    """
    by_host: dict[str, list[int]] = defaultdict(list)
    for place, (host, _) in enumerate(kinds):
        by_host[host].append(place)
    hosts = list(by_host.values())
    if len(hosts) > count:
        hosts = [hosts[at * len(hosts) // count] for at in range(count)]
    queues = [_varied([(place, kinds[place][1]) for place in places]) for places in hosts]
    rounds = max(map(len, queues), default=0)
    spread = [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]
    return sorted(spread[:count])


def _varied(places: Sequence[tuple[int, str]]) -> list[int]:
    """Return places so that goals take turns."""
    taken: Counter[str] = Counter()
    turns = []
    for place, goal in places:
        turns.append((taken[goal], place))
        taken[goal] += 1
    return [place for _, place in sorted(turns)]


def gate(canary: Canary, sample: Sample, rate: Rate | None) -> GateDecision | None:
    """Say whether the rest may go; None as long as the canary is not at its end."""
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
    most = canary.row_cost
    if most is None:
        return []
    if sample.good == 0:
        return [f"a success was to cost at most {most}, and there was none"]
    steps = Decimal(sample.steps) / sample.good
    if most.steps is not None:
        return [f"a success cost {steps:.1f} steps, {most} at most"] if steps > most.steps else []
    if rate is None:
        return [f"a success was to cost at most {most}, and nobody says what a step costs"]
    money = steps * rate.amount
    if most.money is None or money <= most.money:
        return []
    return [f"a success cost ${money:.2f}, {most} at most"]
