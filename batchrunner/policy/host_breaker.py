"""Which hosts are kept back because they are broken, and how much the others may get; pure."""

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
from batchrunner.policy.escalation import host_of

#: Name of the rule that holds for every host.
ALL_HOSTS = "*"
#: Failures in a row after which a host is parked, where no rule says otherwise.
PARK_AFTER_FAILURES = 10
#: A host on which jobs often fail by themselves is broken only when it fails far longer in a row
#: than it usually does between two successes.
UNUSUAL = 5
#: How long a host is parked at first; doubled with each probe that fails.
FIRST_PARK = timedelta(minutes=2)
MAX_PARK = timedelta(minutes=30)
#: Probes in vain after which nobody waits for a host any more: 90 minutes after it was parked.
MAX_PROBES = 6

#: Failures that speak against a host; all others are the service's, the user's or the result's.
AGAINST_HOST = frozenset(
    {
        FailureCategory.SYSTEM_FAILURE,
        FailureCategory.AGENT_FAILURE,
        FailureCategory.UNKNOWN,
        FailureCategory.GOAL_FAILURE,
        FailureCategory.BLOCKED,
        FailureCategory.TIMED_OUT,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HostHealth:
    """What the attempts on one host have shown, over all runners."""

    host: str
    passed: int = 0  #: successes
    failed: int = 0  #: failures that speak against it
    in_row: int = 0  #: of them since the newest success
    parked_at: datetime | None = None  #: None: it is not parked
    probe_at: datetime | None = None  #: from when on one job may look whether it is back
    probes: int = 0  #: that failed since it was parked

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it any more, though it goes on being probed."""
        return self.probes >= MAX_PROBES


@dataclass(frozen=True, kw_only=True, slots=True)
class HostTraffic:
    """What is going on on a host right now, over all runners."""

    in_flight: int = 0
    newest: datetime | None = None  #: when its newest attempt was opened


def hosts_with_limits(rules: Mapping[str, HostRule]) -> bool:
    """Whether any rule bounds what a host may get at once."""
    return any(rule.concurrency or rule.spacing for rule in rules.values())


def rule_for(rules: Mapping[str, HostRule], host: str) -> HostRule:
    """Return what holds for a host: its own rule, with any port, and then the one for all."""
    wide = rules.get(ALL_HOSTS, HostRule())
    narrow = rules.get(host) or rules.get(host.partition(":")[0]) or wide
    return HostRule(
        concurrency=narrow.concurrency or wide.concurrency,
        spacing=wide.spacing if narrow.spacing is None else narrow.spacing,
        park_after=wide.park_after if narrow.park_after is None else narrow.park_after,
    )


# ---- what attempts say of hosts ----


def host_result(
    rules: Mapping[str, HostRule], attempt: OpenAttempt, transition: Transition
) -> HostResult | None:
    """Return what an attempt's end says of its host; None if nothing."""
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
    if transition.failure is None or transition.failure.category not in AGAINST_HOST:
        return False
    if isinstance(transition, Retry) and dict(transition.escalation_steps) != dict(
        attempt.job.escalation_steps
    ):
        return False  # the next rung may get through
    waited = attempt.status is RunStatus.PENDING
    return not (transition.failure.category is FailureCategory.TIMED_OUT and waited)


def after_results(host: HostHealth, told: Iterable[HostResult], now: datetime) -> HostHealth:
    """Return a host as it is after what attempts have told of it, in their order."""
    for each in told:
        host = _passed(host) if each.passed else _failed(host, each, now)
    return host


def _passed(host: HostHealth) -> HostHealth:
    return HostHealth(host=host.host, passed=host.passed + 1, failed=host.failed)


def _failed(host: HostHealth, told: HostResult, now: datetime) -> HostHealth:
    host = replace(host, failed=host.failed + 1, in_row=host.in_row + 1)
    if host.parked_at is None:
        broken = told.park_after and host.in_row >= _patience(host, told.park_after)
        return _parked(host, now) if broken else host
    if told.opened_at < host.parked_at:
        return host  # it was in flight already
    probes = host.probes + 1
    return replace(host, probes=probes, probe_at=now + _park(probes))


def _patience(host: HostHealth, least: int) -> int:
    usual = (host.failed - host.in_row) / host.passed if host.passed else 0.0
    return max(least, ceil(UNUSUAL * usual))


def _parked(host: HostHealth, now: datetime) -> HostHealth:
    return replace(host, parked_at=now, probe_at=now + _park(0), probes=0)


def _park(probes: int) -> timedelta:
    return min(FIRST_PARK * float(2 ** min(probes, MAX_PROBES)), MAX_PARK)


# ---- what hosts may get ----


def free_capacity(
    parked: HostHealth | None,
    traffic: HostTraffic,
    rules: Mapping[str, HostRule],
    host: str,
    now: datetime,
) -> int | None:
    """Return how many jobs of a host may be claimed now; None: as many as there are."""
    if parked is not None:
        return _room_for_probe(parked, traffic, now)
    rule = rule_for(rules, host)
    free = None if rule.concurrency is None else max(rule.concurrency - traffic.in_flight, 0)
    if rule.spacing is None:
        return free
    due = traffic.newest is None or now - traffic.newest >= rule.spacing
    return min(1 if free is None else free, int(due))


def _room_for_probe(host: HostHealth, traffic: HostTraffic, now: datetime) -> int:
    due = host.probe_at is not None and now >= host.probe_at
    # What was in flight when it was parked may go on for long, and is no probe.
    probing = traffic.newest is not None and traffic.newest >= (host.probe_at or now)
    return int(due and not (probing and traffic.in_flight))
