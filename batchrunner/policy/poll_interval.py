"""How often the runner polls its runs; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log

from batchrunner.model import OpenAttempt, RunStatus
from batchrunner.model.job_file import Looks
from batchrunner.policy.schedule import Pace
from batchrunner.policy.slots import QUEUE_LAG, ends_covered

MIN_POLL_INTERVAL = timedelta(milliseconds=500)
#: Where webhooks report the ends of runs, half the polls are put off until one arrives.
MAX_POLL_INTERVAL_WITH_WEBHOOKS = timedelta(seconds=30)
#: Webhooks that arrive within this time share one poll.
WEBHOOK_POLL_GAP = timedelta(seconds=1)
#: Polls that slower polling saved and that webhooks may use up at once.
MAX_SAVED_POLLS = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PollRule:
    """How often runs are polled, in polls in the time that a typical run takes."""

    often: int  #: where a slot stays empty until the next poll: for half an interval on average
    longest_often: timedelta
    rarely: int  #: where the API itself fills a slot with the next run of its queue
    longest_rarely: timedelta

    def between(self, typical: timedelta, wanted: timedelta) -> timedelta:
        """Return the *wanted* interval within the limits of this rule."""
        return min(max(wanted, min(typical / self.often, self.longest_often)), self.rare(typical))

    def rare(self, typical: timedelta) -> timedelta:
        """Return the interval where the API fills the slots itself."""
        return min(max(typical / self.rarely, MIN_POLL_INTERVAL), self.longest_rarely)


POLL_RULES: Mapping[Looks, PollRule] = {
    Looks.SPARING: PollRule(
        often=8,
        longest_often=timedelta(seconds=20),
        rarely=2,
        longest_rarely=timedelta(seconds=60),
    ),
    Looks.USUAL: PollRule(
        often=16,
        longest_often=timedelta(seconds=10),
        rarely=4,
        longest_rarely=timedelta(seconds=30),
    ),
    Looks.EAGER: PollRule(
        often=32,
        longest_often=timedelta(seconds=5),
        rarely=16,
        longest_rarely=timedelta(seconds=10),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class InFlight:
    """What a runner's newest poll showed of its runs."""

    runs: int  #: that have not ended
    oldest: timedelta  #: how long ago the oldest of them was submitted
    running: int = 1  #: of these, runs that have a slot
    ahead: int = 0  #: runs that wait for slots, or take the places of those that just ended
    awaited: bool = True  #: a job waits for the next slot, or the user for the last run


def poll_interval(
    rule: PollRule,
    typical: timedelta | None,
    in_flight: InFlight,
    *,
    webhooks_expected: bool = False,
) -> timedelta:
    """
    Return how long to wait until the next poll of all runs.

    *typical* is how long such runs take, None while none has ended; then the interval is estimated
    from the age of the oldest run. Webhooks change nothing where polls are rare anyway.
    """
    if typical is None:
        polls = rule.rarely if in_flight.ahead else rule.often
        longest = rule.longest_rarely if in_flight.ahead else rule.longest_often
        interval = min(in_flight.oldest / (polls / 2), longest)
    elif in_flight.awaited:
        interval = rule.between(typical, _covered(typical, in_flight))
    else:
        # No slot is to be filled: only the end of the last run matters, and it comes nearer.
        last_end = typical * (1 + log(max(in_flight.runs, 1)))
        interval = rule.between(typical, last_end / rule.often)
    if webhooks_expected and not in_flight.ahead:
        interval = max(interval, min(2 * interval, MAX_POLL_INTERVAL_WITH_WEBHOOKS))
    return max(interval, MIN_POLL_INTERVAL)


def _covered(typical: timedelta, in_flight: InFlight) -> timedelta:
    """Return in which time about as many runs end as others wait to take their slots."""
    return typical * (ends_covered(in_flight.ahead) / max(in_flight.running, 1))


def in_flight_now(
    attempts: Sequence[OpenAttempt],
    ended: int,
    now: datetime,
    *,
    queue_known: bool,
    jobs_left: bool,
    stopping: bool = False,
) -> InFlight:
    """
    Return what a poll shows, in which *attempts* have not ended and *ended* others have.

    With *queue_known*, every PENDING run waits for a slot; otherwise they may still be starting
    unless one is PENDING for long. With *jobs_left*, other runs replace those that ended. While
    the runner is *stopping*, the user waits for the runs.
    """
    wanted = [each for each in attempts if each.cancel_reason is None]
    running = [each.opened_at for each in wanted if each.status is RunStatus.RUNNING]
    newest_start = max(running, default=datetime.min.replace(tzinfo=UTC))
    # A run that newer runs overtook is stuck, and no slot will be its.
    waiting = [
        each.opened_at
        for each in wanted
        if each.status is RunStatus.PENDING and each.opened_at >= newest_start
    ]
    is_queue = bool(waiting) and (queue_known or now - min(waiting) > QUEUE_LAG)
    ahead = len(waiting) + ended * jobs_left if is_queue else 0
    return InFlight(
        runs=len(attempts),
        oldest=now - min((each.opened_at for each in attempts), default=now),
        running=len(running),
        ahead=0 if stopping else ahead,
        awaited=jobs_left or stopping,
    )


def typical_duration(ended: Pace, ages: Sequence[timedelta]) -> timedelta | None:
    """
    Return how long runs take; None while none has ended.

    *ended* are the runs that have ended, and *ages* is for how long the others have been RUNNING.
    The first runs to end are the short ones. So while fewer have ended than are RUNNING, the time
    that all have spent is divided by the ends.
    """
    if not ended.runs:
        return None
    if ended.runs >= len(ages):
        return ended.typical
    return ended.typical + sum(ages, timedelta(0)) / ended.runs
