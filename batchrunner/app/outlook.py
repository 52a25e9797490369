"""What jobs that are to run will cost, and when they will be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from batchrunner.model import Budget, Rate, Settings
from batchrunner.model.forecast import Forecast, JobGroup, Limits, SampledJob, WorstCase
from batchrunner.policy.budget import limit_of
from batchrunner.policy.forecast import forecast, worst_case
from batchrunner.policy.job_groups import allowed_failures
from batchrunner.policy.schedule import LAST_CALL, MIN_LEAD, Window

#: The same past and the same jobs have the same ranges.
SEED = 2026


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the jobs that are to run will cost, and when they will be done."""

    jobs: int
    hosts: int
    slots: int  #: runs in flight at most
    worst: WorstCase
    forecast: Forecast | None  #: None where too little is known of the past
    starts: datetime  #: when the first job may be submitted
    closes: datetime | None  #: when nothing may be in flight any more
    rate: Rate | None  #: price of a step; None where nothing says it
    budget: Budget | None
    room: int | None  #: steps that the budget still covers; None: it has none

    @property
    def finish(self) -> tuple[datetime, datetime] | None:
        """When the last job ends, as a range; None where nothing is known."""
        if self.forecast is None:
            return None
        low, high = (self.starts + timedelta(seconds=end) for end in self.forecast.seconds)
        return low, high

    @property
    def steps(self) -> tuple[int, int]:
        """What the jobs cost, as a range; up to the worst case where nothing is known."""
        return self.forecast.steps if self.forecast else (0, self.worst.steps)

    @property
    def cost(self) -> tuple[Decimal, Decimal] | None:
        """The same in dollars; None where the price of a step is not known."""
        if self.rate is None:
            return None
        low, high = (steps * self.rate.amount for steps in self.steps)
        return low, high

    @property
    def covers(self) -> tuple[int, int]:
        """How many of the jobs the budget covers, as a range."""
        if self.room is None:
            return self.jobs, self.jobs
        if self.forecast is not None:
            return self.forecast.covered
        return _covered(self.jobs, self.room, self.worst.steps), self.jobs


def outlook(
    groups: Sequence[JobGroup],
    past: Sequence[SampledJob],
    settings: Settings,
    *,
    slots: int,
    rate: Rate | None,
    used: int,
    window: Window,
    now: datetime,
) -> Outlook:
    """Forecast the cost and the time of these jobs; *used* steps of the budget are gone."""
    budget = settings.budget
    room = None if budget is None else max(limit_of(budget, rate) - used, 0)
    starts = max(window.opens or now, now)
    lead = LAST_CALL + MIN_LEAD
    closes = window.closes
    longest = max((group.once for group in groups), default=0)
    if room is not None and longest:  # each run in flight reserves the most that it may cost
        slots = max(min(slots, room // longest), 1)
    limits = Limits(
        slots=slots,
        allowed=allowed_failures(settings),
        backoff=settings.backoff.total_seconds() / 2,  # the mean of a wait with full jitter
        room=room,
        seconds=None if closes is None else max((closes - starts - lead).total_seconds(), 0.0),
    )
    return Outlook(
        jobs=sum(group.count for group in groups),
        hosts=len({group.host for group in groups}),
        slots=slots,
        worst=worst_case(groups, limits, settings.running_limit),
        forecast=forecast(groups, past, limits, Random(SEED)),
        starts=starts,
        closes=closes,
        rate=rate,
        budget=budget,
        room=room,
    )


def _covered(jobs: int, room: int, needed: int) -> int:
    return jobs if needed <= room else jobs * room // needed
