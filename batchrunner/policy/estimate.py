"""What jobs may cost and how long they may take, estimated from similar past jobs; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from math import ceil, floor, sqrt
from statistics import fmean, variance

from batchrunner.model.estimate import Estimate, ExpectedRun, PastRun

#: Past jobs of a host that are enough to estimate from them alone.
ENOUGH_PAST_RUNS = 20
#: Past jobs in all that an estimate needs.
MIN_PAST_RUNS = 5
#: Standard deviations to either side. Nine of ten normal values are within 1.645; a short past has
#: too few of the rare expensive jobs, so that its deviation is too small.
DEVIATIONS = 2.2


def estimate(plans: Sequence[ExpectedRun], past: Sequence[PastRun], slots: int) -> Estimate | None:
    """
    Estimate the steps and the time of these jobs on so many *slots*; None if too little is known.

    The sum of many jobs is nearly normally distributed, and its range is wider the fewer past jobs
    there are. It never exceeds what the jobs may cost at most.
    """
    if not plans or len(past) < MIN_PAST_RUNS:
        return None
    by_host: defaultdict[str, list[PastRun]] = defaultdict(list)
    for run in past:
        by_host[run.host].append(run)
    counts = Counter(
        plan.host if len(by_host[plan.host]) >= ENOUGH_PAST_RUNS else "" for plan in plans
    )
    groups = [(by_host[host] if host else past, count) for host, count in counts.items()]
    steps = _range([([run.steps for run in runs], count) for runs, count in groups])
    seconds = _range([([r.time.total_seconds() for r in runs], count) for runs, count in groups])
    most = sum(plan.worst for plan in plans)
    at_once = min(slots, len(plans))
    return Estimate(
        steps=(min(floor(steps[0]), most), min(ceil(steps[1]), most)),
        time=(timedelta(seconds=seconds[0] / at_once), timedelta(seconds=seconds[1] / at_once)),
        past=len(past),
        own=sum(count for host, count in counts.items() if host),
    )


def _range(groups: Sequence[tuple[Sequence[float], int]]) -> tuple[float, float]:
    """Return the expected range of a sum of *count* values like those of each group."""
    mean = sum(count * fmean(values) for values, count in groups)
    spread = DEVIATIONS * sqrt(
        sum(variance(values) * count * (1 + count / len(values)) for values, count in groups)
    )
    return max(mean - spread, 0.0), mean + spread
