"""How often the runner polls its runs; pure."""

from __future__ import annotations

from datetime import timedelta

#: Polls in the time that a typical run takes: a slot stays empty for half an interval on average.
POLLS_PER_RUN = 16
MIN_POLL_INTERVAL = timedelta(milliseconds=500)
MAX_POLL_INTERVAL = timedelta(seconds=10)
#: Where webhooks report the ends of runs, polling can be slower.
POLLS_PER_RUN_WITH_WEBHOOKS = 8
MAX_POLL_INTERVAL_WITH_WEBHOOKS = timedelta(seconds=30)
#: Webhooks that arrive within this time share one poll.
WEBHOOK_POLL_GAP = timedelta(seconds=1)
#: Polls that slower polling saved and that webhooks may use up at once.
MAX_SAVED_POLLS = 4.0


def poll_interval(
    typical: timedelta | None, oldest: timedelta, *, webhooks_expected: bool = False
) -> timedelta:
    """
    Return how long to wait until the next poll of all runs.

    *typical* is how long such runs take, None while none has ended; then the interval is estimated
    from *oldest*, the age of the oldest run in flight.
    """
    polls, longest = POLLS_PER_RUN, MAX_POLL_INTERVAL
    if webhooks_expected:
        polls, longest = POLLS_PER_RUN_WITH_WEBHOOKS, MAX_POLL_INTERVAL_WITH_WEBHOOKS
    interval = typical / polls if typical is not None else oldest / (polls / 2)
    return min(max(interval, MIN_POLL_INTERVAL), longest)
