"""Parks hosts that keep failing, and limits how many jobs each host gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, delete, func, select

from batchrunner.model import AttemptDecision, HostResult, HostRule
from batchrunner.policy.host_breaker import (
    HostHealth,
    HostTraffic,
    after_results,
    free_capacity,
    hosts_with_limits,
)
from batchrunner.store.conditions import is_released
from batchrunner.store.dialect import insert_or_ignore
from batchrunner.store.schema import attempts, host_breakers, jobs

_batch: BindParameter[int] = bindparam("batch")
_KNOWN = (
    select(host_breakers)
    .where(
        host_breakers.c.batch_id == _batch,
        host_breakers.c.host.in_(bindparam("names", expanding=True)),
    )
    .order_by(host_breakers.c.host)  # every function locks rows in this order
    .with_for_update()
)


def record_host_results(
    tx: Connection, batch_id: int, applied: Iterable[AttemptDecision], now: datetime
) -> None:
    """Add the results of attempts to their hosts; a host that never failed is not stored."""
    results: dict[str, list[HostResult]] = defaultdict(list)
    for decision in applied:
        if decision.host_result is not None:
            results[decision.host_result.host].append(decision.host_result)
    if not results:
        return
    rows = tx.execute(_KNOWN, {"batch": batch_id, "names": sorted(results)})
    known = {row.host: _host(row) for row in rows}
    hosts = [
        after_results(known.get(name, HostHealth(host=name)), results[name], now)
        for name in sorted(results)
    ]
    changed = [_row(batch_id, host) for host in hosts if host.failed]
    if changed:
        insert = insert_or_ignore(tx, host_breakers)
        new = {name: insert.excluded[name] for name in changed[0] if name != "batch_id"}
        keys = ["batch_id", "host"]
        tx.execute(insert.on_conflict_do_update(index_elements=keys, set_=new), changed)


def _host(row: Row[Any]) -> HostHealth:
    return HostHealth(
        host=row.host,
        passed=row.passed,
        failed=row.failed,
        consecutive_failures=row.consecutive_failures,
        parked_at=row.parked_at,
        probe_at=row.probe_at,
        failed_probes=row.failed_probes,
    )


def _row(batch_id: int, host: HostHealth) -> dict[str, Any]:
    return {"batch_id": batch_id, **asdict(host)}


# ---- capacity ----

_PARKED = select(host_breakers).where(
    host_breakers.c.batch_id == _batch, host_breakers.c.parked_at.is_not(None)
)
_TRAFFIC = (
    select(jobs.c.host, func.count().label("in_flight"), func.max(attempts.c.opened_at).label("at"))
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(attempts.c.batch_id == _batch, attempts.c.closed_at.is_(None), ~is_released)
    .group_by(jobs.c.host)
)
_LATELY = (
    select(jobs.c.host, func.max(attempts.c.opened_at).label("at"))
    .join(jobs, jobs.c.id == attempts.c.job_id)
    .where(attempts.c.batch_id == _batch, attempts.c.opened_at > bindparam("since"))
    .group_by(jobs.c.host)
)


class HostCapacity:
    """How many more jobs of each host may be claimed now."""

    def __init__(
        self,
        rules: Mapping[str, HostRule],
        parked: Mapping[str, HostHealth],
        traffic: Mapping[str, HostTraffic],
        now: datetime,
    ) -> None:
        self._rules, self._parked, self._traffic, self._now = rules, parked, traffic, now
        self._left: dict[str, int | None] = {}
        for host in {*parked, *(traffic if hosts_with_limits(rules) else ())}:
            self._find(host)

    @property
    def parked(self) -> Collection[str]:
        """The parked hosts, which get no more than a probe."""
        return self._parked.keys()

    @property
    def full(self) -> list[str]:
        """The hosts that are known to have no capacity left."""
        return sorted(host for host, left in self._left.items() if left == 0)

    def take(self, host: str) -> bool:
        """Take a host's capacity for one job; return False if it had none."""
        left = self._left[host] if host in self._left else self._find(host)
        if left is None:
            return True
        self._left[host] = max(left - 1, 0)
        return left > 0

    def _find(self, host: str) -> int | None:
        traffic = self._traffic.get(host, HostTraffic())
        found = free_capacity(self._parked.get(host), traffic, self._rules, host, self._now)
        self._left[host] = found
        return found


def host_capacity(
    tx: Connection, batch_id: int, rules: Mapping[str, HostRule], now: datetime
) -> HostCapacity:
    """Return how many jobs of each host may be claimed now."""
    parked = {row.host: _host(row) for row in tx.execute(_PARKED, {"batch": batch_id})}
    traffic: dict[str, HostTraffic] = {}
    if parked or hosts_with_limits(rules):
        found = tx.execute(_TRAFFIC, {"batch": batch_id, "now": now})
        traffic = {row.host: HostTraffic(in_flight=row.in_flight, newest=row.at) for row in found}
    longest = max((rule.spacing or timedelta(0) for rule in rules.values()), default=timedelta(0))
    if longest:
        for row in tx.execute(_LATELY, {"batch": batch_id, "since": now - longest}):
            in_flight = traffic.get(row.host, HostTraffic()).in_flight
            traffic[row.host] = HostTraffic(in_flight=in_flight, newest=row.at)
    return HostCapacity(rules, parked, traffic, now)


def unpark_hosts(tx: Connection, batch_id: int, hosts: Collection[str]) -> int:
    """Unpark hosts as if they had never failed: those named, or all; return how many."""
    chosen = [host_breakers.c.batch_id == batch_id, host_breakers.c.parked_at.is_not(None)]
    if hosts:
        chosen.append(host_breakers.c.host.in_(hosts))
    return tx.execute(delete(host_breakers).where(*chosen)).rowcount
