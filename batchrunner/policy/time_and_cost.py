"""Where a batch's time and steps went, in parts that add up to the whole; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from batchrunner.model.categories import CATEGORIES, FailureCategory
from batchrunner.model.states import TimeBucket
from batchrunner.model.time_and_cost import (
    BatchHistory,
    CostCause,
    PastAttempt,
    PastJob,
    Span,
    TimeAndCost,
    TimeAndCostShare,
)

#: What due jobs wait for: the first that applies. UNATTENDED applies when no runner works.
_HOLDS = (TimeBucket.PAUSED, TimeBucket.UNATTENDED, TimeBucket.CREDITS, TimeBucket.HELD)


def time_and_cost(
    jobs: Iterable[PastJob],
    orphans: Callable[[], Iterable[int | None]],
    history: BatchHistory,
    now: datetime,
) -> TimeAndCost:
    """
    Split all time and steps up to *now* into parts that add up exactly.

    *orphans* gives their bills; it is called last, as a run may become an orphan meanwhile. A job's
    time is cut into consecutive pieces: even if clocks were set, no time is counted twice or left
    out.
    """
    causes: defaultdict[CostCause | FailureCategory, TimeAndCostShare] = defaultdict(
        TimeAndCostShare
    )
    buckets: defaultdict[TimeBucket, timedelta] = defaultdict(timedelta)
    holds, count = _HoldTimeline(history), 0
    for count, job in enumerate(jobs, 1):  # noqa: B007 - the number of jobs
        for bucket, span in _pieces(job, holds, now):
            buckets[bucket] += span
        for attempt in job.attempts:
            causes[attempt.cause] += _share(attempt, now)
    for steps in orphans():
        causes[CostCause.ORPHANS] += TimeAndCostShare(
            attempts=1, unbilled=int(steps is None), steps=steps or 0
        )
    return TimeAndCost(jobs=count, causes=dict(causes), buckets=dict(buckets))


def _share(attempt: PastAttempt, now: datetime) -> TimeAndCostShare:
    lasted = max((attempt.closed_at or now) - attempt.opened_at, timedelta(0))
    unbilled = attempt.ran and attempt.steps is None
    return TimeAndCostShare(
        attempts=1, unbilled=int(unbilled), steps=attempt.steps or 0, time=lasted
    )


def _pieces(
    job: PastJob, holds: _HoldTimeline, now: datetime
) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut a job's time into pieces; each begins where the one before ended."""
    end = max(min(job.finished_at or now, now), job.loaded_at)
    at, before = job.loaded_at, None
    for attempt in job.attempts:
        opened = min(max(attempt.opened_at, at), end)
        yield from _waiting_pieces(before, at, opened, holds)
        at = min(max(attempt.closed_at or end, opened), end)
        yield from _attempt_pieces(attempt, opened, at, holds)
        before = attempt
    yield from _waiting_pieces(before, at, end, holds)


def _waiting_pieces(
    before: PastAttempt | None, since: datetime, until: datetime, holds: _HoldTimeline
) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut the time between two attempts: first the job is not due, then it is due and waits."""
    due = since
    if before is not None and before.retry_at is not None:
        due = min(max(before.retry_at, since), until)
        yield _wait_bucket(before), due - since
    yield from holds.between(due, until)


def _wait_bucket(before: PastAttempt) -> TimeBucket:
    if before.counted or not isinstance(before.cause, FailureCategory):
        return TimeBucket.RETRY
    return CATEGORIES[before.cause].waits_in


def _attempt_pieces(
    attempt: PastAttempt, opened: datetime, closed: datetime, holds: _HoldTimeline
) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut an attempt's time: until its run was known, started, ended, and was read."""
    answered = min(max(attempt.answered_at or closed, opened), closed)
    started = min(max(attempt.started_at or closed, answered), closed)
    ended = min(max(attempt.ended_at or closed, started), closed)
    unsent = TimeBucket.UNANSWERED if attempt.unanswered else TimeBucket.CREATING
    for reason, span in holds.between(opened, answered):
        # Without credits, a create that was written down is not sent.
        yield reason if reason is TimeBucket.CREDITS else unsent, span
    yield TimeBucket.QUEUED, started - answered
    yield TimeBucket.RUNNING, ended - started
    yield TimeBucket.LANDED, closed - ended


class _HoldTimeline:
    """What due jobs waited for, by the time from which they did."""

    def __init__(self, history: BatchHistory) -> None:
        spans = [*_changes(TimeBucket.TURN, history.attended)]
        for bucket, stretches in history.holds.items():
            spans += _changes(bucket, stretches)
        active: Counter[TimeBucket] = Counter()
        by_time: dict[datetime, TimeBucket] = {}
        for time, bucket, change in sorted(spans):
            active[bucket] += change
            by_time[time] = _reason(active)
        self._times, self._reasons = list(by_time), list(by_time.values())

    def between(self, since: datetime, until: datetime) -> Iterator[tuple[TimeBucket, timedelta]]:
        """Cut a stretch of time at each change."""
        index = bisect_right(self._times, since)
        while since < until:
            reason = self._reasons[index - 1] if index else TimeBucket.UNATTENDED
            ends = min(self._times[index], until) if index < len(self._times) else until
            yield reason, ends - since
            since, index = ends, index + 1


def _changes(
    bucket: TimeBucket, spans: Iterable[Span]
) -> Iterator[tuple[datetime, TimeBucket, int]]:
    for span in spans:
        if span.since < span.until:
            yield span.since, bucket, 1
            yield span.until, bucket, -1


def _reason(active: Counter[TimeBucket]) -> TimeBucket:
    for bucket in _HOLDS:
        unattended = bucket is TimeBucket.UNATTENDED and not active[TimeBucket.TURN]
        if active[bucket] or unattended:
            return bucket
    return TimeBucket.TURN


def shares(parts: Sequence[int], whole: int) -> list[int]:
    """
    Scale *parts* to integers that add up to *whole*, each less than 1 from its exact share.

    If all parts are 0, so are their shares.
    """
    total = sum(parts)
    if not total:
        return [0 for _ in parts]
    floors = [part * whole // total for part in parts]
    largest = sorted(range(len(parts)), key=lambda at: (-(parts[at] * whole % total), at))
    for at in largest[: whole - sum(floors)]:
        floors[at] += 1
    return floors
