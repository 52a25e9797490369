"""Which of a batch's last jobs to submit first: those that end last; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from batchrunner.model.job_file import HostRule
from batchrunner.policy.host_breaker import rule_for
from batchrunner.policy.schedule import Window

#: The last jobs of a batch, for each run that may be in flight: the order of the others matters
#: little, and they run in file order.
LAST_JOBS_PER_SLOT = 10
#: With a deadline, the order changes only if this many times the expected time is left.
DEADLINE_MARGIN = 2


class LastJob(NamedTuple):
    """One of a batch's last jobs."""

    id: int
    host: str


def longest_first(
    jobs: Sequence[LastJob], seconds: Callable[[str], float], rules: Mapping[str, HostRule]
) -> list[LastJob]:
    """
    Return the jobs in the order in which to submit them, so that the last run ends early.

    *jobs* are in file order, which decides between equals. *seconds* is how long runs of a host
    take. Where a rule limits a host, its jobs wait for each other: so what counts is how long a
    job and those of its host behind it take.
    """
    expected = dict(zip(jobs, _to_the_end(jobs, seconds, rules), strict=True))
    return sorted(jobs, key=lambda job: -expected[job])


def _to_the_end(
    jobs: Sequence[LastJob], seconds: Callable[[str], float], rules: Mapping[str, HostRule]
) -> Iterator[float]:
    """Yield for each job the seconds from its start until its host is done."""
    left = Counter(job.host for job in jobs)
    of_host = {host: (seconds(host), rule_for(rules, host)) for host in left}
    for job in jobs:
        left[job.host] -= 1
        behind, (once, rule) = left[job.host], of_host[job.host]
        in_turn = once * ceil((behind + 1) / rule.concurrency) if rule.concurrency else once
        spaced = behind * rule.spacing.total_seconds() if rule.spacing else 0.0
        yield max(in_turn, once + spaced)


def is_in_time(window: Window, now: datetime, typical: timedelta | None) -> bool:
    """
    Return whether all last jobs surely end before the deadline.

    Otherwise the order would decide which of them run, and that is the file's to say.
    """
    if window.closes is None:
        return True
    if typical is None:
        return False
    return window.closes - now > DEADLINE_MARGIN * LAST_JOBS_PER_SLOT * typical
