"""What a failed request means for all other requests: stop, or wait how long; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never

from batchrunner.model import Backpressure, DelayRequests, Failed, StopSubmitting
from batchrunner.model.categories import CATEGORIES, RequestEffect
from batchrunner.policy.retry import doubled
from batchrunner.policy.retry_rules import Policy

#: During an outage or without credits, requests are tried again at least this often.
MAX_REQUEST_DELAY = timedelta(minutes=2)
#: The same while the key is refused.
MAX_REFUSAL_DELAY = timedelta(seconds=20)
#: A key that has worked is believed to be refused after so long, and so many refusals in a row: the
#: machine may have slept between two of them.
REFUSED_AFTER, MIN_REFUSALS = timedelta(minutes=2), 5


def is_key_refused(
    status: int | None, *, has_worked: bool, refusals: int, refused_for: timedelta
) -> bool:
    """
    Whether one more refusal of the key or its rights means that waiting cannot help.

    A 401 before anything has worked means a wrong key. Others may be a hiccup of the API or of a
    gateway: *refusals* came in a row before this one, the first of them *refused_for* ago.
    """
    if status == 401 and not has_worked:
        return True
    return refusals + 1 >= MIN_REFUSALS and refused_for >= REFUSED_AFTER


#: How long an API that has answered before may be without a secure way to it.
BARRED_PATIENCE = timedelta(minutes=2)


def barred_since(since: datetime | None, succeeded_at: datetime | None, now: datetime) -> datetime:
    """Return when the way to the API became barred; a success since then ended that."""
    return now if since is None or (succeeded_at and succeeded_at >= since) else since


def is_barred_for_good(since: datetime, succeeded_at: datetime | None, now: datetime) -> bool:
    """Whether waiting is no use: it never worked, or not for BARRED_PATIENCE."""
    return succeeded_at is None or now - since >= BARRED_PATIENCE


def backpressure(
    policy: Policy,
    failures: Sequence[Failed],
    consecutive_failures: int,
    now: datetime,
    *,
    reading: bool,
    key_refused: bool = False,
) -> Backpressure | None:
    """
    Say what the failures of one request mean for all others; None if nothing.

    *consecutive_failures* counts the requests before it that failed like this, since the newest
    success. *reading* means that the request created nothing. An unanswered create delays creates
    only, because reads are needed to find its runs. *key_refused* means that waiting cannot help
    against a refusal of the key.
    """
    for failure in failures:
        delay = _delay(policy, failure, consecutive_failures)
        match CATEGORIES[failure.category].request_effect:
            case RequestEffect.NONE:
                continue
            case RequestEffect.STOP if key_refused:
                return StopSubmitting(failure=failure)
            case RequestEffect.DELAY_ALL:
                creates_only = False
            case RequestEffect.DELAY_CREATES:
                creates_only = True
            case RequestEffect.DELAY_BY_KIND | RequestEffect.STOP:
                creates_only = not reading
            case never:
                assert_never(never)
        return DelayRequests(until=now + delay, failure=failure, creates_only=creates_only)
    return None


def _delay(policy: Policy, failure: Failed, consecutive_failures: int) -> timedelta:
    refused = CATEGORIES[failure.category].request_effect is RequestEffect.STOP
    longest = MAX_REFUSAL_DELAY if refused else MAX_REQUEST_DELAY
    wait = min(doubled(policy.backoff / 4, consecutive_failures), longest)
    return max(wait, failure.retry_after or timedelta(0))
