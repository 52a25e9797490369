"""Which hosts are parked because they are broken, and how many jobs the others get; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from batchrunner.model import (
    FailureCategory,
    Finish,
    HostResult,
    HostRule,
    JobState,
    OpenAttempt,
    Retry,
    RunStatus,
    Snooze,
    Transition,
)
from batchrunner.model.categories import CATEGORIES
from batchrunner.model.hosts import MAX_PROBES, host_of

#: Name of the rule for all hosts.
ALL_HOSTS = "*"
#: Failures in a row after which a host is parked, where no rule says otherwise.
PARK_AFTER_FAILURES = 10
#: Jobs of some hosts often fail for their own reasons. Such a host counts as broken only after this
#: many times as many failures in a row as it usually has between two successes.
UNUSUAL_FAILURES_FACTOR = 5
#: How long a host is parked at first; doubled with each failed probe.
FIRST_PARK = timedelta(minutes=2)
MAX_PARK = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class HostHealth:
    """What the attempts on one host have shown, over all runners."""

    host: str
    passed: int = 0  #: successes
    failed: int = 0  #: failures that may be its fault
    consecutive_failures: int = 0  #: such failures since the newest success
    parked_at: datetime | None = None  #: None: it is not parked
    probe_at: datetime | None = None  #: when one job may test whether it works again
    failed_probes: int = 0  #: since it was parked

    @property
    def given_up(self) -> bool:
        """Whether the batch does not wait for it any more; probes continue."""
        return self.failed_probes >= MAX_PROBES


@dataclass(frozen=True, kw_only=True, slots=True)
class HostTraffic:
    """The current attempts on a host, over all runners."""

    in_flight: int = 0
    newest: datetime | None = None  #: when its newest attempt was opened


def hosts_with_limits(rules: Mapping[str, HostRule]) -> bool:
    """Whether any rule limits the concurrency or the spacing on a host."""
    return any(rule.concurrency or rule.spacing for rule in rules.values())


def rule_for(rules: Mapping[str, HostRule], host: str) -> HostRule:
    """Return the rule for a host: its own, with or without the port, then the one for all hosts."""
    wide = rules.get(ALL_HOSTS, HostRule())
    narrow = rules.get(host) or rules.get(host.partition(":")[0]) or wide
    return HostRule(
        concurrency=narrow.concurrency or wide.concurrency,
        spacing=wide.spacing if narrow.spacing is None else narrow.spacing,
        park_after=wide.park_after if narrow.park_after is None else narrow.park_after,
    )


# ---- what attempts show of hosts ----


def host_result(
    rules: Mapping[str, HostRule], attempt: OpenAttempt, transition: Transition
) -> HostResult | None:
    """Return what the end of an attempt shows of its host; None if nothing."""
    if isinstance(transition, Snooze):
        return None
    passed = isinstance(transition, Finish) and transition.state is JobState.SUCCEEDED
    if not passed and not _speaks_against_host(attempt, transition):
        return None
    host = host_of(attempt.url)
    return HostResult(
        host=host,
        passed=passed,
        opened_at=attempt.opened_at,
        park_after=PARK_AFTER_FAILURES
        if (own := rule_for(rules, host).park_after) is None
        else own,
    )


def _speaks_against_host(attempt: OpenAttempt, transition: Finish | Retry) -> bool:
    failure = transition.failure
    if failure is None or not CATEGORIES[failure.category].against_host:
        return False
    if isinstance(transition, Retry) and dict(transition.escalation_steps) != dict(
        attempt.job.escalation_steps
    ):
        return False  # the next escalation step may pass
    # A run that has not started has not reached its host.
    queued = attempt.status is RunStatus.PENDING
    return not (failure.category is FailureCategory.TIMED_OUT and queued)


def after_results(host: HostHealth, results: Iterable[HostResult], now: datetime) -> HostHealth:
    """Return a host's health after the results of these attempts, in their order."""
    for each in results:
        host = _passed(host) if each.passed else _failed(host, each, now)
    return host


def _passed(host: HostHealth) -> HostHealth:
    return HostHealth(host=host.host, passed=host.passed + 1, failed=host.failed)


def _failed(host: HostHealth, result: HostResult, now: datetime) -> HostHealth:
    host = replace(host, failed=host.failed + 1, consecutive_failures=host.consecutive_failures + 1)
    if host.parked_at is None:
        broken = result.park_after and host.consecutive_failures >= _failures_to_park(
            host, result.park_after
        )
        return _parked(host, now) if broken else host
    if result.opened_at < host.parked_at:
        return host  # the attempt was in flight before the host was parked
    failed_probes = host.failed_probes + 1
    return replace(host, failed_probes=failed_probes, probe_at=now + _park_time(failed_probes))


def _failures_to_park(host: HostHealth, least: int) -> int:
    usual = (host.failed - host.consecutive_failures) / host.passed if host.passed else 0.0
    return max(least, ceil(UNUSUAL_FAILURES_FACTOR * usual))


def _parked(host: HostHealth, now: datetime) -> HostHealth:
    return replace(host, parked_at=now, probe_at=now + _park_time(0), failed_probes=0)


def _park_time(failed_probes: int) -> timedelta:
    return min(FIRST_PARK * float(2 ** min(failed_probes, MAX_PROBES)), MAX_PARK)


# ---- how many jobs a host may get ----


def free_capacity(
    parked: HostHealth | None,
    traffic: HostTraffic,
    rules: Mapping[str, HostRule],
    host: str,
    now: datetime,
) -> int | None:
    """Return how many jobs of a host may be claimed now; None if there is no limit."""
    if parked is not None:
        return _probe_capacity(parked, traffic, now)
    rule = rule_for(rules, host)
    free = None if rule.concurrency is None else max(rule.concurrency - traffic.in_flight, 0)
    if rule.spacing is None:
        return free
    due = traffic.newest is None or now - traffic.newest >= rule.spacing
    return min(1 if free is None else free, int(due))


def _probe_capacity(host: HostHealth, traffic: HostTraffic, now: datetime) -> int:
    due = host.probe_at is not None and now >= host.probe_at
    # An attempt that was in flight when the host was parked may still run; it is no probe.
    probing = traffic.newest is not None and traffic.newest >= (host.probe_at or now)
    return int(due and not (probing and traffic.in_flight))
