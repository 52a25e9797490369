"""What jobs may cost and how long they may take, by what like jobs took; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from math import ceil, floor, sqrt
from statistics import fmean, variance

from batchrunner.model.estimate import Estimate, ExpectedRun, PastRun

#: Jobs of a host from which on it is judged by its own past.
ENOUGH_PAST_RUNS = 20
#: Jobs in all below which nothing is foretold.
MIN_PAST_RUNS = 5
#: Deviations to either side. More than the 1.645 in which nine of ten normal values are: a short
#: past shows the rare dear job too seldom, so that what is learned of their spread is too small.
SPREAD = 2.2


def estimate(plans: Sequence[ExpectedRun], past: Sequence[PastRun], slots: int) -> Estimate | None:
    """
    Say what these jobs may come to on so many slots; None where the past is too short to tell.

    A sum of many jobs is nearly normal, and wider the fewer its mean was learned from. Nothing
    exceeds what the jobs may cost at their worst.
    """
    if not plans or len(past) < MIN_PAST_RUNS:
        return None
    by_host: defaultdict[str, list[PastRun]] = defaultdict(list)
    for taken in past:
        by_host[taken.host].append(taken)
    counts = Counter(
        plan.host if len(by_host[plan.host]) >= ENOUGH_PAST_RUNS else "" for plan in plans
    )
    groups = [(by_host[host] if host else past, count) for host, count in counts.items()]
    steps = _range([([taken.steps for taken in like], count) for like, count in groups])
    seconds = _range([([t.time.total_seconds() for t in like], count) for like, count in groups])
    most = sum(plan.worst for plan in plans)
    at_once = min(slots, len(plans))
    return Estimate(
        steps=(min(floor(steps[0]), most), min(ceil(steps[1]), most)),
        time=(timedelta(seconds=seconds[0] / at_once), timedelta(seconds=seconds[1] / at_once)),
        past=len(past),
        own=sum(count for host, count in counts.items() if host),
    )


def _range(groups: Sequence[tuple[Sequence[float], int]]) -> tuple[float, float]:
    """Return between what the sum of so many values like those of each group is to be expected."""
    mean = sum(count * fmean(like) for like, count in groups)
    spread = SPREAD * sqrt(
        sum(variance(like) * count * (1 + count / len(like)) for like, count in groups)
    )
    return max(mean - spread, 0.0), mean + spread
