"""What a batch will cost and how long it will take: its past, resampled many times; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heappop, heappush
from math import ceil, floor, sqrt
from statistics import fmean, pvariance
from typing import Any, Protocol, TypeVar

from batchrunner.model.categories import FailureCategory
from batchrunner.model.forecast import (
    Forecast,
    JobGroup,
    Limits,
    SampledAttempt,
    SampledJob,
    WorstCase,
)

T = TypeVar("T")

#: Share of such batches whose cost, and whose time, lies in its range.
SHARE = 0.8
#: Finished jobs of a host that are enough to forecast from them alone, and in all that are needed.
ENOUGH_OF_HOST, MIN_PAST = 20, 5
#: Times that the batch is simulated, and jobs that these simulations follow one by one in all.
RUNS, MAX_FOLLOWED = 160, 48_000
#: Newest finished jobs of a host, or of all hosts, that are resampled.
MAX_SAMPLE = 400


class Draws(Protocol):
    """A seeded source of random draws, such as `random.Random`."""

    def choices(self, population: Sequence[T], *, k: int) -> list[T]:
        """Return *k* members, each drawn from all."""

    def gauss(self, mu: float, sigma: float) -> float:
        """Return a normally distributed value."""

    def shuffle(self, x: Any) -> None:
        """Put a list into random order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """What one job takes; `spans` has the seconds of each attempt and the wait after it."""

    steps: int
    seconds: float  #: in which it holds a slot
    spans: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pool:
    """Jobs that are drawn from the same past."""

    courses: tuple[_Course, ...]
    count: int  #: jobs to run
    followed: int  #: of these, jobs that are simulated one by one; of the others, only sums


def forecast(
    groups: Sequence[JobGroup], past: Sequence[SampledJob], limits: Limits, draws: Draws
) -> Forecast | None:
    """
    Simulate the batch many times with jobs drawn from the *past*; None if that is too short.

    *past* is the newest first. A host with enough past jobs is drawn from its own, the others from
    all. Attempts that the policy would not make are left out, and those that it would make after
    the last known one repeat that one. Of a large batch, the last jobs are followed one by one.
    """
    jobs = sum(group.count for group in groups)
    if not jobs or len(past) < MIN_PAST:
        return None
    pools, own = _pools(groups, past, limits)
    size = min(len(pool.courses) for pool in pools)
    runs = [_simulate(pools, limits, draws) for _ in range(RUNS)]
    least = _slowest_host(groups, _mean_seconds(pools))
    steps = _range([steps for steps, _ in runs], size)
    seconds = _range([max(took, least) for _, took in runs], size)
    most = worst_case(groups, limits, timedelta(0)).steps
    longest = max(group.once for group in groups)
    return Forecast(
        share=SHARE,
        steps=(min(floor(steps[0]), most), min(ceil(steps[1]), most)),
        seconds=seconds,
        covered=_share_done(jobs, limits.room, steps, longest),
        in_time=_share_done(jobs, limits.seconds, seconds, 0),
        past=len(past),
        own=own,
    )


def worst_case(groups: Iterable[JobGroup], limits: Limits, longest: timedelta) -> WorstCase:
    """Return the most that the jobs may take, if each of their runs takes *longest*."""
    jobs = once = steps = attempts = 0
    for group in groups:
        jobs += group.count
        once += group.count * group.once
        steps += group.count * group.once * group.attempts
        attempts += group.count * group.attempts
    slots = min(limits.slots, jobs) or 1
    seconds = ceil(attempts / slots) * longest.total_seconds()
    return WorstCase(jobs=jobs, once=once, steps=steps, seconds=seconds)


# ---- from the past to what a job may take ----


