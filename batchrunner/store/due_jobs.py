"""
Chooses due jobs in file order, as far as their hosts have capacity.

The time does not grow with the jobs that are passed over. Pages of the queue come first. If jobs
that are not due, or on hosts without capacity, fill the head of the queue, the jobs that have been
due for longest come next. If these are on hosts without capacity, other hosts take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from math import ceil
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, tuple_

from batchrunner.model.hosts import MAX_PROBES
from batchrunner.store.conditions import is_available, is_waiting
from batchrunner.store.host_breaker import HostCapacity
from batchrunner.store.schema import host_breakers, jobs

#: Jobs that are read together, at least: some may be on hosts without capacity.
JOBS_PER_PAGE = 50
#: Places of the queue that are looked at for each job of a page.
PLACES_PER_JOB = 4
#: Places after which the head of the queue counts as blocked, at least.
MAX_PLACES = 500
#: Jobs that are looked at in the order in which they became due.
MAX_READY = 500
#: Hosts that are looked at together.
HOSTS_PER_PAGE = 100

#: What a claim reads of a job.
COLUMNS = (
    jobs.c.id,
    jobs.c.position,
    jobs.c.key,
    jobs.c.url,
    jobs.c.host,
    jobs.c.goal,
    jobs.c.options,
    jobs.c.output_schema_digest,
    jobs.c.max_batch_size,
    jobs.c.attempt,
    jobs.c.failures,
    jobs.c.failures_by_category,
    jobs.c.policy,
    jobs.c.escalation_steps,
)
_of_batch = jobs.c.batch_id == bindparam("batch")
_in_order = (jobs.c.position, jobs.c.id)
#: One comparison of both: an OR would read the queue from its head.
_behind = tuple_(*_in_order) > tuple_(bindparam("position"), bindparam("id"))
_is_due = jobs.c.available_at <= bindparam("now")
#: The same, as a condition by which SQLite does not look for rows: it would sort the whole queue.
_is_due_too = func.coalesce(jobs.c.available_at, jobs.c.available_at) <= bindparam("now")
#: Before the first job.
_START = {"position": 0, "id": 0}
_LAST_POSITION = 2**31 - 1


class _Statements:
    """The statements that find due jobs: among all of a batch, or a part of them."""

    def __init__(self, *which: Any) -> None:
        waiting = (_of_batch, is_waiting, *which)
        since = (jobs.c.available_at, *_in_order)
        places = select(*_in_order).where(*waiting, _behind).order_by(*_in_order).limit(1)
        #: The last one of the next places.
        self.place = places.offset(bindparam("places"))
        last = func.coalesce(
            self.place.with_only_columns(jobs.c.position).scalar_subquery(), _LAST_POSITION
        )
        #: What can be claimed of the next places.
        self.page = (
            select(*COLUMNS)
            .where(*waiting, _behind, jobs.c.position <= last, _is_due_too)
            .where(jobs.c.host.not_in(bindparam("full", expanding=True)))
            .order_by(*_in_order)
            .limit(bindparam("most"))
        )
        self.ready = (
            select(*_in_order, jobs.c.host)
            .where(*waiting, _is_due)
            .order_by(*since)
            .limit(MAX_READY)
        )
        self.of_host = (
            select(jobs.c.id)
            .where(*waiting, jobs.c.host == bindparam("host"), _is_due)
            .order_by(*since)
            .limit(bindparam("most"))
        )
        self.hosts = _hosts_after(*waiting)


def _hosts_after(*waiting: Any) -> Select[Any]:
    """Return the statement that reads the next hosts by name, each with its first due job."""
    first = select(func.min(jobs.c.host)).where(*waiting, jobs.c.host >= bindparam("first"))
    hosts = select(first.scalar_subquery().label("host")).cte("hosts", recursive=True)
    following = select(func.min(jobs.c.host)).where(*waiting, jobs.c.host > hosts.c.host)
    hosts = hosts.union_all(
        select(following.correlate(hosts).scalar_subquery()).where(hosts.c.host.is_not(None))
    )
    some = select(hosts.c.host).where(hosts.c.host.is_not(None)).limit(HOSTS_PER_PAGE).subquery()
    first_due = (
        select(jobs.c.id)
        .where(*waiting, jobs.c.host == some.c.host, _is_due)
        .order_by(jobs.c.available_at, *_in_order)
        .limit(1)
        .correlate(some)
    )
    return select(some.c.host, first_due.scalar_subquery().label("job")).order_by(some.c.host)


#: By whether only the canary, and whether only the chosen part may be submitted.
_STATEMENTS = {
    (canary, part): _Statements(*[jobs.c.canary] * canary, *[jobs.c.part] * part)
    for canary in (False, True)
    for part in (False, True)
}
_CHOSEN = (
    select(*COLUMNS)
    .where(jobs.c.id.in_(bindparam("jobs", expanding=True)), is_waiting)
    .order_by(*_in_order)
)
_PLACES = select(*_in_order, jobs.c.host).where(jobs.c.id.in_(bindparam("jobs", expanding=True)))


def due_jobs(
    tx: Connection,
    batch_id: int,
    room: int,
    capacity: HostCapacity,
    now: datetime,
    *,
    canary: bool,
    part: bool = False,
    claim: bool = True,
) -> list[Row[Any]]:
    """
    Return due jobs, for each host no more than its capacity.

    At most *room*, plus the probes of parked hosts, which the budget may still exclude. With
    *canary*, only jobs of the canary; with *part*, only jobs of the chosen part. With *claim*, they
    are locked.
    """
    statements = _STATEMENTS[canary, part]
    search = _Search(tx, statements, batch_id, room, capacity, now, claim=claim)
    if not search.read_pages(to_the_end=canary) and not search.read_ready():
        search.read_hosts()
    return search.found()


class _Search:
    """A search for due jobs, and what it has found."""

    def __init__(
        self,
        tx: Connection,
        statements: _Statements,
        batch_id: int,
        room: int,
        capacity: HostCapacity,
        now: datetime,
        *,
        claim: bool,
    ) -> None:
        self._tx, self._statements, self._capacity, self._claim = tx, statements, capacity, claim
        self._given = {"batch": batch_id, "now": now}
        self._room = room
        self._rows: dict[int, Row[Any]] = {}  # of jobs that were found in pages
        self._ids: dict[int, None] = {}  # of jobs that were found otherwise

    def read_pages(self, *, to_the_end: bool) -> bool:
        """Take jobs in file order; return False if a blocked head of the queue ended that."""
        most = max(self._room, JOBS_PER_PAGE)
        places, looked_at = PLACES_PER_JOB * most, 0
        page: Select[Any] = self._statements.page
        page = page.with_for_update(skip_locked=True) if self._claim else page
        last = _START
        while self._room > 0:
            if looked_at >= max(MAX_PLACES, places) and not to_the_end:
                return False
            here = {"batch": self._given["batch"], "places": places - 1, **last}
            given = {**self._given, **here, "full": self._capacity.full, "most": most}
            rows = self._tx.execute(page, given).all()
            for row in rows:
                if row.id not in self._rows and self._take(row.host):
                    self._rows[row.id] = row
            looked_at += places
            end = (
                rows[-1]
                if len(rows) == most
                else self._tx.execute(self._statements.place, here).first()
            )
            if end is None:
                return True
            last = {"position": end.position, "id": end.id}
        return True

    def read_ready(self) -> bool:
        """Take jobs in the order in which they became due; return whether that was all of them."""
        rows = self._tx.execute(self._statements.ready, self._given).all()
        self._take_in_order(rows)
        return self._room <= 0 or len(rows) < MAX_READY

    def read_hosts(self) -> None:
        """Take jobs of all hosts that have capacity, in turns."""
        hosts = self._hosts_from("")
        while self._room > 0 and hosts:
            full = set(self._capacity.full)
            self._take_of_hosts([row for row in hosts if row.job and row.host not in full])
            last = hosts[-1].host
            hosts = [row for row in self._hosts_from(last) if row.host != last]

    def _hosts_from(self, first: str) -> list[Row[Any]]:
        return list(self._tx.execute(self._statements.hosts, {**self._given, "first": first}))

    def _take_of_hosts(self, due: list[Row[Any]]) -> None:
        if len(due) >= self._room:
            ids = [row.job for row in due]
        else:
            share = ceil(self._room / max(len(due), 1)) + len(self._rows) + len(self._ids)
            ids = [id for row in due for id in self._of_host(row.host, share)]
        self._take_in_order(self._tx.execute(_PLACES, {"jobs": ids}).all())

    def _of_host(self, host: str, most: int) -> list[int]:
        given = {**self._given, "host": host, "most": most}
        return list(self._tx.execute(self._statements.of_host, given).scalars())

    def _take_in_order(self, rows: Iterable[Any]) -> None:
        for row in sorted(rows, key=lambda row: (row.position, row.id)):
            if row.id not in self._rows and row.id not in self._ids and self._take(row.host):
                self._ids[row.id] = None

    def _take(self, host: str) -> bool:
        if self._room <= 0 or not self._capacity.take(host):
            return False
        self._room -= host not in self._capacity.parked
        return True

    def found(self) -> list[Row[Any]]:
        """Return the jobs that were taken, in file order."""
        rows = list(self._rows.values())
        if self._ids:
            chosen: Select[Any] = _CHOSEN
            chosen = chosen.with_for_update(skip_locked=True) if self._claim else chosen
            rows += self._tx.execute(chosen, {"jobs": list(self._ids)})
            rows.sort(key=lambda row: (row.position, row.id))
        return rows


_given_up = select(host_breakers.c.host).where(
    host_breakers.c.batch_id == bindparam("batch"), host_breakers.c.failed_probes >= MAX_PROBES
)
_AWAITED = (
    select(*COLUMNS)
    .where(_of_batch, is_available, _behind, jobs.c.host.not_in(_given_up))
    .order_by(*_in_order)
    .limit(bindparam("most"))
)
_AWAITED_OF_PART = _AWAITED.where(jobs.c.part)


def awaited_jobs(tx: Connection, batch_id: int, *, part: bool = False) -> Iterator[list[Row[Any]]]:
    """Yield all available jobs a page at a time, except those on hosts that were given up."""
    statement = _AWAITED_OF_PART if part else _AWAITED
    last, rows = _START, list[Row[Any]]()
    while rows := [*tx.execute(statement, {"batch": batch_id, "most": JOBS_PER_PAGE, **last})]:
        yield rows
        last = {"position": rows[-1].position, "id": rows[-1].id}
