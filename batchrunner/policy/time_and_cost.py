"""Where a batch's hours and credits went: parts that add up to the whole; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from batchrunner.model.states import FailureCategory
from batchrunner.model.time_and_cost import (
    BatchHistory,
    CostCause,
    PastAttempt,
    PastJob,
    Span,
    TimeAndCost,
    TimeAndCostShare,
    TimeBucket,
)

#: What keeps due jobs back, the first that holds; UNATTENDED is where nobody is at work.
_HALTS = (TimeBucket.PAUSED, TimeBucket.UNATTENDED, TimeBucket.CREDITS, TimeBucket.HELD)
#: Uncounted failures → what their jobs wait for until they may be tried again.
_WAITS = {FailureCategory.BILLING_FAILURE: TimeBucket.CREDITS}


def time_and_cost(
    jobs: Iterable[PastJob],
    orphans: Callable[[], Iterable[int | None]],
    background: BatchHistory,
    now: datetime,
) -> TimeAndCost:
    """
    Split all hours and credits up to *now* into parts, so that they add up exactly.

    *orphans* gives their bills; it is asked last, as a run may become one meanwhile. Whatever
    clocks have done, each job's time is cut into pieces that follow each other: none is counted
    twice or left out.
    """
    uses: defaultdict[CostCause | FailureCategory, TimeAndCostShare] = defaultdict(TimeAndCostShare)
    stages: defaultdict[TimeBucket, timedelta] = defaultdict(timedelta)
    around, count = _Around(background), 0
    for count, job in enumerate(jobs, 1):  # noqa: B007 - it is the number of jobs
        for stage, span in _pieces(job, around, now):
            stages[stage] += span
        for attempt in job.attempts:
            uses[attempt.cause] += _part(attempt, now)
    for steps in orphans():
        uses[CostCause.ORPHANS] += TimeAndCostShare(
            attempts=1, unbilled=int(steps is None), steps=steps or 0
        )
    return TimeAndCost(jobs=count, causes=dict(uses), buckets=dict(stages))


def _part(attempt: PastAttempt, now: datetime) -> TimeAndCostShare:
    lasted = max((attempt.closed_at or now) - attempt.opened_at, timedelta(0))
    unbilled = attempt.ran and attempt.steps is None
    return TimeAndCostShare(
        attempts=1, unbilled=int(unbilled), steps=attempt.steps or 0, time=lasted
    )


def _pieces(job: PastJob, around: _Around, now: datetime) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut a job's time at what befell it; each piece begins where the one before ended."""
    end = max(min(job.finished_at or now, now), job.loaded_at)
    at, before = job.loaded_at, None
    for attempt in job.attempts:
        opened = min(max(attempt.opened_at, at), end)
        yield from _waited(before, at, opened, around)
        at = min(max(attempt.closed_at or end, opened), end)
        yield from _tried(attempt, opened, at, around)
        before = attempt
    yield from _waited(before, at, end, around)


def _waited(
    before: PastAttempt | None, since: datetime, until: datetime, around: _Around
) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut the time between two attempts: first a job may not be tried, then it is not."""
    due = since
    if before is not None and before.retry_at is not None:
        due = min(max(before.retry_at, since), until)
        yield _kept_by(before), due - since
    yield from around.between(due, until)


def _kept_by(before: PastAttempt) -> TimeBucket:
    if before.counted or not isinstance(before.cause, FailureCategory):
        return TimeBucket.RETRY
    return _WAITS.get(before.cause, TimeBucket.HELD)


def _tried(
    attempt: PastAttempt, opened: datetime, closed: datetime, around: _Around
) -> Iterator[tuple[TimeBucket, timedelta]]:
    """Cut the time of an attempt: until its run was known, started, ended, and was seen so."""
    answered = min(max(attempt.answered_at or closed, opened), closed)
    started = min(max(attempt.started_at or closed, answered), closed)
    ended = min(max(attempt.ended_at or closed, started), closed)
    unsent = TimeBucket.IN_DOUBT if attempt.unanswered_at else TimeBucket.CREATING
    for reason, span in around.between(opened, answered):
        # Without credits a create that was written down is held back, and not on its way.
        yield reason if reason is TimeBucket.CREDITS else unsent, span
    yield TimeBucket.QUEUED, started - answered
    yield TimeBucket.RUNNING, ended - started
    yield TimeBucket.LANDED, closed - ended


class _Around:
    """What kept due jobs back, by the time at which it began to."""

    def __init__(self, background: BatchHistory) -> None:
        spans = [*_changes(TimeBucket.TURN, background.attended)]
        for stage, halts in background.halts.items():
            spans += _changes(stage, halts)
        alive: Counter[TimeBucket] = Counter()
        by_moment: dict[datetime, TimeBucket] = {}
        for moment, stage, change in sorted(spans):
            alive[stage] += change
            by_moment[moment] = _reason(alive)
        self._moments, self._reasons = list(by_moment), list(by_moment.values())

    def between(self, since: datetime, until: datetime) -> Iterator[tuple[TimeBucket, timedelta]]:
        """Cut a stretch of time at each change."""
        place = bisect_right(self._moments, since)
        while since < until:
            reason = self._reasons[place - 1] if place else TimeBucket.UNATTENDED
            ends = min(self._moments[place], until) if place < len(self._moments) else until
            yield reason, ends - since
            since, place = ends, place + 1


def _changes(
    stage: TimeBucket, spans: Iterable[Span]
) -> Iterator[tuple[datetime, TimeBucket, int]]:
    for span in spans:
        if span.since < span.until:
            yield span.since, stage, 1
            yield span.until, stage, -1


def _reason(alive: Counter[TimeBucket]) -> TimeBucket:
    for stage in _HALTS:
        if alive[stage] or (stage is TimeBucket.UNATTENDED and not alive[TimeBucket.TURN]):
            return stage
    return TimeBucket.TURN


def shares(parts: Sequence[int], whole: int) -> list[int]:
    """
    Round parts so that they add up to *whole*, each less than one away from its exact share.

    Where all parts are 0, so are their shares.
    """
    total = sum(parts)
    if not total:
        return [0 for _ in parts]
    floors = [part * whole // total for part in parts]
    largest = sorted(range(len(parts)), key=lambda at: (-(parts[at] * whole % total), at))
    for at in largest[: whole - sum(floors)]:
        floors[at] += 1
    return floors