def _pools(
    groups: Sequence[JobGroup], past: Sequence[SampledJob], limits: Limits
) -> tuple[list[_Pool], int]:
    """Return the jobs by the past that they are drawn from, and how many have their own host's."""
    by_host: defaultdict[str, list[SampledJob]] = defaultdict(list)
    for job in past:
        by_host[job.host].append(job)
    known = {host for host, jobs in by_host.items() if len(jobs) >= ENOUGH_OF_HOST}
    counts = Counter[tuple[str, int, int]]()
    for group in groups:
        source = group.host if group.host in known else ""
        counts[source, group.once, group.attempts] += group.count
    total, cap = sum(counts.values()), max(MAX_FOLLOWED // RUNS, 2 * limits.slots)
    followed = min(1.0, cap / total)
    pools = []
    for (source, once, attempts), count in counts.items():
        sample = (by_host[source] if source else past)[:MAX_SAMPLE]
        courses = tuple(_course(job, once, attempts, limits) for job in sample)
        pools.append(_Pool(courses=courses, count=count, followed=ceil(count * followed)))
    return pools, sum(count for (source, _, _), count in counts.items() if source)


def _course(job: SampledJob, once: int, allowed: int, limits: Limits) -> _Course:
    """Replay a past job under the rules of the new one."""
    steps, spans, failed = 0, list[tuple[float, float]](), Counter[FailureCategory]()
    for attempt in _endless(job.attempts):
        steps += min(attempt.steps, once)
        category = attempt.failure
        if category is not None and attempt.counted:
            failed[category] += 1
        ended = category is None or _is_last(failed, allowed, limits)
        spans.append((attempt.seconds, 0.0 if ended else attempt.wait or limits.backoff))
        if ended or len(spans) >= len(job.attempts) + allowed:
            break
    return _Course(steps=steps, seconds=sum(held for held, _ in spans), spans=tuple(spans))


def _is_last(failed: Counter[FailureCategory], allowed: int, limits: Limits) -> bool:
    """Whether the policy ends a job after these counted failures."""
    by_category = (count >= limits.allowed.get(each, allowed) for each, count in failed.items())
    return failed.total() >= allowed or any(by_category)


def _endless(attempts: Sequence[SampledAttempt]) -> Iterable[SampledAttempt]:
    """Give the attempts, and then the last one again and again."""
    yield from attempts
    while True:
        yield attempts[-1]


# ---- one simulated batch ----


def _simulate(pools: Sequence[_Pool], limits: Limits, draws: Draws) -> tuple[float, float]:
    """Return the steps and the seconds of one simulated batch."""
    steps, seconds, last = 0.0, 0.0, list[_Course]()
    for pool in pools:
        # Another past would have been as likely: the range covers how little the past may show.
        courses = draws.choices(pool.courses, k=len(pool.courses))
        last += draws.choices(courses, k=pool.followed)
        if others := pool.count - pool.followed:
            steps += _sum_of(others, [float(course.steps) for course in courses], draws)
            seconds += _sum_of(others, [course.seconds for course in courses], draws)
    draws.shuffle(last)
    steps += sum(course.steps for course in last)
    return steps, _last_end(last, limits.slots, seconds / limits.slots)


def _sum_of(count: int, values: Sequence[float], draws: Draws) -> float:
    """Return the sum of so many draws; it is nearly normal, as they are many."""
    return max(draws.gauss(count * fmean(values), sqrt(count * pvariance(values))), 0.0)


def _last_end(courses: Sequence[_Course], slots: int, start: float) -> float:
    """Return when the last of these jobs ends if *slots* of them run at once from *start* on."""
    free = [start] * min(slots, len(courses))
    heapify(free)
    due: list[tuple[float, int, int]] = []  # retries: their time, their job, their attempt
    following, end = 0, start
    while following < len(courses) or due:
        at = heappop(free)
        if due and (due[0][0] <= at or following == len(courses)):
            ready, job, attempt = heappop(due)
            at = max(at, ready)
        else:
            job, attempt, following = following, 0, following + 1
        spans = courses[job].spans
        seconds, wait = spans[attempt]
        end = max(end, at + seconds)
        heappush(free, at + seconds)
        if attempt + 1 < len(spans):
            heappush(due, (at + seconds + wait, job, attempt + 1))
    return end


def _mean_seconds(pools: Sequence[_Pool]) -> float:
    """Return the mean seconds of a job."""
    total = sum(pool.count for pool in pools)
    return sum(p.count * fmean(c.seconds for c in p.courses) for p in pools) / total


def _slowest_host(groups: Sequence[JobGroup], seconds: float) -> float:
    """Return the least time that the limits of single hosts leave, at *seconds* a job."""
    by_host: defaultdict[str, float] = defaultdict(float)
    for group in groups:
        each = max(group.spacing, seconds / group.host_slots if group.host_slots else 0.0)
        by_host[group.host] += group.count * each
    return max(by_host.values(), default=0.0)


# ---- what the simulated batches say ----


def _range(values: list[float], sample: int) -> tuple[float, float]:
    """Return where the middle share of *values* lies, wider where the *sample* is small."""
    values = sorted(values)
    low, middle, high = (_quantile(values, at) for at in ((1 - SHARE) / 2, 0.5, (1 + SHARE) / 2))
    # A sample's own spread is too small, by this much, and its tails are too thin.
    wider = sqrt(sample / (sample - 1)) * (1 + 2 / sample)
    return max(middle - (middle - low) * wider, 0.0), middle + (high - middle) * wider


def _quantile(values: Sequence[float], share: float) -> float:
    at = share * (len(values) - 1)
    low = floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def _share_done(
    jobs: int, limit: float | None, needed: tuple[float, float], kept: float
) -> tuple[int, int]:
    """Return how many jobs a limit covers, if all need a range; *kept* of it cannot be used."""
    if limit is None:
        return jobs, jobs
    return _part(jobs, limit, needed[1], kept), _part(jobs, limit, needed[0], kept)


def _part(jobs: int, limit: float, needed: float, kept: float) -> int:
    if needed + kept <= limit or needed <= 0:
        return jobs
    return min(jobs, floor(jobs * max(limit - kept, 0) / needed))
