"""How many runs an account accepts at once, learned from creates that it refuses with 429; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchrunner.model import ApiFault, Throttle

#: Shortest time after a refusal before one run more is tried again.
TRY_AFTER = timedelta(seconds=30)
#: The same as a multiple of the wait that the refusal asked for: a refused try costs that wait.
TRY_AFTER_WAITS = 4
#: Each refused try doubles that time, up to so many doublings.
MAX_TRY_DOUBLINGS = 3
#: Shortest and longest wait after a refused create; the longest applies while nothing is in flight.
MIN_REFUSAL_WAIT, MAX_REFUSAL_WAIT = timedelta(seconds=1), timedelta(seconds=30)
#: A limit on requests is over after a minute. A create that it still refuses then, as often as
#: this in a row, is too large.
RATE_LIMIT_ENDS_AFTER, MIN_RATE_REFUSALS = timedelta(minutes=1), 3


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountLimit:
    """What 429 answers have shown of an account's limit, for all runners of a batch."""

    bound: int  #: most runs in flight
    refused: int | None  #: too many in flight; None if as many were accepted since
    refused_at: datetime
    wait: timedelta  #: before one run more is tried
    single_refusals: int = 0  #: refused creates of one run, since a create was accepted
    refused_tries: int = 0  #: refused tries of one run more, since the newest that was accepted
    trying: bool = False  #: one run more may be tried now


def is_about_runs(
    fault: ApiFault, *, reads_refused: bool, rate_refusals: int, refused_for: timedelta
) -> bool:
    """
    Whether a refused create is above the account's limit of runs, and not of requests.

    An answer that does not say which limit it means is about requests if reads are refused too
    (*reads_refused*). One that says requests is believed for a minute: *rate_refusals* such creates
    in a row were refused, for *refused_for*.
    """
    if fault.status != 429:
        return False
    if fault.throttle is Throttle.REQUESTS:
        return rate_refusals >= MIN_RATE_REFUSALS and refused_for >= RATE_LIMIT_ENDS_AFTER
    return fault.throttle is Throttle.RUNS or not reads_refused


def refusal_wait(known: AccountLimit, in_flight: int, asked: timedelta | None) -> timedelta:
    """Return how long creates wait after a refusal: longer each time while nothing is in flight."""
    doublings = min(known.single_refusals - 1, 5) if in_flight == 0 and known.refused == 1 else 0
    wait = min(MIN_REFUSAL_WAIT * float(2**doublings), MAX_REFUSAL_WAIT)
    return max(wait, asked or timedelta(0))


def after_refusal(
    known: AccountLimit | None,
    in_flight: int,
    count: int,
    now: datetime,
    asked: timedelta | None,
) -> AccountLimit:
    """
    Return what is known after a create of *count* runs was refused with *in_flight* runs.

    A refused request shrinks to what `_step` adds. If it had one run, those in flight are the
    bound; refused again, the account has less than that, and the bound falls by a quarter.
    """
    single_refusals = (known.single_refusals if known else 0) + (count == 1)
    if count > 1:
        bound = in_flight + min(_step(in_flight), count // 2)
    elif single_refusals > 1 and not (known and known.trying):
        bound = in_flight * 3 // 4
    else:
        bound = in_flight
    was_try = known is not None and known.trying
    refused_tries = (known.refused_tries if known else 0) + was_try
    longer = max(TRY_AFTER, (asked or timedelta(0)) * TRY_AFTER_WAITS)
    return AccountLimit(
        bound=max(bound, 1),
        refused=in_flight + count,
        refused_at=now,
        wait=longer * float(2 ** min(refused_tries, MAX_TRY_DOUBLINGS)),
        single_refusals=single_refusals,
        refused_tries=refused_tries,
    )


def after_acceptance(known: AccountLimit, in_flight: int) -> AccountLimit:
    """
    Return what is known after a create was accepted; *in_flight* runs include its own.

    The bound rises, but not to what was refused: that is tried again later. If that is accepted,
    it was not above the limit, or the limit has changed, and the bound goes on rising.
    """
    accepted = replace(known, single_refusals=0)
    if in_flight < known.bound:
        return accepted
    more = in_flight + _step(in_flight)
    if known.refused is not None and in_flight < known.refused:
        return replace(accepted, bound=min(more, known.refused - 1))
    return replace(accepted, bound=more, refused=None, refused_tries=0, trying=False)


def after_poll(known: AccountLimit, in_flight: int, now: datetime) -> AccountLimit:
    """
    Return what is known when every run in flight has just been polled.

    After a while, one run more than was accepted is tried. Right after a poll, because a run that
    has ended unnoticed would make room for it.
    """
    if known.trying or in_flight < known.bound or now - known.refused_at < known.wait:
        return known
    return replace(known, bound=known.bound + 1, trying=True)


def _step(in_flight: int) -> int:
    """Return how many runs are added at once: few, so that a refusal leaves few slots empty."""
    return max(in_flight // 2, 1)
